"""`discovery prompt` and `discovery replay` on a database, without a server."""

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from scipy import stats
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from discovery_service.db.migrate import upgrade
from discovery_service.db.sessions import Sessions, make_sessions
from discovery_service.db.tables import Arena, Candidate, Evaluation, Measurement
from discovery_service.domain.figures import show_interval
from discovery_service.domain.intervals import Interval
from discovery_service.domain.states import Purpose
from tests.cli.conftest import Command
from tests.conftest import Database
from tests.engine.playing import table
from tests.engine.searching import OTHERS, Search, extend, in_turn
from tests.workers.server import Server

MODEL = {"kind": "llm", "models": [{"model": "any"}]}


def test_the_next_prompts_and_stored_ones_are_shown(sessions: Sessions, discovery: Command, database: Database) -> None:
    env = {"DISCOVERY__DB__URL": database.service_url}
    proposers = [MODEL, {"kind": "symbolic"}]
    spec = {"arena": "panel:mini", "library": ["dpo"], "proposers": proposers, "budgets": {"candidates": 2}}
    search = Search(sessions, table({}), in_turn(), **spec)
    search.step()
    early = discovery("prompt", search.campaign_id, env=env)
    assert (early.code, early.err.startswith("Nobody is asked before round 0")) == (2, True)
    search.search()
    shown = discovery("prompt", search.campaign_id, "--json", env=env).json
    assert {each["proposer"]: (each["round"], each["turn"], each["sees"]) for each in shown} == {
        "llm": (2, 0, [0]),
        "symbolic": (2, 0, [0]),
    }
    by_model = next(each for each in shown if each["proposer"] == "llm")
    assert [each["role"] for each in by_model["messages"]] == ["system", "user"]
    plain = discovery("prompt", search.campaign_id, env=env)
    assert by_model["messages"][1]["content"] in plain.out
    assert "symbolic; sees rounds 0\nIt reads the archive itself:" in plain.out
    assert "The search is over" in plain.err
    [(_, proposal), *_] = [each for each in search.list_proposals() if each[1].proposer == "llm"]
    [exchange] = search.list_exchanges(proposal.id)
    [stored] = discovery("prompt", search.campaign_id, "--round", 1, "--slot", proposal.slot, "--json", env=env).json
    assert (stored["messages"], stored["request"]) == (exchange.messages, proposal.request)
    unknown = discovery("prompt", search.campaign_id, "--round", 7, env=env)
    assert (unknown.code, unknown.err.strip()) == (
        2,
        "Nobody was asked in round 7, slot 0, turn 0 of this campaign; somebody was in round 1 (slots 0, 1).",
    )
    replayed = discovery("replay", search.campaign_id, env=env)
    # Here the symbolic proposer's replies came from a table, and it says others.
    assert replayed.code == 1
    assert "reply of round 1, slot" in replayed.out
    assert json.loads(discovery("replay", search.campaign_id, "--json", env=env).out)["derived"]["prompt"] == 2
    extend(search, candidates=4)
    search.search()
    asked = [proposal for number, proposal in search.list_proposals() if number == 2 and proposal.proposer == "llm"]
    assert search.list_exchanges(asked[0].id)[0].messages == by_model["messages"]


@pytest.fixture
def server() -> Iterator[Server]:
    with TemporaryDirectory(prefix="d.") as directory:
        made = Server(Path(directory))
        upgrade(made.postgres.owner_url)
        yield made
        made.kill()


def read_screen(session: Session, name: str) -> list[Measurement]:
    """In the order of its draws."""
    query = (
        select(Measurement)
        .join(Evaluation, Evaluation.measurement_id == Measurement.id)
        .join(Candidate, Candidate.id == Evaluation.candidate_id)
        .where(Candidate.name == name, Evaluation.purpose == Purpose.SCREEN)
    )
    return list(session.scalars(query.order_by(Evaluation.draw)))


def recompute(session: Session, name: str) -> str:
    """The line that a prompt has of a loss's J, by nothing but the stored metrics and the textbook."""
    mine, theirs = ([each.metrics["J"] for each in read_screen(session, loss)] for loss in (name, "dpo"))
    arena = session.scalars(select(Arena).where(Arena.name == "panel:mini")).one()
    assert arena.calibration is not None
    spread, count = arena.calibration["library"]["spread"], len(mine)
    differences = [mine[draw] - theirs[draw] for draw in range(count)]
    known, own = spread["degrees"], count - 1
    variance = (known * spread["sd"] ** 2 + own * statistics.variance(differences)) / (known + own)
    half = stats.t.ppf(0.975, known + own) * (variance / count) ** 0.5
    less = statistics.mean(differences)
    shown = show_interval(Interval(less, less - half, less + half, count), is_signed=True)
    return f"difference in J to dpo: {shown}"


def show(discovery: Command, campaign_id: Any, env: dict[str, str]) -> list[dict[str, str]]:
    [shown] = discovery("prompt", campaign_id, "--json", env=env).json
    messages: list[dict[str, str]] = shown["messages"]
    return messages


@pytest.mark.timeout(400)
def test_a_measurement_that_its_owner_changed_changes_the_next_prompt_in_what_derives_from_it_and_in_nothing_else(
    server: Server, discovery: Command, discovery_process: Command
) -> None:
    """Also after a restart of everything: nothing but the database knows of it."""
    sessions = make_sessions(server.postgres.service_url, pool_size=5)
    env = {"DISCOVERY__DB__URL": server.postgres.service_url}
    strategy = {"name": "discopop", "round_size": 1, "max_open_rounds": 1}
    spec = {"arena": "panel:mini", "library": ["dpo"], "proposers": [MODEL], "budgets": {"candidates": 3}}
    search = Search(sessions, table({OTHERS[0]: 0.3}), in_turn(round_size=1), strategy=strategy, **spec)
    search.search(until=lambda: len(search.list_rounds()) == 3)
    before = show(discovery, search.campaign_id, env)
    owner = create_engine(server.postgres.owner_url)
    with Session(owner) as session, session.begin():
        told = recompute(session, OTHERS[0])
        changed = read_screen(session, OTHERS[0])[1]
        changed.metrics = changed.metrics | {"J": changed.metrics["J"] + 0.0625}
        session.flush()
        tells = recompute(session, OTHERS[0])
    owner.dispose()
    # What a prompt shows are standings.
    assert show(discovery, search.campaign_id, env) == before
    assert discovery("rescore", search.campaign_id, env=env).code == 1
    *same, last = before
    assert told != tells
    assert last["content"].count(told) == 1
    expected = [*same, last | {"content": last["content"].replace(told, tells)}]
    assert show(discovery, search.campaign_id, env) == expected

    sessions.kw["bind"].dispose()
    server.kill()
    env = {"DISCOVERY__DB__URL": server.start().service_url}
    assert json.loads(discovery_process("prompt", search.campaign_id, "--json", env=env).out)[0]["messages"] == expected
    search.search()
    (_, third) = search.list_proposals()[2]
    [exchange] = search.list_exchanges(third.id)
    # A conversation: what was said before comes again word by word, each reply with what came of it.
    assert exchange.messages[: len(expected)] == expected
    said = [each["content"] for each in exchange.messages if each["role"] == "assistant"]
    assert [OTHERS[number] in each for number, each in enumerate(said)] == [True, True]
    sessions.kw["bind"].dispose()
