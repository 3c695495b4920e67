"""The one tree of settings, read from the environment: `DISCOVERY__DB__URL` is `settings.db.url`.

The only module that looks at the environment.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from discovery_service.errors import UsageError

PREFIX = "DISCOVERY__"


def default_data_dir() -> Path:
    """Where the local stack keeps its data when nobody says otherwise."""
    try:
        return Path.home() / ".local" / "share" / "discovery-service"
    except RuntimeError:  # a container's user without a name has no home
        return Path.cwd() / ".discovery"


class Section(BaseModel):
    """A misspelt name is an error: nobody should believe that they set what nothing reads."""

    model_config = ConfigDict(extra="forbid")


class DbSettings(Section):
    url: SecretStr | None = None
    """The service's own login. Of another user than `discovery_service` each connection drops to that role."""
    owner_url: SecretStr | None = None
    """The login that owns the schema; only `discovery db upgrade` uses it. Falls back to `url`."""
    pool_size: int = Field(default=10, ge=1)


class RedisSettings(Section):
    url: SecretStr | None = None


class ApiSettings(Section):
    host: str = "127.0.0.1"
    port: int = Field(default=8020, ge=0, le=65535)
    key_secret: SecretStr | None = None
    """Key of the HMAC under which API keys are stored. Another one invalidates all of them."""
    max_body_bytes: int = Field(default=262_144, ge=1)
    creations_per_minute: int = Field(default=120, ge=1)
    """POST requests that one API key may send in a minute."""


class LogSettings(Section):
    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class WorkerSettings(Section):
    slots: int | None = Field(default=None, ge=1)
    """Evaluations at once here; by default one a card, or one a core with memory for it where no card is used."""
    devices: str = Field(default="auto", pattern=r"^(auto|cpu|cuda|cuda:[0-9]+(,cuda:[0-9]+)*)$")
    """On what they train: "cpu", "cuda" for all cards, "cuda:0,cuda:2" for some, or what is there."""
    evaluation_s: float = Field(default=3600.0, gt=0)
    """Processor time after which a training that has not ended is given up, as the fault of its loss."""
    stall_s: float = Field(default=3 * 3600.0, gt=0)
    """By the clock for training and measuring, as a fault of this machine; and how long building an arena may take."""
    memory_bytes: int | None = Field(default=None, ge=1 << 30)
    """What one evaluation's process may hold; by default its share of most of this machine's memory, 2 GiB at least."""


class ArenaSettings(Section):
    cache_dir: Path | None = None
    """Where built base policies and pairs are kept; beside the local stack's data unless given."""


class JailSettings(Section):
    minimum: Literal["full", "seccomp", "unavailable"] = "seccomp"
    """The weakest lock under which candidates are compiled; "unavailable" compiles without one and executes nothing."""


class LocalSettings(Section):
    data_dir: Path = Field(default_factory=default_data_dir)


class ClientSettings(Section):
    url: str | None = None
    api_key: SecretStr | None = None


class MachineSettings(BaseSettings):
    """Variables that others than we have named, and that a process on a card has to see."""

    cuda_visible_devices: str | None = None
    ld_library_path: str | None = None
    """Where some container platforms put the driver's libraries."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid")

    db: DbSettings = DbSettings()
    redis: RedisSettings = RedisSettings()
    api: ApiSettings = ApiSettings()
    log: LogSettings = LogSettings()
    worker: WorkerSettings = WorkerSettings()
    arenas: ArenaSettings = ArenaSettings()
    jail: JailSettings = JailSettings()
    local: LocalSettings = Field(default_factory=LocalSettings)
    client: ClientSettings = ClientSettings()

    @property
    def arena_cache(self) -> Path:
        return self.arenas.cache_dir or self.local.data_dir / "arenas"

    def redacted(self) -> dict[str, Any]:
        """The tree as JSON, each secret shown as asterisks."""
        return self.model_dump(mode="json")


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    for name in os.environ:  # of a section that is not there pydantic-settings does not even hear
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).split("__")[0].lower() not in Settings.model_fields:
            raise UsageError(f"There is no setting {name}; `discovery settings show` lists them.")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "__".join(["DISCOVERY", *(str(part).upper() for part in first["loc"])])
        raise UsageError(f"The setting {name} cannot be used: {first['msg']}.") from error


def required(value: SecretStr | None, name: str) -> str:
    """The secret's text, or an error that names the variable to set."""
    if value is None:
        raise UsageError(f"{name} is not set. Set it, or run everything on this machine with `discovery up`.")
    return value.get_secret_value()
