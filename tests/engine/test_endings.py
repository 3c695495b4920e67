"""How campaigns begin and end: in one arena, by one seal, and with no more said than was measured."""

import pytest
from sqlalchemy import select

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Arena, Campaign, Candidate, Freeze, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.described_arenas import pinned_name
from discovery_service.domain.states import CampaignStatus, CandidateStatus, EvaluationStatus, RoundStatus
from discovery_service.engine import arenas
from discovery_service.engine.campaigns import get_campaign, resume_campaign
from discovery_service.engine.confirm import BrokenSeal
from discovery_service.engine.entries import read_field
from discovery_service.engine.evaluations import retry_evaluation
from tests.engine.playing import ARENA, CALIBRATION, ELSEWHERE, Play, document
from tests.engine.test_verdicts import CONFIRM, PLANTED, SCREEN, TUNE, finalists


@pytest.mark.parametrize("change", ["seed", "arena", "graph_sha256"])
def test_what_follows_from_a_seal_is_not_drawn_again_where_rows_behind_it_were_changed(
    sessions: Sessions, owner_sessions: Sessions, change: str
) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.run(until=CONFIRM)
    before = play.keys()
    with owner_sessions.begin() as session:
        session.connection().exec_driver_sql("ALTER TABLE candidate DISABLE TRIGGER keep_frozen_loss")
        campaign = session.get_one(Campaign, play.campaign_id)
        campaign.spec = campaign.spec | ({"seed": 7} if change == "seed" else {})
        if change == "arena":
            campaign.spec = campaign.spec | {"arena": ARENA}  # without a version, as a built-in one
            session.get_one(Arena, play.arena_id).content_sha256 = "d" * 64
        elif change == "graph_sha256":
            cdpo, ipo = (session.scalars(select(Candidate).filter_by(name=each)).one() for each in ("cdpo", "ipo"))
            cdpo.graph, cdpo.graph_sha256 = ipo.graph, ipo.graph_sha256
    with pytest.raises(BrokenSeal, match="no longer what was sealed"):
        play.step()
    assert play.keys() == before


def test_a_graph_that_is_not_the_accepted_one_is_not_trained(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.step()
    with sessions.begin() as session:
        cdpo, ipo = (session.scalars(select(Candidate).filter_by(name=each)).one() for each in ("cdpo", "ipo"))
        cdpo.graph = ipo.graph
    row_id = next(row.id for name, row in play.evaluations() if name == "cdpo")
    with pytest.raises(ValueError, match=r"not the .* that the gate has accepted"):
        play.measure(row_id)


def test_where_all_that_came_through_are_twins_of_known_losses_that_is_said(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[], library=("dpo", "ipo"))
    play.add_round(["cdpo"], author=Author.HUMAN, twin={"name": "ipo", "library": "ipo"})
    play.run()
    reason = play.get_campaign().status_reason or ""
    assert reason.endswith("all that came through tuning and screen are known losses or twins of one.")


def test_where_dpo_was_not_accepted_it_is_not_said_to_have_failed(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=("dpo", "ipo"))
    with sessions.begin() as session:
        session.scalars(select(Candidate).filter_by(name="dpo")).one().status = CandidateStatus.REJECTED
    play.run()
    assert "dpo is not among the accepted losses" in (play.get_campaign().status_reason or "")


def test_a_campaign_stays_in_the_arena_in_which_it_began(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a later version of the package calls by the name of a built-in one."""
    play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=("dpo", "ipo"), held_out=[ELSEWHERE])
    with sessions.begin() as session:
        campaign = session.get_one(Campaign, play.campaign_id)
        campaign.spec = campaign.spec | {"arena": ARENA, "held_out_arenas": [ELSEWHERE]}
    play.run(until=CONFIRM)
    play.measure(*(row.id for _, row in play.evaluations(purpose=CONFIRM)))
    before = {row.arena_id for _, row in play.evaluations()}
    changed = {name: document(name) | {"version": 2} for name in (ARENA, ELSEWHERE)}
    monkeypatch.setattr(arenas, "find_document", changed.get)
    play.run()
    assert play.get_campaign().status is CampaignStatus.COMPLETED
    assert {row.arena_id for _, row in play.evaluations()} == before
    with sessions() as session:
        assert len(session.scalars(select(Freeze)).all()) == len(before) == 2


def test_another_version_of_the_searched_arena_is_held_out_like_another_arena(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=("dpo", "ipo"))
    with sessions.begin() as session:
        other, _ = arenas.register_arena(session, document(ARENA) | {"version": 2})
        other.calibration = CALIBRATION
        campaign, searched = session.get_one(Campaign, play.campaign_id), session.get_one(Arena, play.arena_id)
        names = [pinned_name(ARENA, each.content_sha256) for each in (searched, other)]
        campaign.spec = campaign.spec | {"arena": names[0], "held_out_arenas": names[1:]}
        other_id = other.id
    play.run()
    assert play.get_campaign().status is CampaignStatus.COMPLETED
    assert play.standings(CONFIRM, arena_id=other_id)["cdpo"].verdict == "better than"
    assert play.counts(TUNE, arena_id=other_id) == play.counts(TUNE) == {"dpo": 11, "ipo": 11, "cdpo": 11}


def test_the_known_loss_counts_that_it_is_a_twin_of_and_not_the_name_of_the_nearest(sessions: Sessions) -> None:
    """A copy of DPO beside an earlier copy is nearest to that; and a proposal may call itself as a known loss."""
    play = Play(sessions, PLANTED, rounds=[("exp",)])
    twin = {"cosine": 0.999, "is_twin": True}
    play.add_round(["cdpo"], author=Author.HUMAN, twin=twin | {"name": "an_earlier_copy", "library": "ipo"})
    play.add_round(["lrml"], author=Author.HUMAN, twin=twin | {"name": "ipo", "library": None})
    play.run(until=CONFIRM)
    with sessions() as session:
        field = read_field(session, play.campaign_id, _spec(play), session.get_one(Arena, play.arena_id))
    known = {each.name: each.is_known for each in field.entries if each.author is not Author.LIBRARY}
    assert known == {"exp": False, "cdpo": True, "lrml": False}
    assert "cdpo" not in finalists(play)


def _spec(play: Play) -> CampaignSpec:
    return CampaignSpec.model_validate(play.get_campaign().spec)


def test_nothing_is_frozen_before_the_search_is_over(sessions: Sessions) -> None:
    """Between two rounds all that there are are judged, as before the first proposal."""
    play = Play(sessions, PLANTED, rounds=[], library=("dpo", "ipo"), is_search_over=False)
    play.run()
    assert play.get_campaign().status is CampaignStatus.RUNNING
    play.add_round(["cdpo"])
    play.run()
    assert (finalists(play), play.counts(SCREEN)["cdpo"]) == ({}, 3)
    play.end_search()
    play.run()
    assert finalists(play)["cdpo"] == "finalist"
    assert play.get_campaign().status is CampaignStatus.COMPLETED


def test_a_campaign_pauses_for_all_that_its_end_lacks_by_our_fault(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.run(until=CONFIRM)
    given_up = [row.id for name, row in play.evaluations(purpose=CONFIRM) if name == "cdpo"][:2]
    held = [play.claim(row_id) for row_id in given_up]
    for each in held:
        play.crash(each.id, each)
    assert str(given_up[1]) not in (play.get_campaign().status_reason or "")
    for left in (given_up, given_up[1:]):
        resume(play)
        play.run()
        reason = play.get_campaign().status_reason or ""
        assert play.get_campaign().status is CampaignStatus.PAUSED
        assert [str(row_id) in reason for row_id in given_up] == [row_id in left for row_id in given_up]
        with sessions.begin() as session:
            retry_evaluation(session, left[0])
    assert {row.verdict for row in play.standings(CONFIRM).values()} == {None}
    resume(play)
    play.run()
    assert play.get_campaign().status is CampaignStatus.COMPLETED
    assert play.standings(CONFIRM)["cdpo"].verdict == "better than"


def test_without_a_training_of_dpos_on_which_we_gave_up_nobody_is_said_to_have_failed(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=("dpo", "ipo"))
    play.run(until=SCREEN)
    given_up = next(row.id for name, row in play.evaluations() if name == "dpo" and row.purpose is SCREEN)
    play.crash(given_up)
    resume(play)
    play.run()
    assert play.get_campaign().status is CampaignStatus.PAUSED
    assert str(given_up) in (play.get_campaign().status_reason or "")
    with sessions.begin() as session:
        retry_evaluation(session, given_up)
    resume(play)
    play.run()
    assert (play.get_campaign().status_reason or "").startswith("Confirmed: ")


def test_in_a_held_out_arena_too_a_loss_is_not_left_out_for_a_training_on_which_we_gave_up(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",)], library=("dpo", "ipo"), held_out=[ELSEWHERE])
    play.run(until=CONFIRM)
    elsewhere = [
        row for name, row in play.evaluations(purpose=TUNE) if name == "cdpo" and row.arena_id != play.arena_id
    ]
    play.crash(elsewhere[0].id)
    resume(play)
    play.run()
    assert play.get_campaign().status is CampaignStatus.PAUSED
    assert str(elsewhere[0].id) in (play.get_campaign().status_reason or "")


def resume(play: Play) -> None:
    with play.sessions.begin() as session:
        resume_campaign(session, play.campaign_id)


def test_the_end_leaves_nothing_waiting_closes_rounds_and_counts(sessions: Sessions) -> None:
    """Also where a training of the search was tried again after the freeze."""
    play = Play(sessions, PLANTED, rounds=[("cdpo", "exp"), ("lrml",)])
    play.step()
    given_up = next(row.id for name, row in play.evaluations() if name == "exp")
    play.crash(given_up)
    resume(play)
    play.run(until=CONFIRM)
    with sessions.begin() as session:
        retry_evaluation(session, given_up)
    play.measure(*(row_id for row_id in play.list_waiting() if row_id != given_up))
    play.step()
    assert play.get_campaign().status is CampaignStatus.COMPLETED
    assert play.get(given_up).status is EvaluationStatus.CANCELLED
    with sessions() as session:
        rounds = session.scalars(select(Round).where(Round.campaign_id == play.campaign_id)).all()
        progress = get_campaign(session, play.campaign_id).progress
    assert {(each.status, each.closed_at is not None) for each in rounds} == {(RoundStatus.CLOSED, True)}
    assert (progress.rounds_closed, progress.candidates) == (3, 3)
    best = progress.best or {}
    confirmed = play.standings(CONFIRM)["cdpo"]
    assert (best["name"], best["verdict"], best["lower"]) == ("cdpo", "better than", confirmed.lower)


def test_of_two_finalists_none_is_told_before_both_are_measured(sessions: Sessions) -> None:
    play = Play(sessions, PLANTED, rounds=[("cdpo",), ("exp",)], confirmation={"finalists": 2})
    play.run(until=CONFIRM)
    last = [row.id for name, row in play.evaluations(purpose=CONFIRM) if name == "exp"][-1]
    play.measure(*(row_id for row_id in play.list_waiting() if row_id != last))
    play.step()
    for row in play.standings(CONFIRM).values():
        assert (row.difference, row.verdict, "means" in row.figures) == (None, None, False)
    play.run()
    assert None not in [play.standings(CONFIRM)[name].verdict for name in ("cdpo", "exp")]


def test_a_look_leaves_what_is_known_of_a_built_in_arena_as_it_is(sessions: Sessions) -> None:
    """Or two versions of a fleet would overwrite each other's figures at every step."""
    newer = {"library": None}
    with sessions.begin() as session:
        made = arenas.get_arena(session, "plain:mini")
        assert made.calibration is not None
        made.calibration = newer
    with sessions.begin() as session:
        assert arenas.get_arena(session, "plain:mini").calibration == newer
