"""Whether what `discovery try` trains with is installed: it comes with an extra."""

from importlib.util import find_spec

from discovery_service.errors import UsageError


def check_extra(*, is_lora: bool) -> None:
    """Before anything that imports it. UsageError says what to install."""
    missing = [name for name in ("trl", "datasets", *(("peft",) if is_lora else ())) if find_spec(name) is None]
    if missing:
        names = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'}"
        raise UsageError(f"This trains in TRL, and {names} not installed: pip install 'discovery-service[trl]'.")
