"""Whether boards stay fast as searches pile up: `python -m benchmarks.leaderboard`.

Fills the database of a local stack with 1,000 candidates and then with 100,000, three measurements each, and asks the
API for the first page: of all campaigns, of one of 200 candidates, and of one that has half of all. Then it does what
follows a new measurement, and looks at every plan that the database made: no table that has grown may be scanned
whole. Medians go to stderr as a table, with --json to stdout as JSON; some minutes in all.
"""

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
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
    with running_stack(arguments.data, slots=1) as stack:
        small = _measure(stack, "small", SMALL)
        large = _measure(stack, "large", LARGE - SMALL)
    ratios = {name: large["ms"][name] / small["ms"][name] for name in small["ms"]}
    print(f"{'':36}{SMALL:>10,}{LARGE:>10,}     ratio", file=sys.stderr)
    for name, ratio in ratios.items():
        print(f"{name:36}{small['ms'][name]:7.1f} ms{large['ms'][name]:7.1f} ms{ratio:10.2f}", file=sys.stderr)
    print(
        "\nThe first page of what all campaigns screened, at the larger size:",
        *large["page_plan"],
        sep="\n  ",
        file=sys.stderr,
    )
    scans = ", ".join(large["scans"]) or "none"
    print(f"\nScanned whole after a new measurement or for a page: {scans}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"small": small, "large": large, "ratios": ratios}, indent=2))


def _measure(stack: LocalStack, name: str, candidates: int) -> dict[str, Any]:
    """With so many more: half of them in one campaign, the others in campaigns of a usual size."""
    with Session(stack.engine) as session, session.begin():
        [huge] = write(session, Searches(f"{name} one", 1, candidates // 2))
        usual, *_ = write(session, Searches(f"{name} many", candidates // 2 // OF_ONE, OF_ONE))
        rebuild(session, usual)
    _analyze(stack)
    pages: dict[str, Callable[[], object]] = {
        "first page of all campaigns": lambda: _ask(stack),
        "first page of what they screened": lambda: _ask(stack, stage="screen"),
        f"first page of one with {OF_ONE}": lambda: _ask(stack, campaign=[usual], include=["library"]),
        "first page of one with half of all": lambda: _ask(stack, campaign=[huge], include=["library"]),
    }
    milliseconds = {what: _time(ask) for what, ask in pages.items()}
    plan, scans = _explain_page(stack)
    after = _follow_measurement(stack, usual)
    return {
        "ms": {**milliseconds, "standings after a measurement": after["ms"]},
        "page_plan": plan,
        "scans": sorted({*scans, *after["scans"]}),
        "statements_after_a_measurement": after["statements"],
    }


def _analyze(stack: LocalStack) -> None:
    """What the database does by itself a minute after a table has grown; only its owner may."""
    with psycopg.connect(stack.owner_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _ask(stack: LocalStack, **asked: Any) -> object:
    return next(stack.client.leaderboard.list(arena=[ARENA], limit=PAGE, **asked))


def _time(ask: Callable[[], object]) -> float:
    """The median in milliseconds, warm."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - started)
    return 1_000 * statistics.median(seconds[REPEATS // 4 :])


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


def _follow_measurement(stack: LocalStack, campaign_id: UUID) -> dict[str, Any]:
    """What the engine does once a training of a running campaign has ended; taken back again each time."""
    seconds, scans, statements = [], set(), 0
    for number in range(REPEATS // 2):
        with stack.engine.connect() as connection, Session(connection) as session:
            running = update(Campaign).where(Campaign.id == campaign_id).values(status=CampaignStatus.RUNNING)
            session.execute(running)
            last = _measure_last(session, campaign_id)
            with listening(connection) as heard:
                started = time.perf_counter()
                proceed(session, campaign_id, last)
                session.flush()
                seconds.append(time.perf_counter() - started)
            if number == 0:
                explained = heard.explain(connection)
                statements, scans = len(explained), _list_scanned(connection, [plan for _, plan in explained])
            session.rollback()
    return {"ms": 1_000 * statistics.median(seconds), "scans": scans, "statements": statements}


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
