"""What is frozen stays frozen: finalists, seals, and the evaluations that confirm them."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.errors import RestrictViolation
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, Candidate, Evaluation, Finalist, Freeze, Measurement, Seal
from discovery_service.domain.states import TRANSITIONS, EvaluationStatus, Purpose
from tests import rows
from tests.waiting import wait_for_blocked

SEALED = "is sealed; its finalists are fixed"
SETTING = {"beta": 0.1, "learning_rate": 0.001, "steps": 8}


@pytest.fixture
def frozen(sessions: Sessions) -> tuple[Campaign, Freeze, Candidate]:
    """A campaign with a freeze that is not sealed yet, and a candidate that could become its finalist."""
    with sessions.begin() as session:
        campaign = rows.add_campaign(session)
        return campaign, rows.add_freeze(session, campaign), rows.add_candidate(session, campaign)


def add_finalist(session: Session, freeze: Freeze, candidate: Candidate) -> None:
    session.add(Finalist(freeze_id=freeze.id, candidate_id=candidate.id, role="finalist", setting=SETTING))
    session.flush()


def add_seal(session: Session, freeze: Freeze) -> None:
    session.add(Seal(freeze_id=freeze.id, digest=rows.sha256("finalists")))
    session.flush()


def confirm(session: Session, campaign: Campaign, freeze: Freeze, candidate: Candidate, **values: Any) -> Evaluation:
    columns = {"purpose": Purpose.CONFIRM, "seal_id": freeze.id, "setting": SETTING, "candidate": candidate} | values
    return rows.add_evaluation(session, campaign, **columns)


def test_a_finalist_after_the_seal_is_refused(sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate]) -> None:
    _, freeze, candidate = frozen
    with sessions.begin() as session:
        add_seal(session, freeze)
    with sessions() as session, pytest.raises(IntegrityError, match=SEALED):
        add_finalist(session, freeze, candidate)


def test_a_finalist_after_the_seal_is_refused_within_one_transaction(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate]
) -> None:
    _, freeze, candidate = frozen
    with sessions() as session:
        add_seal(session, freeze)
        with pytest.raises(IntegrityError, match=SEALED):
            add_finalist(session, freeze, candidate)


def test_even_the_owner_adds_no_finalist_after_the_seal(
    owner_sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate]
) -> None:
    _, freeze, candidate = frozen
    with owner_sessions() as session:
        add_seal(session, freeze)
        with pytest.raises(IntegrityError, match=SEALED):
            add_finalist(session, freeze, candidate)


def test_another_freeze_of_the_arena_takes_finalists_still(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate]
) -> None:
    campaign, freeze, candidate = frozen
    with sessions.begin() as session:
        add_seal(session, freeze)
        extension = Freeze(campaign_id=campaign.id, arena_id=freeze.arena_id, extension=1, plan={})
        session.add(extension)
        session.flush()
        add_finalist(session, extension, candidate)


def race(sessions: Sessions, first: Callable[[Session], None], second: Callable[[Session], None]) -> Exception | None:
    """Run `second` while `first` has done its part and not committed; what `second` failed with."""
    failures: list[Exception] = []

    def run() -> None:
        try:
            with sessions.begin() as session:
                second(session)
        except IntegrityError as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    with sessions.begin() as session:
        first(session)
        thread.start()
        wait_for_blocked(sessions, 1)
    thread.join()
    return failures[0] if failures else None


def test_a_finalist_that_races_a_seal_waits_for_it_and_is_refused(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate]
) -> None:
    _, freeze, candidate = frozen
    failure = race(
        sessions,
        lambda session: add_seal(session, freeze),
        lambda session: add_finalist(session, freeze, candidate),
    )
    assert SEALED in str(failure)


def test_a_seal_that_races_a_finalist_waits_until_it_is_there(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate]
) -> None:
    _, freeze, candidate = frozen
    failure = race(
        sessions,
        lambda session: add_finalist(session, freeze, candidate),
        lambda session: add_seal(session, freeze),
    )
    assert failure is None
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Finalist)) == 1
        assert session.scalar(select(func.count()).select_from(Seal)) == 1


def test_a_freeze_is_sealed_once(sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate]) -> None:
    _, freeze, _ = frozen
    with sessions.begin() as session:
        add_seal(session, freeze)
    with sessions() as session, pytest.raises(IntegrityError, match="pk_seal"):
        add_seal(session, freeze)


def test_a_confirming_evaluation_needs_a_seal(sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate]) -> None:
    campaign, freeze, candidate = frozen
    with sessions.begin() as session:
        add_finalist(session, freeze, candidate)
    with sessions() as session, pytest.raises(IntegrityError, match="ck_evaluation_confirm_is_sealed"):
        rows.add_evaluation(session, campaign, candidate=candidate, purpose=Purpose.CONFIRM)
    with sessions() as session, pytest.raises(IntegrityError, match='"fk_evaluation_seal_id"'):
        rows.add_evaluation(session, campaign, candidate=candidate, purpose=Purpose.CONFIRM, seal_id=freeze.id)
    with sessions.begin() as session:
        add_seal(session, freeze)
        confirm(session, campaign, freeze, candidate)


def test_only_finalists_and_references_are_confirmed(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate]
) -> None:
    campaign, freeze, finalist = frozen
    with sessions.begin() as session:
        add_finalist(session, freeze, finalist)
        add_seal(session, freeze)
    with sessions() as session, pytest.raises(IntegrityError, match="fk_evaluation_seal_id_candidate_id"):
        rows.add_evaluation(session, campaign, purpose=Purpose.CONFIRM, seal_id=freeze.id)


def test_a_finalist_is_confirmed_in_the_arena_it_was_frozen_for(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate]
) -> None:
    campaign, freeze, finalist = frozen
    with sessions() as session:
        add_finalist(session, freeze, finalist)
        add_seal(session, freeze)
        elsewhere = rows.find_or_add_arena(session, "fog:mini")
        with pytest.raises(IntegrityError, match="fk_evaluation_seal_id_arena_id"):
            confirm(session, campaign, freeze, finalist, arena_id=elsewhere.id)


@pytest.mark.parametrize("changed", [{"beta": 0.2}, {"steps": 9}, {"more": 1}, {"steps": "8"}])
def test_a_finalist_is_confirmed_at_the_setting_it_was_frozen_with(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate], changed: dict[str, Any]
) -> None:
    campaign, freeze, finalist = frozen
    with sessions.begin() as session:
        add_finalist(session, freeze, finalist)
        add_seal(session, freeze)
        # However its numbers are written, it is the same setting.
        confirm(session, campaign, freeze, finalist, setting={"steps": 8.0, "learning_rate": 1e-3, "beta": 0.1})
    with sessions() as session, pytest.raises(IntegrityError, match="fk_evaluation_seal_id_candidate_id_setting"):
        confirm(session, campaign, freeze, finalist, setting=SETTING | changed)


def test_only_a_confirming_evaluation_refers_to_a_seal(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate]
) -> None:
    campaign, freeze, _ = frozen
    with sessions() as session:
        add_seal(session, freeze)
        with pytest.raises(IntegrityError, match="ck_evaluation_confirm_is_sealed"):
            rows.add_evaluation(session, campaign, purpose=Purpose.SCREEN, seal_id=freeze.id)


TRICKS = [
    "INSERT INTO finalist (freeze_id, candidate_id, role, setting) VALUES ({freeze}, {other}, 'finalist', '{{}}')",
    "INSERT INTO finalist (freeze_id, candidate_id, role, setting)"
    " SELECT freeze_id, {other}, role, setting FROM finalist",
    "WITH sealed AS (INSERT INTO seal (freeze_id, digest) SELECT {freeze}, '0' WHERE false RETURNING 1)"
    " INSERT INTO finalist (freeze_id, candidate_id, role, setting) VALUES ({freeze}, {other}, 'reference', '{{}}')",
    "INSERT INTO finalist (freeze_id, candidate_id, role, setting) VALUES ({freeze}, {finalist}, 'finalist', '{{}}')"
    " ON CONFLICT DO NOTHING",
    "INSERT INTO finalist (freeze_id, candidate_id, rank, role, setting)"
    " VALUES ({freeze}, {finalist}, 1, 'reference', '{{}}')",
    "SET CONSTRAINTS ALL DEFERRED; {confirm}",
    "{confirm}",
    "{confirm} ON CONFLICT DO NOTHING",
]
CONFIRM = (
    "INSERT INTO evaluation (id, campaign_id, candidate_id, arena_id, base_policy, setting, setting_sha256, purpose,"
    " draw, seal_id)"
    " VALUES (gen_random_uuid(), {campaign}, {finalist}, {arena}, 0, '{{}}', '0', 'confirm', '0', {freeze})"
)


@pytest.mark.parametrize("trick", TRICKS)
def test_no_statement_of_the_services_changes_what_is_sealed(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate], trick: str
) -> None:
    campaign, freeze, finalist = frozen
    with sessions.begin() as session:
        add_finalist(session, freeze, finalist)
        add_seal(session, freeze)
        other = rows.add_candidate(session, campaign)
    ids = {"campaign": campaign, "freeze": freeze, "finalist": finalist, "other": other}
    named = {name: f"'{row.id}'" for name, row in ids.items()} | {"arena": f"'{freeze.arena_id}'"}
    statement = trick.format(**named, confirm=CONFIRM.format(**named))
    refused = r"is sealed|fk_evaluation_seal_id_candidate_id_setting"
    with sessions() as session, pytest.raises(IntegrityError, match=refused):
        execute(session, *statement.split("; "))
    assert_as_sealed(sessions, finalist)


def test_rows_that_are_copied_in_are_refused_like_others(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate]
) -> None:
    campaign, freeze, finalist = frozen
    with sessions.begin() as session:
        add_finalist(session, freeze, finalist)
        add_seal(session, freeze)
        other = rows.add_candidate(session, campaign)
    with sessions() as session, pytest.raises(RestrictViolation, match=SEALED):
        copy_finalist(session, freeze.id, other.id, "finalist", "{}")
    assert_as_sealed(sessions, finalist)


def test_a_reference_is_frozen_at_several_settings_and_confirmed_at_each(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate]
) -> None:
    campaign, freeze, reference = frozen
    with sessions.begin() as session:
        for rank, beta in enumerate((0.1, 0.2)):
            setting = SETTING | {"beta": beta}
            columns = {"freeze_id": freeze.id, "candidate_id": reference.id, "role": "reference"}
            session.add(Finalist(**columns, rank=rank, setting=setting))
        session.flush()
        add_seal(session, freeze)
        for beta in (0.1, 0.2):
            setting = SETTING | {"beta": beta}
            confirm(session, campaign, freeze, reference, setting=setting, setting_sha256=rows.sha256(str(beta)))
    with sessions() as session, pytest.raises(IntegrityError, match="fk_evaluation_seal_id_candidate_id_setting"):
        confirm(session, campaign, freeze, reference, setting=SETTING | {"beta": 0.3})


@pytest.mark.parametrize(
    ("role", "rank", "beta", "says"),
    [
        ("finalist", 1, 0.2, "ck_finalist_rank_of_reference"),
        ("finalist", 0, 0.2, "pk_finalist"),
        ("reference", 1, 0.1, "uq_finalist_freeze_id_candidate_id_setting"),
        ("reference", -1, 0.2, "ck_finalist_rank_of_reference"),
    ],
)
def test_a_finalist_has_one_setting_and_a_reference_none_twice(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate], role: str, rank: int, beta: float, says: str
) -> None:
    _, freeze, candidate = frozen
    with sessions() as session:
        columns = {"freeze_id": freeze.id, "candidate_id": candidate.id, "role": role}
        session.add(Finalist(**columns, setting=SETTING))
        session.flush()
        with pytest.raises(IntegrityError, match=says):
            session.execute(insert(Finalist).values(**columns, rank=rank, setting=SETTING | {"beta": beta}))


SWAPS = [
    "UPDATE evaluation SET measurement_id = {other} WHERE id = {confirmed}",
    "UPDATE evaluation SET status = 'queued', measurement_id = NULL WHERE id = {confirmed}",
    "UPDATE evaluation SET status = 'succeeded', measurement_id = {other} WHERE id = {waiting}",
    "UPDATE evaluation SET status = 'succeeded', measurement_id = {same} WHERE id = {waiting}",
    "INSERT INTO evaluation (id, campaign_id, candidate_id, arena_id, base_policy, setting, setting_sha256, purpose,"
    " draw, seal_id, status, measurement_id)"
    " SELECT gen_random_uuid(), campaign_id, candidate_id, arena_id, base_policy, setting, 'x', purpose,"
    " draw, seal_id, 'succeeded', {same} FROM evaluation WHERE id = {confirmed}",
    "INSERT INTO evaluation (id, campaign_id, candidate_id, arena_id, base_policy, setting, setting_sha256, purpose,"
    " draw, seal_id, salt)"
    " SELECT gen_random_uuid(), campaign_id, candidate_id, arena_id, base_policy, setting, 'x', purpose,"
    " draw, seal_id, 'x' FROM evaluation WHERE id = {confirmed}",
    "UPDATE evaluation SET status = 'failed', failure = '{{}}', measurement_id = NULL WHERE id = {confirmed}",
    "UPDATE evaluation SET failure = '{{}}' WHERE id = {confirmed}",
    "UPDATE evaluation SET status = 'queued', failure = NULL, attempt = 0 WHERE id = {failed}",
    "UPDATE evaluation SET status = 'abandoned' WHERE id = {failed}",
    "UPDATE evaluation SET failure = '{{}}' WHERE id = {failed}",
    "UPDATE evaluation SET status = 'succeeded', failure = NULL, measurement_id = {same} WHERE id = {failed}",
    "UPDATE candidate SET graph_sha256 = 'of another loss' WHERE id = {finalist}",
    "UPDATE candidate SET graph = '{{}}' WHERE id = {finalist}",
    "UPDATE candidate SET name = 'dpo', author = 'library' WHERE id = {finalist}",
]
"""`same` is the measurement of the confirmed one, `other` that of the same loss on a tune draw."""


@pytest.mark.parametrize("swap", SWAPS)
def test_no_statement_of_the_services_changes_what_a_seal_confirmed(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate], swap: str
) -> None:
    campaign, freeze, finalist = frozen
    with sessions.begin() as session:
        add_finalist(session, freeze, finalist)
        add_seal(session, freeze)
        waiting = confirm(session, campaign, freeze, finalist)
        confirmed = confirm(session, campaign, freeze, finalist)
        failed = confirm(session, campaign, freeze, finalist)
        failed.status, failed.failure = EvaluationStatus.FAILED, {"code": "non_finite"}
        tuned = rows.add_evaluation(session, campaign, candidate=finalist, purpose=Purpose.TUNE)
        same, other = (measure(session, each) for each in (confirmed, tuned))
    ids = {"finalist": finalist, "confirmed": confirmed, "failed": failed, "waiting": waiting}
    ids |= {"same": same, "other": other}
    statement = swap.format(**{name: f"'{row.id}'" for name, row in ids.items()})
    refused = "is confirmed; what came|is of another training|uq_evaluation_confirmed_once|is frozen; which loss"
    with sessions() as session, pytest.raises(IntegrityError, match=refused):
        execute(session, statement)


def test_what_is_not_sealed_keeps_its_measurement_too(sessions: Sessions, frozen: tuple[Campaign, Any, Any]) -> None:
    campaign, _, candidate = frozen
    with sessions.begin() as session:
        tuned = rows.add_evaluation(session, campaign, candidate=candidate, purpose=Purpose.TUNE)
        measure(session, tuned)
    with sessions() as session, pytest.raises(IntegrityError, match="is measured; what it measured stays"):
        execute(session, f"UPDATE evaluation SET status = 'queued', measurement_id = NULL WHERE id = '{tuned.id}'")


@pytest.mark.parametrize(
    ("current", "target"),
    [(current, target) for current, targets in TRANSITIONS[EvaluationStatus].items() for target in sorted(targets)],
)
def test_whatever_the_engine_does_with_a_confirming_evaluation_goes_on(
    sessions: Sessions,
    frozen: tuple[Campaign, Freeze, Candidate],
    current: EvaluationStatus,
    target: EvaluationStatus,
) -> None:
    campaign, freeze, finalist = frozen
    with sessions.begin() as session:
        add_finalist(session, freeze, finalist)
        add_seal(session, freeze)
        evaluation = confirm(session, campaign, freeze, finalist, status=current)
        if target is EvaluationStatus.SUCCEEDED:
            measure(session, evaluation)
        elif target is EvaluationStatus.FAILED:
            evaluation.failure = {"code": "non_finite"}
        evaluation.status = target
    with sessions() as session:
        assert session.get_one(Evaluation, evaluation.id).status is target


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("graph", "d" * 64),
        ("arena", "d" * 64),
        ("base_policy", 1),
        ("setting", SETTING | {"beta": 0.2}),
        ("draw", {"purpose": "screen", "salt": "", "repeat": 0, "key": "another"}),
        ("draw", None),
    ],
)
def test_an_evaluation_takes_no_measurement_of_another_training(
    sessions: Sessions, frozen: tuple[Campaign, Freeze, Candidate], part: str, value: Any
) -> None:
    campaign, _, candidate = frozen
    with sessions() as session:
        evaluation = rows.add_evaluation(session, campaign, candidate=candidate)
        key = rows.add_measurement(session, of=evaluation).key
        kept = {name: each for name, each in key.items() if name != part}
        other = rows.add_measurement(session, key=kept | ({} if value is None else {part: value}))
        evaluation.status, evaluation.measurement_id = EvaluationStatus.SUCCEEDED, other.id
        with pytest.raises(IntegrityError, match="is of another training"):
            session.flush()


def measure(session: Session, evaluation: Evaluation) -> Measurement:
    measured = rows.add_measurement(session, of=evaluation)
    evaluation.status, evaluation.measurement_id = EvaluationStatus.SUCCEEDED, measured.id
    session.flush()
    return measured


def execute(session: Session, *statements: str) -> None:
    for each in statements:
        session.connection().exec_driver_sql(each)


def copy_finalist(session: Session, *columns: object) -> None:
    driver = session.connection().connection.dbapi_connection
    assert driver is not None
    command = "COPY finalist (freeze_id, candidate_id, role, setting) FROM STDIN"
    with driver.cursor() as cursor, cursor.copy(command) as copy:
        copy.write_row(columns)


def assert_as_sealed(sessions: Sessions, finalist: Candidate) -> None:
    with sessions() as session:
        (row,) = session.scalars(select(Finalist))
        assert (row.candidate_id, row.setting) == (finalist.id, SETTING)
