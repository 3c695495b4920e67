"""Which model at which endpoint a name stands for, with its key, its prices and its bounds."""

from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlsplit

from pydantic import SecretStr

from discovery_service.domain.recorded import RECORDED_KINDS, find_recorded_kind
from discovery_service.domain.token_costs import Price
from discovery_service.settings import LlmSettings, ModelOptions, OpenAiSettings
from workers.llm.outcomes import Consequence, Failure, FaultCode

OPENAI_HOST = "api.openai.com"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# For endpoints that want none: the client sends something in any case.
NO_KEY = SecretStr("none")


@dataclass(frozen=True)
class Model:
    """Whom to ask, and how."""

    name: str
    """As the endpoint calls it."""
    base_url: str
    api_key: SecretStr
    price: Price | None
    options: ModelOptions

    @property
    def is_local(self) -> bool:
        """On this machine, where no proxy leads."""
        return urlsplit(self.base_url).hostname in LOOPBACK


def find_model(name: str, settings: LlmSettings, everybodys: OpenAiSettings) -> Model | Failure:
    """The profile of that name, or else the model that OPENAI_BASE_URL knows by it."""
    profile = settings.profiles.get(name)
    if profile is None:
        return _at_everybodys(name, ModelOptions(), everybodys)
    if profile.base_url is None:
        return _at_everybodys(profile.model, profile, everybodys, profile.api_key)
    # OPENAI_API_KEY is for OPENAI_BASE_URL: another host never sees it.
    return Model(profile.model, profile.base_url, profile.api_key or NO_KEY, _price(profile), profile)


def _at_everybodys(
    name: str, options: ModelOptions, everybodys: OpenAiSettings, api_key: SecretStr | None = None
) -> Model | Failure:
    key = api_key or everybodys.openai_api_key
    if key is None and urlsplit(everybodys.openai_base_url).hostname == OPENAI_HOST:
        return Failure(
            FaultCode.NO_KEY,
            Consequence.PAUSE,
            f"There is no key for the model {name}: set OPENAI_API_KEY, or OPENAI_BASE_URL for an endpoint that "
            "needs none, or a profile of that name, and start the propose workers again.",
        )
    return Model(name, everybodys.openai_base_url, key or NO_KEY, _price(options), options)


def _price(options: ModelOptions) -> Price | None:
    if options.input_usd_per_million is None or options.output_usd_per_million is None:
        return None
    return Price(options.input_usd_per_million, options.output_usd_per_million)


def find_recorded(arena: str, settings: LlmSettings) -> Model | Failure:
    """Who plays what was recorded in arenas of that kind: "terse:mini" has the recordings of "terse"."""
    kind = find_recorded_kind(arena)
    if kind is None:
        message = f"No replies were recorded in {arena}, but in {', '.join(RECORDED_KINDS)}. Take another proposer."
        return Failure(FaultCode.NOT_RECORDED, Consequence.PAUSE, message)
    if settings.recorded_url is None:
        return Failure(
            FaultCode.NO_ENDPOINT,
            Consequence.PAUSE,
            "Nobody serves recorded replies here: `discovery up` does; elsewhere run `discovery recorded` beside the "
            "propose workers and set DISCOVERY__LLM__RECORDED_URL for them.",
        )
    free = Price(Decimal(0), Decimal(0))
    return Model(f"recorded/{kind}", settings.recorded_url, NO_KEY, free, ModelOptions(timeout_s=30))
