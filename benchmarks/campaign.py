"""A campaign with an archive of a thousand losses, in a PostgreSQL of its own, for what a real candidate pays."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy.orm import Session

from discovery_service.db.migrate import upgrade
from discovery_service.db.tables import Candidate, Proposal, Round, Worker
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.families import Family
from discovery_service.domain.states import CampaignStatus, CandidateStatus, RoundStatus
from discovery_service.engine.campaigns import create_campaign
from discovery_service.local.postgres import running_postgres
from discovery_service.losses.fingerprints import BETAS, ENTRIES, MAGNITUDES, VERSION
from discovery_service.losses.known import KnownLoss
from workers.process import get_sessions, task_unit


def make_fingerprints(count: int) -> list[tuple[str, bytes]]:
    """Of losses that nobody has seen, each another one."""
    noise = np.random.default_rng(0)
    shape = (len(BETAS), len(MAGNITUDES), ENTRIES[Family.PAIRWISE])
    return [(f"stranger {number}", _make_fingerprint(noise, shape)) for number in range(count)]


def _make_fingerprint(noise: np.random.Generator, shape: tuple[int, ...]) -> bytes:
    blocks = noise.normal(size=shape)
    # The last number of a block marks what was not finite.
    blocks[..., -2:] = 0
    raw: bytes = (blocks / np.linalg.norm(blocks, axis=-1, keepdims=True)).astype("<f2").tobytes()
    return raw


@contextmanager
def running_database() -> Iterator[None]:
    """This process's settings lead to it."""
    with (
        tempfile.TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True) as directory,
        running_postgres(Path(directory), durable=True) as postgres,
    ):
        upgrade(postgres.owner_url)
        os.environ["DISCOVERY__DB__URL"] = postgres.owner_url
        yield
        get_sessions().kw["bind"].dispose()


def fill(archived: Sequence[tuple[str, bytes]], waiting: Sequence[KnownLoss]) -> tuple[UUID, list[UUID]]:
    """A worker, and candidates of a running campaign whose snapshot holds the archived ones."""
    with task_unit() as session:
        spec = CampaignSpec(arena="plain:mini")
        campaign = create_campaign(session, name="benchmark", notes="", spec=spec, created_by=None)
        campaign.status = CampaignStatus.RUNNING
        worker = Worker(name="gate@here", queues=["gate"], slots=1, host="here", pid=os.getpid())
        closed = Round(campaign_id=campaign.id, number=0, status=RoundStatus.CLOSED)
        current = Round(campaign_id=campaign.id, number=1, snapshot_rounds=[0])
        session.add_all([worker, closed, current])
        session.flush()
        stored = {"status": CandidateStatus.ACCEPTED, "fingerprint_version": VERSION, "source": ""}
        _add(session, closed, [{**stored, "name": name, "fingerprint": raw} for name, raw in archived])
        made = _add(session, current, [{"name": known.name, "source": known.text} for known in waiting])
        return worker.id, made


def _add(session: Session, made_in: Round, candidates: Iterable[dict[str, Any]]) -> list[UUID]:
    ids = []
    for slot, columns in enumerate(candidates):
        proposal = Proposal(round_id=made_in.id, slot=slot, proposer="benchmark")
        session.add(proposal)
        session.flush()
        candidate = Candidate(
            campaign_id=made_in.campaign_id,
            proposal_id=proposal.id,
            turn=0,
            # Nobody's twin is refused: each goes the whole way.
            author=Author.HUMAN,
            source_sha256=hashlib.sha256(columns["source"].encode()).hexdigest(),
            **columns,
        )
        session.add(candidate)
        session.flush()
        ids.append(candidate.id)
    return ids
