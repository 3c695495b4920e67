"""What people put into a search: losses of their own and rounds as they want them, in the engine's turn."""

import random
from contextlib import nullcontext

import pytest

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import CampaignProgress, Proposal, Round
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import Budgets
from discovery_service.domain.orders import Order
from discovery_service.domain.states import CampaignStatus, CandidateStatus, ProposalStatus, Purpose, RoundStatus
from discovery_service.engine.by_hand import Sent, order_round, propose
from discovery_service.engine.campaigns import (
    cancel_campaign,
    edit_campaign,
    get_campaign,
    pause_campaign,
    resume_campaign,
)
from discovery_service.engine.extending import extend_campaign
from discovery_service.engine.outlook import read_outlook
from discovery_service.errors import Conflict, UnusableFields
from tests.engine.playing import table
from tests.engine.searching import OTHERS, Search, extend, in_turn

MINE = OTHERS[7]
VALUE = table({MINE: 0.8})


def search_with(sessions: Sessions, **spec: object) -> Search:
    given = {"budgets": {"candidates": 4}, "library": ["dpo", "ipo"], **spec}
    return Search(sessions, VALUE, in_turn(), **given)  # type: ignore[arg-type]


def write(name: str) -> str:
    return f"def {name}(policy_chosen_logps, beta):\n    return -beta * policy_chosen_logps\n"


def send(search: Search, name: str | None = MINE, source: str | None = None, **values: float) -> Proposal:
    sent = Sent(name, source or write(name or "loss"), "I thought of it.", values)
    with search.sessions.begin() as session:
        return propose(session, search.campaign_id, sent)


def order(search: Search, **values: object) -> Round:
    with search.sessions.begin() as session:
        return order_round(session, search.campaign_id, Order(**values))  # type: ignore[arg-type]


def places(search: Search) -> list[tuple[int, int, str]]:
    return [(number, each.slot, each.proposer) for number, each in search.list_proposals()]


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_persons_loss_has_a_place_in_the_next_round_and_is_confirmed_like_any_other(
    sessions: Sessions, is_begun: bool
) -> None:
    search = search_with(sessions)
    if is_begun:
        search.step()
    sent = send(search)
    assert sent.status is ProposalStatus.QUEUED
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    # It counts: four candidates in all, with its own.
    assert places(search) == [(1, 0, "human"), (1, 1, "symbolic"), (2, 0, "symbolic"), (2, 1, "symbolic")]
    assert [each.snapshot_rounds for each in search.list_rounds()] == [[], [0], [0]]
    proposal = search.list_proposals()[0][1]
    assert (proposal.status, proposal.outcome) == (ProposalStatus.ANSWERED, {"thought": "I thought of it."})
    assert search.list_exchanges(proposal.id) == []
    assert search.standings(Purpose.CONFIRM)[MINE].verdict == "better than"
    assert "of 4 candidates" in (search.get_campaign().status_reason or "")


def test_what_comes_while_a_round_is_open_waits_for_the_next_and_too_many_for_the_one_behind(
    sessions: Sessions,
) -> None:
    search = search_with(sessions, budgets={"candidates": 8})
    while not any(each.number == 1 for each in search.list_rounds()):
        search.do(search._list_acts())
        search.step()
    # Two rounds of two are open by now.
    for name in (MINE, OTHERS[8], OTHERS[9]):
        send(search, name)
    assert [each.status for each in search.list_rounds()][3:] == [RoundStatus.QUEUED, RoundStatus.QUEUED]
    search.search()
    humans = [(number, slot) for number, slot, who in places(search) if who == Author.HUMAN.value]
    assert humans == [(3, 0), (3, 1), (4, 0)]
    assert len(places(search)) == 8
    assert {each.status for each in search.list_rounds()} == {RoundStatus.CLOSED}


def test_a_person_may_send_a_twin_and_a_machines_beside_it_is_refused(sessions: Sessions) -> None:
    search = Search(sessions, VALUE, in_turn([OTHERS[0], OTHERS[0]]), budgets={"candidates": 3}, library=["dpo"])
    send(search, OTHERS[0])
    send(search, OTHERS[0], write(OTHERS[0]) + "# again\n")
    search.search(chance=random.Random(1))
    accepted, rejected = CandidateStatus.ACCEPTED, CandidateStatus.REJECTED
    assert [each[-1] for each in search.list_candidates()[1:]] == [accepted, accepted, rejected]
    assert search.list_differing() == []


def test_a_refused_loss_of_a_person_is_no_question_to_anybody(sessions: Sessions) -> None:
    search = search_with(sessions)
    send(search, None, "def helper(x):\n    return -x\n\n" + write("nonsense").replace("-beta", "helper(beta)"))
    search.search()
    [refused] = [each for each in search.list_candidates() if each[-1] is CandidateStatus.REJECTED]
    assert refused == (1, 0, 0, "nonsense", CandidateStatus.REJECTED)
    assert search.get_campaign().status is CampaignStatus.COMPLETED


def test_an_ordered_round_is_as_it_was_ordered(sessions: Sessions) -> None:
    search = search_with(sessions, arena="panel:mini", library=["dpo"], budgets={"candidates": 6}, **MODELS)
    order(search, size=3, proposer="llm", guidance="Something with a margin.")
    search.search()
    made_in = {number: [each.proposer for at, each in search.list_proposals() if at == number] for number in (1, 2)}
    assert made_in[1] == ["llm"] * 3
    assert sorted(made_in[2]) == ["llm", "symbolic"]
    first = search.list_proposals()[0][1]
    assert "Something with a margin." in str(search.list_exchanges(first.id)[0].messages)
    later = [each for number, each in search.list_proposals() if number == 2 and each.proposer == "llm"]
    assert "Something with a margin." not in str(search.list_exchanges(later[0].id)[0].messages)
    assert search.list_differing() == []


MODELS = {"proposers": [{"kind": "llm", "models": [{"model": "any"}]}, {"kind": "symbolic"}]}


def test_a_round_that_is_ordered_of_whom_the_spec_lacks_is_refused(sessions: Sessions) -> None:
    with pytest.raises(UnusableFields) as refused:
        order(search_with(sessions), proposer="llm")
    assert refused.value.fields == {"body.proposer": "is none of this campaign's spec, which has symbolic"}


def test_what_waits_when_the_search_ends_is_given_back_with_the_reason_and_counts_nowhere(sessions: Sessions) -> None:
    search = search_with(sessions, budgets={"candidates": 3})
    order(search)
    order(search)
    send(search, OTHERS[5])
    send(search, OTHERS[6])
    send(search, MINE)
    with sessions.begin() as session:
        fewer = Budgets.model_validate({"candidates": 2})
        edit_campaign(session, search.campaign_id, name=None, notes=None, guidance=None, budgets=fewer)
    search.search()
    told = [(each.status, each.outcome) for _, each in search.list_proposals()]
    assert [status for status, _ in told] == [ProposalStatus.ANSWERED] * 2 + [ProposalStatus.CANCELLED]
    assert told[2][1] is not None
    assert told[2][1]["message"].startswith(
        "The budget has no room for another proposal: candidates are used up, with 2"
    )
    with sessions() as session:
        progress = session.get_one(CampaignProgress, search.campaign_id)
        # Of four rounds two were never opened.
        assert (progress.candidates, progress.rounds_closed, len(search.list_rounds())) == (2, 2, 3)
        assert read_outlook(session, get_campaign(session, search.campaign_id)).spent.candidates == 2
    extend(search, candidates=4)
    send(search, MINE)
    search.search()
    # What was given back is none of the four.
    assert len([each for _, each in search.list_proposals() if each.status is ProposalStatus.ANSWERED]) == 4
    assert search.standings(Purpose.CONFIRM)[MINE].verdict == "better than"
    assert search.list_differing() == []


def test_a_round_that_was_never_opened_tries_nobodys_patience(sessions: Sessions) -> None:
    search = search_with(sessions, budgets={"candidates": 3, "patience": 1})
    order(search)
    for source in (OTHERS[5], OTHERS[6], MINE):
        send(search, source)
    with sessions.begin() as session:
        fewer = Budgets.model_validate({"candidates": 2})
        edit_campaign(session, search.campaign_id, name=None, notes=None, guidance=None, budgets=fewer)
    search.search()
    extend(search, candidates=4)
    search.search()
    assert [len(each.snapshot_rounds) > 0 for each in search.list_rounds()] == [False, True, False, True]


def test_where_all_places_are_taken_a_loss_is_refused_and_a_pause_makes_room_for_it(sessions: Sessions) -> None:
    search = search_with(sessions, budgets={"candidates": 4})
    while len(search.list_rounds()) < 3:
        search.do(search._list_acts())
        search.step()
    for put in (send, order):
        with pytest.raises(Conflict, match=r"All 4 candidates .* Pause it, raise its budget of candidates, send this"):
            put(search)
    with sessions.begin() as session:
        pause_campaign(session, search.campaign_id)
        more = Budgets.model_validate({"candidates": 5})
        edit_campaign(session, search.campaign_id, name=None, notes=None, guidance=None, budgets=more)
    send(search)
    with pytest.raises(Conflict, match="All 5 candidates"):
        send(search, OTHERS[8])
    with sessions.begin() as session:
        resume_campaign(session, search.campaign_id)
    search.search()
    assert places(search)[4:] == [(3, 0, "human")]
    assert search.standings(Purpose.CONFIRM)[MINE].verdict == "better than"


def test_an_extension_takes_losses_along_and_they_have_its_first_places(sessions: Sessions) -> None:
    search = search_with(sessions, budgets={"candidates": 2})
    search.search()
    mine = Sent(MINE, write(MINE), "I thought of it.")
    with sessions.begin() as session:
        more = Budgets.model_validate({"candidates": 4})
        extend_campaign(session, search.campaign_id, budgets=more, candidates=[mine])
    # Said twice it is done once; with another loss it is not the same.
    other = Sent(OTHERS[8], write(OTHERS[8]))
    for told, is_the_same in (([mine], True), ([mine, other], False)):
        with sessions() as session, nullcontext() if is_the_same else pytest.raises(Conflict, match="goes on without"):
            extend_campaign(session, search.campaign_id, budgets=more, candidates=told)
    search.search()
    assert places(search)[2:] == [(2, 0, "human"), (2, 1, "symbolic")]
    assert search.standings(Purpose.CONFIRM)[MINE].verdict == "better than"
    assert search.list_differing() == []


def test_a_text_that_is_no_loss_or_was_sent_already_takes_no_place(sessions: Sessions) -> None:
    search = search_with(sessions)
    with pytest.raises(UnusableFields) as refused:
        send(search, None, "import os\n\n" + write("some"))
    [(field, why)] = refused.value.fields.items()
    assert field == "body.source"
    assert why.startswith("is no loss of this campaign's family in line 1: ")
    send(search)
    with pytest.raises(Conflict, match=r"The same text was sent already: it has slot 0 of round 1\."):
        send(search, OTHERS[8], write(MINE))
    assert len(search.list_proposals()) == 1


def test_of_a_text_with_several_losses_each_may_be_sent(sessions: Sessions) -> None:
    search, both = search_with(sessions), write(MINE) + "\n\n" + write(OTHERS[8])
    send(search, MINE, both)
    send(search, OTHERS[8], both)
    with pytest.raises(Conflict, match="The same text was sent already"):
        send(search, None, both)
    assert [each.request["entry"] for _, each in search.list_proposals()] == [MINE, OTHERS[8]]


def test_what_a_method_reads_of_its_trainer_comes_beside_it_and_its_name_is_its_own(sessions: Sessions) -> None:
    search = search_with(sessions)
    method = f"    def {MINE}(self, policy_chosen_logps):\n        return self.gap - self.beta * policy_chosen_logps\n"
    with pytest.raises(UnusableFields) as refused:
        send(search, None, method)
    assert "`self.gap` has no value" in refused.value.fields["body.source"]
    with pytest.raises(UnusableFields) as refused:
        send(search, None, method, gap=0.5, gab=0.5)
    assert refused.value.fields["body.hyperparameters"].startswith(
        "gab is no hyper-parameter that the source leaves open"
    )
    send(search, None, method, gap=0.5)
    # With another value it is another loss.
    send(search, OTHERS[8], method, gap=1)
    search.search()
    sent = [each for _, each in search.list_proposals() if each.proposer == "human"]
    assert [(each.request["name"], each.request["values"]) for each in sent] == [
        (MINE, {"gap": 0.5}),
        (OTHERS[8], {"gap": 1}),
    ]
    assert search.list_differing() == []


def test_a_twin_of_a_known_loss_takes_no_place_from_others_in_the_halving(sessions: Sessions) -> None:
    """It can be no finalist, however good it is."""
    better = table({"cdpo": 0.9, OTHERS[5]: 0.2})
    search = Search(sessions, better, in_turn(), library=["dpo", "ipo", "cdpo"], budgets={"candidates": 2})
    send(search, "cdpo")
    send(search, OTHERS[5])
    search.search()
    assert [each.stopped_slots for each in search.list_rounds()][1:] == [[0]]
    assert set(search.standings(Purpose.CONFIRM)) > {OTHERS[5]}


def test_once_the_search_is_over_nothing_is_taken_and_what_helps_is_said(sessions: Sessions) -> None:
    search = search_with(sessions, budgets={"candidates": 2})
    search.step()
    while search.get_campaign().status is CampaignStatus.RUNNING and not search.told("search.over"):
        search.do(search._list_acts())
        search.step()
    for put in (send, order):
        with pytest.raises(Conflict, match=r"search of this campaign is over.* Once it is completed extend it"):
            put(search)
    search.search()
    for put in (send, order):
        with pytest.raises(Conflict, match=r"completed and proposes nothing any more\. Extend it"):
            put(search)
    other = search_with(sessions)
    send(other)
    with sessions.begin() as session:
        cancel_campaign(session, other.campaign_id)
    assert [each.status for _, each in other.list_proposals()] == [ProposalStatus.CANCELLED]
    with pytest.raises(Conflict, match=r"is cancelled and does not go on\. Clone it"):
        send(other)


def test_neither_order_nor_lost_steps_change_what_becomes_of_what_people_sent(sessions: Sessions) -> None:
    def run(chance: random.Random | None) -> tuple[object, ...]:
        search = search_with(sessions, budgets={"candidates": 6}, seed=5)
        send(search)
        order(search, size=1)
        search.search(chance=chance, lost=0.3)
        return places(search), search.list_candidates(), search.keys()

    assert run(random.Random(1)) == run(None)
