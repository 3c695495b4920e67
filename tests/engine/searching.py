"""Whole campaigns without a model, a jail or a trainer: replies, verdicts and values come from tables."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Candidate, Event, Exchange, Proposal, Round
from discovery_service.domain.archive import Archive
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import Budgets
from discovery_service.domain.families import Family
from discovery_service.domain.requests import Request
from discovery_service.domain.states import CampaignStatus, CandidateStatus, ExchangeStatus, RoundStatus
from discovery_service.engine.advance import advance
from discovery_service.engine.arenas import get_arena, register_arena
from discovery_service.engine.claim import claim, crash, finish
from discovery_service.engine.extending import extend_campaign
from discovery_service.engine.findings import Findings, Leaf, What
from discovery_service.engine.replay import replay
from discovery_service.engine.work import CANDIDATE, EVALUATION, EXCHANGE
from discovery_service.losses.described import list_described
from discovery_service.losses.fingerprints import VERSION
from tests import rows
from tests.engine.playing import ARENA, CALIBRATION, LIBRARY, Play, Value, document
from workers.gate.settle import settle_round

REFUSAL = {"code": "unknown_name", "message": "There is no such name.", "line": 1}
OTHERS = tuple(name for name in list_described(Family.PAIRWISE) if name not in LIBRARY)

Replies = Callable[[int, int, int], str | None]
"""By round, slot and turn; None where nobody answers."""
Act = tuple[Callable[[UUID], None], UUID]
"""What somebody may do next, and to which row."""


def say(name: str) -> str:
    """A reply that proposes a known loss."""
    return json.dumps({"thought": f"I thought of {name}.", "name": name, "code": f"def {name}(beta):\n    return beta"})


def in_turn(names: Sequence[str] = OTHERS, *, round_size: int = 2) -> Replies:
    return lambda number, slot, _: say(names[((number - 1) * round_size + slot) % len(names)])


def extend(search: "Search", **budgets: object) -> None:
    with search.sessions.begin() as session:
        extend_campaign(session, search.campaign_id, budgets=Budgets.model_validate(budgets))


class Search(Play):
    """One campaign from its creation on."""

    def __init__(
        self,
        sessions: Sessions,
        value: Value,
        replies: Replies,
        *,
        arena: str = ARENA,
        library: Sequence[str] = LIBRARY,
        held_out: Sequence[str] = (),
        calibration: dict[str, Any] | None = CALIBRATION,
        **spec: Any,
    ) -> None:
        self.sessions, self.value, self.replies = sessions, value, replies
        self.described = list_described(Family.PAIRWISE)
        self.names = {each.graph_sha256: name for name, each in self.described.items()}
        confirmation = {"finalists": 1, "min_draws": 9, "detect": 1.0} | spec.pop("confirmation", {})
        given = {"strategy": {"name": "evolve", "round_size": 2}} | spec
        with sessions.begin() as session:
            for name in {ARENA, *held_out}:
                register_arena(session, document(name))[0].calibration = calibration
            campaign = rows.add_campaign(
                session,
                status=CampaignStatus.QUEUED,
                arena=arena,
                held_out_arenas=list(held_out),
                library=list(library),
                confirmation=confirmation,
                **given,
            )
            self.campaign_id, self.worker_id = campaign.id, rows.add_worker(session).id
            self.arena_id = get_arena(session, arena).id

    def step(self, finished: UUID | None = None) -> None:
        with self.sessions.begin() as session:
            advance(session, self.campaign_id, finished)

    def search(
        self,
        *,
        chance: random.Random | None = None,
        slots: int | None = None,
        lost: float = 0.0,
        killed: float = 0.0,
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Until nothing waits: with a step after all that waited was done, or after each of so many slots.

        By chance in any order, with so many steps lost, and so many workers killed in the middle of something.
        """
        self.step()
        while not until() and (waiting := self._list_acts()):
            if chance is None and slots is None:
                self.do(waiting)
                self.step()
                continue
            if chance is not None:
                chance.shuffle(waiting)
                waiting = waiting[: chance.randint(1, slots or len(waiting))]
            for act, row_id in waiting[:slots]:
                if chance is not None and chance.random() < killed and self._kill(act, row_id):
                    continue
                act(row_id)
                if slots is not None and (chance is None or chance.random() >= lost):
                    self.step(row_id if act == self.measure else None)
            self.step()

    def do(self, acts: Sequence[Act]) -> None:
        """All of that, whatever is measured last and at once."""
        measured = [row_id for act, row_id in acts if act == self.measure]
        for act, row_id in acts:
            if act != self.measure:
                act(row_id)
        if measured:
            self.measure(*measured)

    def _kill(self, act: Callable[[UUID], None], row_id: UUID) -> bool:
        """Whoever does it is lost in the middle; whether there was anything to hold."""
        kinds = {self.answer: EXCHANGE, self.judge: CANDIDATE, self.measure: EVALUATION}
        held = None
        with self.sessions.begin() as session:
            if act in kinds:
                held = claim(session, kinds[act], row_id, self.worker_id)
        if held is not None:
            with self.sessions.begin() as session:
                crash(session, held, "its worker was lost", counts=False)
        return held is not None

    def _list_acts(self) -> list[Act]:
        if self.get_campaign().status is not CampaignStatus.RUNNING:
            return []
        mine = self.campaign_id
        with self.sessions() as session:
            asked = select(Exchange.id).where(Exchange.campaign_id == mine, Exchange.status == ExchangeStatus.QUEUED)
            made = select(Candidate.id).where(
                Candidate.campaign_id == mine, Candidate.status == CandidateStatus.PROPOSED
            )
            acts = [(self.answer, row_id) for row_id in session.scalars(asked.order_by(Exchange.id))]
            acts += [(self.judge, row_id) for row_id in session.scalars(made.order_by(Candidate.id))]
            acts += [(self.settle, row_id) for row_id in self._list_at_barrier()]
        return acts + [(self.measure, row_id) for row_id in self.list_waiting()]

    def _list_at_barrier(self) -> list[UUID]:
        """Those that can pass it now; others wait for the one before."""
        with self.sessions() as session:
            rounds = session.scalars(select(Round).where(Round.campaign_id == self.campaign_id)).all()
            by_number = {each.number: each for each in rounds}
            past = (RoundStatus.EVALUATING, RoundStatus.CLOSED)
            moving = select(Round.id).join(Proposal, Proposal.round_id == Round.id)
            moving = moving.join(Candidate, Candidate.proposal_id == Proposal.id)
            judging = set(
                session.scalars(moving.where(Candidate.status.in_((CandidateStatus.PROPOSED, CandidateStatus.GATING))))
            )
            return [
                each.id
                for each in rounds
                if each.status is RoundStatus.GATING
                and each.number
                and each.id not in judging
                and by_number[each.number - 1].status in past
            ]

    def answer(self, row_id: UUID) -> None:
        with self.sessions.begin() as session:
            held = claim(session, EXCHANGE, row_id, self.worker_id)
            if held is None:
                return
            exchange = session.get_one(Exchange, row_id)
            proposal = session.get_one(Proposal, exchange.proposal_id)
            number = session.get_one(Round, proposal.round_id).number
            reply = self.replies(number, proposal.slot, exchange.turn)
            if reply is None:
                failure = {"code": "filtered", "message": "A filter stopped the reply."}
                finish(session, held, ExchangeStatus.FAILED, failure=failure)
            else:
                finish(session, held, ExchangeStatus.ANSWERED, reply=reply, tokens_in=0, tokens_out=0)

    def judge(self, row_id: UUID) -> None:
        """As the gate: what it knows by name is accepted."""
        with self.sessions.begin() as session:
            held = claim(session, CANDIDATE, row_id, self.worker_id)
            if held is None:
                return
            known = self.described.get(session.get_one(Candidate, row_id).name)
            if known is None:
                finish(session, held, CandidateStatus.REJECTED, refusal={**REFUSAL, "all": [REFUSAL]})
                return
            columns = {"graph": known.graph, "graph_sha256": known.graph_sha256, "passport": known.passport}
            columns |= {"fingerprint": known.fingerprint, "fingerprint_version": VERSION, "formula": known.formula}
            judged, campaign = session.get_one(Candidate, row_id), session.get_one(Campaign, self.campaign_id)
            if judged.author is Author.HUMAN and judged.name in campaign.spec["library"]:
                columns["twin"] = {"name": judged.name, "cosine": 1.0, "library": judged.name}
            finish(session, held, CandidateStatus.ACCEPTED, **columns)

    def settle(self, row_id: UUID) -> None:
        with self.sessions.begin() as session:
            settle_round(session, row_id)

    def replay(self, session: Session) -> Findings:
        def redraw(request: Request, archive: Archive, family: Family, place: Mapping[str, int]) -> str | None:
            return self.replies(place["round_index"], place["slot"], place["turn"])

        return replay(session, self.campaign_id, redraw)

    def list_differing(self) -> list[tuple[What, str, list[Leaf]]]:
        """What a replay finds to be other than it is stored."""
        with self.sessions() as session:
            return [(each.what, each.where, each.list_leaves()) for each in self.replay(session).differences]

    def list_rounds(self) -> list[Round]:
        with self.sessions() as session:
            query = select(Round).where(Round.campaign_id == self.campaign_id)
            return list(session.scalars(query.order_by(Round.number)))

    def list_proposals(self) -> list[tuple[int, Proposal]]:
        """With the numbers of their rounds, the library's left out."""
        with self.sessions() as session:
            query = select(Round.number, Proposal).join(Proposal, Proposal.round_id == Round.id)
            query = query.where(Round.campaign_id == self.campaign_id, Proposal.proposer != Author.LIBRARY.value)
            return [(number, row) for number, row in session.execute(query.order_by(Round.number, Proposal.slot))]

    def list_exchanges(self, proposal_id: UUID) -> list[Exchange]:
        with self.sessions() as session:
            query = select(Exchange).where(Exchange.proposal_id == proposal_id)
            return list(session.scalars(query.order_by(Exchange.turn)))

    def list_candidates(self) -> list[tuple[int, int, int, str, CandidateStatus]]:
        with self.sessions() as session:
            query = (
                select(Round.number, Proposal.slot, Candidate.turn, Candidate.name, Candidate.status)
                .join(Proposal, Proposal.round_id == Round.id)
                .join(Candidate, Candidate.proposal_id == Proposal.id)
                .where(Round.campaign_id == self.campaign_id)
            )
            return [tuple(row) for row in session.execute(query.order_by(*query.selected_columns[:3]))]

    def told(self, kind: str) -> list[Mapping[str, Any]]:
        """What the events of a kind say, in order."""
        with self.sessions() as session:
            query = select(Event.payload).where(Event.campaign_id == self.campaign_id, Event.kind == kind)
            return list(session.scalars(query.order_by(Event.id)))
