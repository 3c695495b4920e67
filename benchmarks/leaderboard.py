"""Whether boards stay fast as searches pile up: `python -m benchmarks.leaderboard`.

Fills the databases of two local stacks, one with 1,000 candidates and one with 100,000, three measurements each, and
asks their APIs by turns for the first page: of all campaigns, of one of 200 candidates, and of one that has half of
all. Then it does what follows a new measurement, and looks at every plan that the larger database made: no table that
has grown may be scanned whole. By turns, because a machine's speed changes within a minute by as much as the target
allows. Medians go to stderr as a table, with --json to stdout as JSON; some minutes in all.
"""

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import Connection, select, text, update
from sqlalchemy.orm import Session

from benchmarks.explained import list_nodes, listening, tell_plan
from benchmarks.leaderboard_rows import ARENA, Searches, write
from benchmarks.local_stack import LocalStack, running_stack
from discovery_service.db.leaderboard import Asked, list_scored_arenas, read_board
from discovery_service.db.tables import Campaign, Evaluation, Measurement
from discovery_service.domain.ids import uuid7
from discovery_service.domain.states import CampaignStatus, EvaluationStatus, Purpose
from discovery_service.engine.standings import rebuild
from discovery_service.engine.verdicts import proceed

PAGE = 50
REPEATS = 40
SMALL, LARGE = 1_000, 100_000
OF_ONE = 200
MANY = 10_000
"""Rows of a table that may not be scanned whole; what is smaller is soonest read so."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="figures to stdout")
    parser.add_argument("--data", default=Path("build/leaderboard"), type=Path, help="of the stack; made anew")
    arguments = parser.parse_args(argv)
    shutil.rmtree(arguments.data, ignore_errors=True)
    with (
        running_stack(arguments.data / "small", slots=1) as small,
        running_stack(arguments.data / "large", slots=1) as large,
    ):
        boards = [_fill(small, SMALL), _fill(large, LARGE)]
        milliseconds = {
            what: _time([pages[what] for pages in map(_list_pages, boards)]) for what in _list_pages(boards[0])
        }
        milliseconds["standings after a measurement"] = _time([partial(_follow_measurement, board) for board in boards])
        plan, scans = _explain_page(large)
        statements, scans_after = _explain_measurement(boards[1])
    found = {
        "ms": milliseconds,
        "ratios": {what: big / little for what, (little, big) in milliseconds.items()},
        "page_plan": plan,
        "scans": sorted(scans | scans_after),
        "statements_after_a_measurement": statements,
    }
    _tell(found)
    if arguments.json:
        print(json.dumps(found, indent=2))


def _tell(found: dict[str, Any]) -> None:
    print(f"{'':36}{SMALL:>10,}{LARGE:>10,}     ratio", file=sys.stderr)
    for what, (small, large) in found["ms"].items():
        print(f"{what:36}{small:7.1f} ms{large:7.1f} ms{found['ratios'][what]:10.2f}", file=sys.stderr)
    told = "\nThe first page of what all campaigns screened, at the larger size:"
    print(told, *found["page_plan"], sep="\n  ", file=sys.stderr)
    scans = ", ".join(found["scans"]) or "none"
    print(f"\nScanned whole after a new measurement or for a page: {scans}", file=sys.stderr)


@dataclass(frozen=True)
class Board:
    """A filled stack, with the campaign that has half of all and one of a usual size."""

    stack: LocalStack
    huge: UUID
    usual: UUID


def _fill(stack: LocalStack, candidates: int) -> Board:
    """Half of them in one campaign, the others in campaigns of a usual size."""
    with Session(stack.engine) as session, session.begin():
        [huge] = write(session, Searches("one", 1, candidates // 2))
        usual, *_ = write(session, Searches("many", candidates // 2 // OF_ONE, OF_ONE))
        rebuild(session, usual)
    _analyze(stack)
    return Board(stack, huge, usual)


def _list_pages(board: Board) -> dict[str, Callable[[], float]]:
    stack = board.stack
    return {
        "first page of all campaigns": lambda: _ask(stack),
        "first page of what they screened": lambda: _ask(stack, stage="screen"),
        f"first page of one with {OF_ONE}": lambda: _ask(stack, campaign=[board.usual], include=["library"]),
        "first page of one with half of all": lambda: _ask(stack, campaign=[board.huge], include=["library"]),
    }


def _analyze(stack: LocalStack) -> None:
    """What the database does by itself a minute after a table has grown; only its owner may."""
    with psycopg.connect(stack.owner_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _ask(stack: LocalStack, **asked: Any) -> float:
    """In seconds."""
    started = time.perf_counter()
    next(stack.client.leaderboard.list(arena=[ARENA], limit=PAGE, **asked))
    return time.perf_counter() - started


def _time(asks: Sequence[Callable[[], float]]) -> list[float]:
    """The median of each in milliseconds, warm."""
    seconds: list[list[float]] = [[] for _ in asks]
    for _ in range(REPEATS):
        for ask, taken in zip(asks, seconds, strict=True):
            taken.append(ask())
    return [1_000 * statistics.median(taken[REPEATS // 4 :]) for taken in seconds]


def _explain_page(stack: LocalStack) -> tuple[list[str], set[str]]:
    """How the page's own query is carried out, and what is scanned for any of its queries."""
    with stack.engine.connect() as connection, Session(connection) as session:
        asked = Asked(list_scored_arenas(session, []), stage=Purpose.SCREEN, with_library=False)
        with listening(connection) as heard:
            read_board(session, asked, after=None, limit=PAGE)
        explained = heard.explain(connection)
        scanned = _list_scanned(connection, [plan for _, plan in explained])
    ranked = next(plan for statement, plan in explained if "ORDER BY standing.lower DESC" in statement)
    return list(tell_plan(ranked)), scanned


def _follow_measurement(board: Board) -> float:
    """In seconds, what the engine does once a training of a running campaign has ended; taken back again."""
    with board.stack.engine.connect() as connection, Session(connection) as session:
        last = _run_again(session, board.usual)
        started = time.perf_counter()
        proceed(session, board.usual, last)
        session.flush()
        seconds = time.perf_counter() - started
        session.rollback()
        return seconds


def _explain_measurement(board: Board) -> tuple[int, set[str]]:
    """How many statements that takes, and what is scanned for them."""
    with board.stack.engine.connect() as connection, Session(connection) as session:
        last = _run_again(session, board.usual)
        with listening(connection) as heard:
            proceed(session, board.usual, last)
            session.flush()
        explained = heard.explain(connection)
        scanned = _list_scanned(connection, [plan for _, plan in explained])
        session.rollback()
    return len(explained), scanned


def _run_again(session: Session, campaign_id: UUID) -> UUID:
    """The campaign is running and its last training has just ended."""
    running = update(Campaign).where(Campaign.id == campaign_id).values(status=CampaignStatus.RUNNING)
    session.execute(running)
    return _measure_last(session, campaign_id)


def _measure_last(session: Session, campaign_id: UUID) -> UUID:
    """What its last loss lacks, as if it had just been trained."""
    lacking = (Evaluation.campaign_id == campaign_id, Evaluation.measurement_id.is_(None))
    evaluation = session.scalars(select(Evaluation).where(*lacking)).one()
    others = (Evaluation.candidate_id == evaluation.candidate_id, Evaluation.measurement_id.is_not(None))
    beside = select(Measurement).join(Evaluation, Evaluation.measurement_id == Measurement.id).where(*others)
    before = session.scalars(beside.limit(1)).one()
    made = Measurement(
        id=uuid7(),
        key_sha256=str(uuid7()),
        key={**before.key, "draw": {**before.key["draw"], "key": evaluation.draw}},
        graph_sha256=before.graph_sha256,
        arena_id=before.arena_id,
        metrics=before.metrics,
        series={},
        device_seconds=before.device_seconds,
    )
    session.add(made)
    session.flush()
    evaluation.status, evaluation.measurement_id = EvaluationStatus.SUCCEEDED, made.id
    session.flush()
    return evaluation.id


def _list_scanned(connection: Connection, plans: Sequence[dict[str, Any]]) -> set[str]:
    large = set(connection.scalars(text("SELECT relname FROM pg_class WHERE reltuples >= :many"), {"many": MANY}))
    nodes = [node for plan in plans for node in list_nodes(plan)]
    return {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"} & large


if __name__ == "__main__":
    main()
