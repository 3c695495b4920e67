"""Where the API is and which key opens it: from the settings, or from the file that `discovery up` wrote."""

from dataclasses import dataclass

from discovery_service.client import Client
from discovery_service.errors import UsageError
from discovery_service.settings import Settings, get_settings


@dataclass(frozen=True)
class Access:
    url: str
    api_key: str
    source: str


def find_access(settings: Settings) -> Access | None:
    """None when nothing says where an API is. The two settings go together: a key is sent to no other address."""
    from discovery_service.local.state import api_access_path, find_api_access

    url, key = settings.client.url, settings.client.api_key
    if url is not None and key is not None:
        return Access(url, key.get_secret_value(), "DISCOVERY__CLIENT__URL")
    if url is not None or key is not None:
        missing = "DISCOVERY__CLIENT__API_KEY" if key is None else "DISCOVERY__CLIENT__URL"
        raise UsageError(f"{missing} is not set. Set it beside the other of the two, or unset both.")
    path = api_access_path(settings.local.data_dir)
    found = find_api_access(settings.local.data_dir)
    return None if found is None else Access(found.url, found.api_key, str(path))


def connect() -> Client:
    settings = get_settings()
    access = find_access(settings)
    if access is None:
        raise UsageError(
            "No API is known. Set DISCOVERY__CLIENT__URL and DISCOVERY__CLIENT__API_KEY, or start one here with "
            f"`discovery up` (looked for its key in {settings.local.data_dir}; of a stack with another --data, say "
            "DISCOVERY__LOCAL__DATA_DIR=… here)."
        )
    try:
        return Client(access.url, access.api_key)
    except ValueError as error:
        raise UsageError(f"{error} It comes from {access.source}.") from error
