"""What is seen of a campaign while it runs: live on a terminal, at its milestones elsewhere."""

import io
from typing import Any
from uuid import uuid4

import pytest
from rich.console import Console

from discovery_service.api.schemas.campaigns import CampaignRead
from discovery_service.cli import watch
from discovery_service.cli.progress import find_share, list_stages, tell_progress
from discovery_service.cli.watch import Milestones, Paused, View
from discovery_service.client import Campaign, Event
from discovery_service.client.progress import tell_event, tell_time

(EXAMPLE,) = CampaignRead.model_config["json_schema_extra"]["examples"]  # type: ignore[index]
SCREENED = {"stage": "screen", "verdict": None}


def campaign(**changes: Any) -> Campaign:
    best = {**EXAMPLE["best"], **SCREENED}
    return Campaign.model_validate({**EXAMPLE, "status": "running", "best": best, **changes})


def event(kind: str, **payload: Any) -> Event:
    fields = {"id": "1-1", "campaign_id": uuid4(), "subject_id": None, "created_at": "2026-11-21T10:00:00Z"}
    return Event.model_validate({**fields, "kind": kind, "payload": payload})


def shown(view: View) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    console.print(view.render())
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_the_view_has_the_stage_the_best_with_its_interval_the_spend_and_the_end() -> None:
    text = shown(View(campaign()))
    assert "library" in text
    assert "trust_first_annotator (llm): +0.410 [+0.120, +0.700] less dpo; screened, which confirms nothing" in text
    assert "4 of 24 candidates (12 with what is committed); 61 of 2000 evaluations (188 with what is committed)" in text
    assert "0:47 by the clock of 1:00:00" in text
    assert "about 3:23" in text
    assert "at most" not in text


def test_a_confirmed_best_says_its_verdict() -> None:
    (_, best, *_) = tell_progress(campaign(best=EXAMPLE["best"]))
    assert best == (
        "best so far",
        "trust_first_annotator (llm): +0.410 [+0.120, +0.700] less dpo; confirmed: better than dpo",
    )


def test_where_nothing_is_known_nothing_is_shown() -> None:
    text = shown(View(campaign(best=None, forecast=None, stage=None)))
    assert "none yet" in text
    assert find_share(campaign(forecast=None)) is None


def test_the_bar_is_the_share_of_the_evaluations_that_there_are_at_most() -> None:
    assert find_share(campaign()) == pytest.approx(61 / (61 + 301))
    assert find_share(campaign(status="completed")) == 1.0


def test_a_stage_that_a_campaign_does_not_have_is_not_shown() -> None:
    spec = {**EXAMPLE["spec"], "held_out_arenas": []}
    assert dict(list_stages(campaign(spec=spec))) == {
        "library": True,
        "searching": None,
        "confirming": False,
        "ended": False,
    }


def test_a_campaign_that_moves_is_shown_as_it_is_now_however_soon() -> None:
    """Nothing more may come after a pause."""
    view = View(campaign())
    assert view.hear(event("campaign.paused"), lambda: campaign(status="paused"))
    assert ", paused" in shown(view)


def test_the_view_asks_for_the_campaign_no_more_than_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    view, asked = View(campaign()), []

    def read() -> Campaign:
        asked.append(now[0])
        return campaign()

    for _ in range(48):
        now[0] += 0.125
        view.hear(event("evaluation.succeeded"), read)
    assert asked == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_without_a_terminal_there_are_milestones_with_what_stands_then() -> None:
    told: list[str] = []
    milestones = Milestones(campaign, told.append)
    for each in (event("evaluation.succeeded"), event("round.closed", number=2), event("candidate.accepted")):
        milestones.hear(each)
    assert told == [
        "[0:47, 61 evaluations] round.closed: number 2; best so far trust_first_annotator (llm):"
        " +0.410 [+0.120, +0.700] less dpo; screened, which confirms nothing; ends in about 3:23"
    ]


def test_whom_a_halving_stopped_is_said_by_name() -> None:
    halved = event("round.halved", stopped=[0, 3], names=["exp", "lrml"])
    assert tell_event(halved) == "round.halved: names exp, lrml"


def test_a_paused_campaign_is_not_waited_for() -> None:
    with pytest.raises(Paused):
        Milestones(campaign, lambda _: None).hear(event("campaign.paused"))


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0:00"), (65, "1:05"), (7265, "2:01:05")])
def test_times_are_told_as_clocks_do(seconds: float, said: str) -> None:
    assert tell_time(seconds) == said
