"""What the pages show: every number with its interval, nothing unescaped, and screened apart from confirmed."""

from html.parser import HTMLParser
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import update

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Candidate
from discovery_service.domain.measuring import Failure
from discovery_service.domain.metrics import MEANINGS
from discovery_service.domain.states import Purpose
from discovery_service.engine.measurements import Job
from tests.api.test_exports import id_of, played
from tests.engine.measured import Outcome, Trained
from tests.engine.playing import ELSEWHERE, Play, table

VOID = {"meta", "link", "input", "br", "line", "rect", "circle"}


class Structure(HTMLParser):
    """Whether each element ends where it should, and the text of each table by its caption."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[str]] = {}
        self._words: list[str] = []
        self._caption = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self._words = []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "caption":
            self._caption = " ".join(self._words)
            self.tables[self._caption] = []
        if tag == "tr":
            self.tables[self._caption].append(" ".join(" ".join(self._words).split()))
        if tag == "table":
            self._words = []

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "caption":
            self._words = [data]
        else:
            self._words.append(data)


def read(browser: httpx2.Client, path: str) -> Structure:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    return Structure(answer.text)


def test_a_campaigns_page_shows_confirmed_and_screened_losses_apart_each_with_its_interval(
    browser: httpx2.Client, sessions: Sessions
) -> None:
    won = played(sessions, 0.5)
    page = read(browser, f"/campaigns/{won.campaign_id}")
    (confirmed, screened) = page.tables.values()
    for stage, rows in ((Purpose.CONFIRM, confirmed), (Purpose.SCREEN, screened)):
        stored = won.standings(stage)["cdpo"]
        shown = f"{stored.difference:+.3f} [{stored.lower:+.3f}, {stored.upper:+.3f}]"
        [row] = [each for each in rows if " cdpo " in f" {each} "]
        assert shown in row
        assert ("better than dpo" in row) is (stage is Purpose.CONFIRM)
    assert "better than ipo: +0." in confirmed[1]
    assert [name for name in page.tables if name.startswith("Confirmed on fresh draws")]
    assert [name for name in page.tables if name.startswith("Screened, which confirms nothing")]


class Plural(Play):
    """In an arena that tells how far a policy is from what rewards say of its own answers."""

    def _train(self, job: Job | Trained) -> Outcome:
        outcome = super()._train(job)
        return outcome if isinstance(outcome, Failure) else {**outcome, "kl_to_target": 0.2, "pm_divergence": 0.31}


def test_what_only_some_arenas_tell_has_a_column_there_that_says_what_it_is(
    browser: httpx2.Client, sessions: Sessions
) -> None:
    play = Plural(sessions, table({"cdpo": 0.5}), rounds=[("cdpo",)], library=["dpo", "ipo"])
    play.run()
    page = read(browser, f"/campaigns/{play.campaign_id}")
    for rows in page.tables.values():
        head, *losses = rows
        assert "Attained PM divergence KL to target Setting" in head
        assert all("0.310 [0.310, 0.310]" in each for each in losses)
    told = {attrs.get("title") for tag, attrs in page.tags if tag == "th"}
    assert {MEANINGS["kl_to_target"], MEANINGS["pm_divergence"]} < told


def test_every_bar_has_zero_in_it_and_lies_around_its_mean(browser: httpx2.Client, sessions: Sessions) -> None:
    page = read(browser, f"/campaigns/{played(sessions, 0.5).campaign_id}")
    drawn = [(tag, attrs) for tag, attrs in page.tags if tag in ("line", "rect", "circle")]
    assert len(drawn) == 3 * 3  # cdpo confirmed and screened, ipo screened
    for zero, interval, mean in zip(drawn[::3], drawn[1::3], drawn[2::3], strict=True):
        left = float(str(interval[1]["x"]))
        right = left + float(str(interval[1]["width"]))
        assert 0 <= left <= float(str(mean[1]["cx"])) <= right <= 200
        assert 0 <= float(str(zero[1]["x1"])) <= 200


def test_a_held_out_arena_has_a_board_of_its_own(browser: httpx2.Client, sessions: Sessions) -> None:
    play = Play(sessions, table({"cdpo": 0.5}), rounds=[("cdpo",)], library=["dpo", "ipo"], held_out=[ELSEWHERE])
    play.run()
    text = browser.get(f"/campaigns/{play.campaign_id}").text
    assert text.index("<h2>table</h2>") < text.index(f"<h2>{ELSEWHERE}, held out</h2>")


def test_the_module_is_downloaded_from_the_page(browser: httpx2.Client, sessions: Sessions) -> None:
    won = played(sessions, 0.5)
    told = browser.get(f"/campaigns/{won.campaign_id}").text
    assert "the confirmed discovery with the highest lower bound" in told
    module = browser.get(f"/campaigns/{won.campaign_id}/module")
    assert 'NAME = "cdpo"' in module.text
    assert "attachment" in module.headers["content-disposition"]
    assert browser.get(f"/candidates/{id_of(won, 'ipo')}/module").status_code == 200


def test_without_a_discovery_the_page_says_so_and_the_best_of_the_others_leaves_as_that(
    browser: httpx2.Client, sessions: Sessions
) -> None:
    lost = played(sessions, -0.5)
    told = browser.get(f"/campaigns/{lost.campaign_id}").text
    assert "No discovery is confirmed." in told
    assert "?unconfirmed=true" in told
    refused = browser.get(f"/campaigns/{lost.campaign_id}/module")
    assert (refused.status_code, "Nothing was confirmed to be better" in refused.text) == (409, True)
    taken = browser.get(f"/campaigns/{lost.campaign_id}/module", params={"unconfirmed": True})
    assert "CONFIRMED WORSE" in taken.text


def test_what_people_and_models_wrote_is_shown_as_text(browser: httpx2.Client, sessions: Sessions) -> None:
    play, hostile = played(sessions, 0.5), '"><script>alert(1)</script>{{ 7 * 7 }}'
    with sessions.begin() as session:
        session.execute(update(Campaign).values(name=hostile, notes=hostile, status_reason=hostile))
        twin = {"name": hostile, "library": hostile}
        session.execute(update(Candidate).where(Candidate.author == "symbolic").values(twin=twin))
    for path in ("/", f"/campaigns/{play.campaign_id}"):
        text = browser.get(path).text
        assert "<script" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "{{ 7 * 7 }}" in text
        Structure(text)


def test_the_list_says_how_the_best_of_each_campaign_stands(browser: httpx2.Client, sessions: Sessions) -> None:
    first = played(sessions, 0.5, name="the first one")
    page = read(browser, "/")
    [rows] = page.tables.values()
    assert "the first one completed table" in rows[1]
    stored = first.standings(Purpose.CONFIRM)["cdpo"]
    assert f"cdpo: {stored.difference:+.3f} [{stored.lower:+.3f}, {stored.upper:+.3f}], better than dpo" in rows[1]


def test_without_a_campaign_the_page_says_how_one_begins(browser: httpx2.Client) -> None:
    assert "discovery demo" in browser.get("/").text


@pytest.mark.parametrize("path", ["/campaigns/{}", "/campaigns/{}/module", "/candidates/{}/module"])
def test_what_is_not_there_is_said_on_a_page(browser: httpx2.Client, path: str) -> None:
    answer = browser.get(path.format(uuid4()))
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    Structure(answer.text)
    assert "There is no c" in answer.text
