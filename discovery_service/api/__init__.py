"""The HTTP API: `create_app` builds it from settings; routes hold one resource each."""

from discovery_service.api.app import create_app

__all__ = ["create_app"]
