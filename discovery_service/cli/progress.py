"""How far a campaign is, in words: its stage, its best so far, what it has spent and about when it ends."""

from collections.abc import Iterator

from discovery_service.client import Campaign, Forecast, Spend
from discovery_service.client.progress import tell_best, tell_time
from discovery_service.domain.forecast import CampaignStage

_STAGES = (*(stage.value for stage in CampaignStage),)


def tell_progress(campaign: Campaign) -> list[tuple[str, str | None]]:
    """Fields as `discovery campaign show` and the live view have them."""
    return [
        ("stage", campaign.stage),
        ("best so far" if not campaign.has_ended else "best", tell_best(campaign.best) if campaign.best else None),
        ("spent", "; ".join(tell_spend(campaign.spend))),
        ("forecast", tell_forecast(campaign.forecast) if campaign.forecast else None),
    ]


def tell_spend(spend: Spend) -> Iterator[str]:
    """By budget, in units that people read; committed and limit where there are some."""
    yield _count("candidates", spend.candidates.spent, spend.candidates.committed, spend.candidates.limit)
    yield _count("evaluations", spend.evaluations.spent, spend.evaluations.committed, spend.evaluations.limit)
    yield _count("tokens", spend.tokens.spent, spend.tokens.committed, spend.tokens.limit)
    yield f"{spend.cost_usd.spent:.2f}{_limit(spend.cost_usd.limit)} USD"
    yield f"{spend.device_seconds.spent:.1f}{_limit(spend.device_seconds.limit)} device seconds"
    yield f"{tell_time(spend.wall_time_s.spent)} by the clock{_clock_limit(spend.wall_time_s.limit)}"


def _count(name: str, spent: float, committed: float | None, limit: float | None) -> str:
    held = f" ({committed:.0f} with what is committed)" if committed is not None and committed > spent else ""
    return f"{spent:.0f}{_limit(limit)} {name}{held}"


def _clock_limit(limit_s: float | None) -> str:
    return "" if limit_s is None else f" of {tell_time(limit_s)}"


def _limit(limit: float | None) -> str:
    return "" if limit is None else f" of {limit:g}"


def tell_forecast(forecast: Forecast) -> str:
    when = "unknown" if forecast.seconds is None else f"ends in about {tell_time(forecast.seconds)}"
    return f"{when}. {forecast.rests_on}"


def find_share(campaign: Campaign) -> float | None:
    """Of all the evaluations that there will be at most, those that have been; None where nobody knows."""
    if campaign.has_ended:
        return 1.0
    if campaign.forecast is None:
        return None
    done = campaign.spend.evaluations.spent
    most = done + campaign.forecast.evaluations
    return done / most if most else None


def list_stages(campaign: Campaign) -> Iterator[tuple[str, bool | None]]:
    """Each stage that this campaign has, with whether it is behind it; None for the one that it is at."""
    stages = [each for each in _STAGES if each != CampaignStage.HELD_OUT or campaign.spec.held_out_arenas]
    at = stages.index(campaign.stage) if campaign.stage in stages else -1
    for place, stage in enumerate(stages):
        yield stage, None if place == at and stage != CampaignStage.ENDED else place <= at
