"""A name in a campaign's spec leads to an endpoint, and no key to another one than it is for."""

from decimal import Decimal

import pytest
from pydantic import SecretStr, ValidationError

from discovery_service.domain.token_costs import Price
from discovery_service.settings import LlmSettings, ModelProfile, OpenAiSettings
from workers.llm.models import Model, find_model
from workers.llm.outcomes import Consequence, Failure

EVERYBODYS = OpenAiSettings(openai_api_key=SecretStr("sk-openai"), openai_base_url="https://api.openai.com/v1")


def found(name: str, everybodys: OpenAiSettings = EVERYBODYS, **profiles: ModelProfile) -> Model:
    model = find_model(name, LlmSettings(profiles=profiles), everybodys)
    assert isinstance(model, Model)
    return model


def test_a_plain_name_is_a_model_where_the_usual_variables_lead() -> None:
    model = found("gpt-5-mini")
    assert (model.name, model.base_url, model.price) == ("gpt-5-mini", "https://api.openai.com/v1", None)
    assert model.api_key.get_secret_value() == "sk-openai"


def test_a_profile_has_its_own_endpoint_key_and_prices() -> None:
    profile = ModelProfile(
        model="qwen",
        base_url="http://gpu:8000/v1/",
        api_key=SecretStr("sk-own"),
        input_usd_per_million=Decimal("0.1"),
        output_usd_per_million=Decimal("0.4"),
    )
    model = found("local", local=profile)
    assert (model.name, model.base_url, model.price) == (
        "qwen",
        "http://gpu:8000/v1",
        Price(Decimal("0.1"), Decimal("0.4")),
    )
    assert model.api_key.get_secret_value() == "sk-own"


def test_the_usual_key_goes_to_the_usual_endpoint_alone() -> None:
    elsewhere = found("local", local=ModelProfile(model="qwen", base_url="http://gpu:8000/v1"))
    assert "sk-openai" not in elsewhere.api_key.get_secret_value()
    assert found("cheap", cheap=ModelProfile(model="gpt-5-nano")).api_key.get_secret_value() == "sk-openai"


def test_one_price_is_none() -> None:
    assert found("half", half=ModelProfile(model="x", input_usd_per_million=Decimal(1))).price is None


def test_without_a_key_the_campaign_pauses_and_is_told_what_to_set() -> None:
    failure = find_model("gpt-5-mini", LlmSettings(), OpenAiSettings(openai_api_key=None))
    assert isinstance(failure, Failure)
    assert failure.consequence is Consequence.PAUSE
    assert "OPENAI_API_KEY" in failure.message


def test_an_endpoint_of_ones_own_may_want_no_key() -> None:
    everybodys = OpenAiSettings(openai_api_key=None, openai_base_url="http://127.0.0.1:11434/v1")
    assert found("llama", everybodys).is_local


@pytest.mark.parametrize(
    "url", ["gpu:8000/v1", "ftp://x/v1", "https://me:secret@x/v1", "https://x/v1?key=secret", "https:///v1"]
)
def test_a_url_that_is_none_or_holds_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        ModelProfile(model="x", base_url=url)


@pytest.mark.parametrize("key", ["sk-ключ", "sk\nInjected: header"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_told(key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ModelProfile(model="x", api_key=SecretStr(key))
    assert key not in str(refused.value)


def test_a_line_break_behind_a_key_is_no_part_of_it() -> None:
    profile = ModelProfile(model="x", api_key=SecretStr("sk-own\n"))
    assert profile.api_key is not None
    assert profile.api_key.get_secret_value() == "sk-own"
