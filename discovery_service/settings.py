"""The one tree of settings, read from the environment: `DISCOVERY__DB__URL` is `settings.db.url`.

The only module that looks at the environment.
"""

import os
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from discovery_service.errors import UsageError

PREFIX = "DISCOVERY__"
CALLS_AT_ONCE = 8
"""Of one propose worker, to all models: it has as many threads."""


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


def _check_endpoint(url: str) -> str:
    """It is shown in logs and messages, so it may hold no secret."""
    try:
        parts = urlsplit(url)
    except ValueError:  # which quotes a part of the URL, and its login may stand there
        raise ValueError("is no URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and name a host")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("may hold no login and no query; the key has a variable of its own")
    return url.rstrip("/")


def _check_key(key: SecretStr) -> SecretStr:
    """What cannot stand in a header would be told, key and all, by whoever trips over it."""
    stripped = key.get_secret_value().strip()
    if not (stripped.isascii() and stripped.isprintable()):
        raise ValueError("holds characters that no key has")
    return SecretStr(stripped)


EndpointUrl = Annotated[str, AfterValidator(_check_endpoint)]
ModelKey = Annotated[SecretStr, AfterValidator(_check_key)]
Usd = Annotated[Decimal, Field(ge=0, le=100_000, allow_inf_nan=False)]


class ModelOptions(Section):
    """How a language model is asked; the defaults hold for a model without a profile."""

    input_usd_per_million: Usd | None = None
    output_usd_per_million: Usd | None = None
    """Of tokens. Without both prices a campaign's budget in dollars cannot be held."""
    timeout_s: float = Field(default=300.0, gt=0, le=3600)
    """For the whole of an answer, however slowly it arrives."""
    max_tokens: int = Field(default=8_192, ge=1, le=1_000_000)
    """Of a reply, with what the model thinks before it."""
    context_tokens: int | None = Field(default=None, ge=1, le=100_000_000)
    """What prompt and reply may have together; prompts are cut to what `max_tokens` leaves of it."""
    concurrency: int = Field(default=CALLS_AT_ONCE, ge=1, le=CALLS_AT_ONCE)
    """Calls at once, of each worker."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """The endpoint's own unless given; some models take no other."""

    @model_validator(mode="after")
    def reply_leaves_room(self) -> Self:
        if self.context_tokens is not None and self.max_tokens >= self.context_tokens:
            raise ValueError(f"max_tokens is {self.max_tokens} and leaves no room for a prompt in context_tokens")
        return self


class ModelProfile(ModelOptions):
    """A model at an endpoint, under a name that the spec of a campaign may use."""

    model: str = Field(min_length=1, max_length=200)
    """As the endpoint calls it."""
    base_url: EndpointUrl | None = None
    """Of any OpenAI-compatible endpoint; without one, OPENAI_BASE_URL and OPENAI_API_KEY serve."""
    api_key: ModelKey | None = None


class LlmSettings(Section):
    model: str = Field(default="gpt-5-mini", min_length=1, max_length=200)
    """A profile, or a model at OPENAI_BASE_URL: whom `discovery demo` and `discovery doctor --llm` ask."""
    profiles: dict[str, ModelProfile] = {}
    """By name, in lower case: DISCOVERY__LLM__PROFILES__FAST__MODEL makes the profile "fast"."""
    recorded_url: EndpointUrl | None = None
    """Where `discovery recorded` serves replies that were recorded; the local stack starts it."""


class LocalSettings(Section):
    data_dir: Path = Field(default_factory=default_data_dir)


class ClientSettings(Section):
    url: str | None = None
    api_key: SecretStr | None = None


class MachineSettings(BaseSettings):
    """Variables that others than we have named, and that a process on a card has to see."""

    cuda_visible_devices: str | None = None
    cuda_device_order: str | None = None
    ld_library_path: str | None = None
    """Where some container platforms put the driver's libraries."""


class OpenAiSettings(BaseSettings):
    """The variables that everybody has who uses an OpenAI-compatible endpoint; an empty one is none."""

    model_config = SettingsConfigDict(env_ignore_empty=True, hide_input_in_errors=True)

    openai_api_key: ModelKey | None = None
    openai_base_url: EndpointUrl = "https://api.openai.com/v1"


class Settings(BaseSettings):
    # What cannot be used may be a key, or hold one, and errors are logged and written into events.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", hide_input_in_errors=True
    )

    db: DbSettings = DbSettings()
    redis: RedisSettings = RedisSettings()
    api: ApiSettings = ApiSettings()
    log: LogSettings = LogSettings()
    worker: WorkerSettings = WorkerSettings()
    arenas: ArenaSettings = ArenaSettings()
    jail: JailSettings = JailSettings()
    llm: LlmSettings = LlmSettings()
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
    for name in os.environ:
        if name.upper().startswith(PREFIX):
            _check_name(name)
    try:
        return Settings()
    except ValidationError as error:
        raise _told(error, "DISCOVERY") from error


def _check_name(name: str) -> None:
    """Of a section that is not there pydantic-settings does not even hear; and a whole one it would take as JSON, in
    which a key would go wherever the variable does."""
    section, *path = name.lower().removeprefix(PREFIX.lower()).split("__")
    if section not in Settings.model_fields:
        raise UsageError(f"There is no setting {name}; `discovery settings show` lists them.")
    is_profile = section == "llm" and path[:1] == ["profiles"]
    if len(path) < (3 if is_profile else 1):
        told = f"The setting {name} cannot be used: it is a section, and JSON is not taken."
        raise UsageError(f"{told} Give each part a variable of its own; `discovery settings show` lists them.")


def get_openai_settings() -> OpenAiSettings:
    try:
        return OpenAiSettings()
    except ValidationError as error:
        raise _told(error) from error


def _told(error: ValidationError, *prefix: str) -> UsageError:
    first = error.errors()[0]
    name = "__".join([*prefix, *(str(part).upper() for part in first["loc"])])
    return UsageError(f"The setting {name} cannot be used: {first['msg']}.")


def required(value: SecretStr | None, name: str) -> str:
    """The secret's text, or an error that names the variable to set."""
    if value is None:
        raise UsageError(f"{name} is not set. Set it, or run everything on this machine with `discovery up`.")
    return value.get_secret_value()
