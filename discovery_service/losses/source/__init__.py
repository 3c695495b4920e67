"""The loss language, a closed subset of Python: read, checked and written in plain form, never run."""

from discovery_service.losses.source.check import CheckedSource, Hyperparameter, check_source, tell_unused
from discovery_service.losses.source.sent import is_rewritten

__all__ = ["CheckedSource", "Hyperparameter", "check_source", "is_rewritten", "tell_unused"]
