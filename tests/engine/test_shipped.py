"""A library takes the settings that ship with an arena's calibration, once and for all, and is not tuned."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import select

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Arena, CampaignProgress, Finalist, Freeze, Measurement
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.measuring import Setting
from discovery_service.domain.states import CampaignStatus, Purpose
from discovery_service.engine.archive import read_archive
from discovery_service.engine.arenas import get_arena
from discovery_service.engine.spending import read_ledger
from discovery_service.engine.standings import rebuild
from discovery_service.losses.shipped import find_conditions
from tests.engine.playing import ARENA, CALIBRATION, ELSEWHERE, LIBRARY, document, table
from tests.engine.searching import OTHERS, Search, in_turn

FIRST, SECOND = Setting(1.0, 1.5e-3, 120), Setting(2.0, 1.5e-3, 120)
VALUES = table({OTHERS[0]: 0.5, "ipo": 0.3})
SCREEN, TUNE, CONFIRM = Purpose.SCREEN, Purpose.TUNE, Purpose.CONFIRM


def calibrate(
    sessions: Sessions, name: str = ARENA, *, losses: Mapping[str, Sequence[Setting]] | None = None
) -> dict[str, Any]:
    """What is known of the arena from now on, its settings too."""
    losses = losses or {"dpo": (FIRST, SECOND), "ipo": (SECOND, FIRST), "slic": (FIRST,)}
    told = {loss: {"settings": [each.document() for each in settings]} for loss, settings in losses.items()}
    conditions = find_conditions(document(name), sorted(losses))
    library = CALIBRATION["library"] | {"losses": told, "measured_with": conditions}
    with sessions.begin() as session:
        get_arena(session, name).calibration = {"library": library}
    return {"library": library}


def play(sessions: Sessions, *, ships: Sequence[str] = (ARENA,), held_out: Sequence[str] = (), **spec: Any) -> Search:
    search = Search(sessions, VALUES, in_turn(), held_out=held_out, **{"budgets": {"candidates": 2}} | spec)
    for name in ships:
        calibrate(sessions, name)
    return search


def rescored(search: Search) -> int:
    with search.sessions.begin() as session:
        return rebuild(session, search.campaign_id).differed


def test_a_library_with_shipped_settings_is_only_screened_and_dpo_confirmed_at_all_of_its_own(
    sessions: Sessions,
) -> None:
    search = play(sessions)
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert set(search.counts(TUNE)) == set(OTHERS[:2])
    assert [search.counts(SCREEN)[name] for name in LIBRARY] == [3, 3, 3]
    screened = search.standings(SCREEN)
    assert screened["dpo"].setting == FIRST.document()
    assert screened["ipo"].setting == SECOND.document()
    assert screened["dpo"].figures["curve"] == []
    with sessions() as session:
        query = select(Finalist.setting).order_by(Finalist.rank)
        dpo = query.where(Finalist.candidate_id == screened["dpo"].candidate_id)
        assert list(session.scalars(dpo)) == [FIRST.document(), SECOND.document()]
        ipo = query.where(Finalist.candidate_id == screened["ipo"].candidate_id)
        assert list(session.scalars(ipo)) == [SECOND.document()]
    assert search.counts(CONFIRM)["dpo"] == 2 * search.counts(CONFIRM)["ipo"]
    assert rescored(search) == 0


def test_a_loss_without_shipped_settings_is_tuned_beside_the_others(sessions: Sessions) -> None:
    search = play(sessions, ships=())
    calibrate(sessions, losses={"dpo": (FIRST, SECOND), "slic": ()})
    search.search()
    assert [search.counts(TUNE).get(name, 0) for name in LIBRARY] == [0, 11, 11]
    assert [search.counts(SCREEN)[name] for name in LIBRARY] == [3, 3, 3]


@pytest.mark.parametrize("ships_first", [True, False])
def test_a_calibration_that_comes_later_changes_nothing(sessions: Sessions, ships_first: bool) -> None:
    search = play(sessions, ships=(ARENA,) if ships_first else (), held_out=[ELSEWHERE])
    search.step()
    tuned_at_first = sorted(search.counts(TUNE))
    calibrate(sessions, losses={"dpo": (SECOND,)} if ships_first else None)
    calibrate(sessions, ELSEWHERE)
    search.search()
    assert search.get_campaign().status is CampaignStatus.COMPLETED
    assert [name for name in LIBRARY if name in search.counts(TUNE)] == ([] if ships_first else list(LIBRARY))
    assert tuned_at_first == []
    if ships_first:
        assert search.standings(SCREEN)["dpo"].setting == FIRST.document()
    with sessions() as session:
        elsewhere = get_arena(session, ELSEWHERE).id
    # What a held-out arena ships is decided at the same moment.
    assert search.counts(TUNE, arena_id=elsewhere)["dpo"] == 11
    assert rescored(search) == 0


def test_in_a_held_out_arena_only_finalists_are_tuned_anew_where_its_settings_ship(sessions: Sessions) -> None:
    search = play(sessions, ships=(ARENA, ELSEWHERE), held_out=[ELSEWHERE])
    search.search()
    with sessions() as session:
        elsewhere = get_arena(session, ELSEWHERE).id
        frozen = session.scalars(select(Freeze).where(Freeze.arena_id == elsewhere)).one()
        settings = select(Finalist.setting).where(Finalist.freeze_id == frozen.id).order_by(Finalist.rank)
        dpo = search.standings(SCREEN)["dpo"].candidate_id
        assert list(session.scalars(settings.where(Finalist.candidate_id == dpo))) == [
            FIRST.document(),
            SECOND.document(),
        ]
    assert search.counts(TUNE, arena_id=elsewhere) == {OTHERS[0]: 11}
    assert rescored(search) == 0


@pytest.mark.parametrize(("evaluations", "is_begun"), [(44, False), (45, True)])
def test_the_budget_counts_no_tuning_that_is_not_done(sessions: Sessions, evaluations: int, is_begun: bool) -> None:
    """Three screens of three, and at the end nine draws of a finalist, the best of the library and DPO at two."""
    search = play(sessions, budgets={"candidates": 2, "evaluations": evaluations})
    search.search()
    assert bool(search.list_rounds()) == is_begun
    with sessions() as session:
        assert session.get_one(CampaignProgress, search.campaign_id).evaluations == (9 if is_begun else 0)
        arena = session.get_one(Arena, search.arena_id)
        spec = CampaignSpec.model_validate(search.get_campaign().spec)
        assert read_ledger(session, search.campaign_id, spec, arena).committed([]).evaluations == (9 if is_begun else 0)


@pytest.mark.parametrize(("evaluations", "is_begun"), [(9 + 36 + 36 + 10, False), (9 + 36 + 36 + 11, True)])
def test_what_is_kept_back_for_a_held_out_arena_counts_none_either(
    sessions: Sessions, evaluations: int, is_begun: bool
) -> None:
    budgets = {"candidates": 2, "evaluations": evaluations}
    search = play(sessions, ships=(ARENA, ELSEWHERE), held_out=[ELSEWHERE], budgets=budgets)
    search.search()
    assert bool(search.list_rounds()) == is_begun


def test_whoever_reads_the_archive_sees_how_a_shipped_loss_trained(
    sessions: Sessions, owner_sessions: Sessions
) -> None:
    search = play(sessions)
    search.search()
    with owner_sessions.begin() as session:
        for each in session.scalars(select(Measurement)):
            each.series = {each.key["draw"]["purpose"]: [0.0]}
    with sessions() as session:
        archive = read_archive(session, search.campaign_id, search.arena_id, [0, 1])
    series = {each.name: each.screened.series for each in archive.members if each.screened is not None}
    assert series["dpo"] == {"screen": [0.0]}
    assert series[OTHERS[0]] == {"tune": [0.0]}


def test_measurements_of_another_campaign_are_reused(sessions: Sessions) -> None:
    first, second = (play(sessions, seed=seed) for seed in (1, 1))
    first.search()
    second.search()
    assert not any(row.is_reused for _, row in first.evaluations())
    assert all(row.is_reused for _, row in second.evaluations())
    assert {name: each.lower for name, each in second.standings(CONFIRM).items()} == {
        name: each.lower for name, each in first.standings(CONFIRM).items()
    }
    with sessions() as session:
        # Charged as if they had been trained, so that a budget does not depend on what others did before.
        spent = [session.get_one(CampaignProgress, each.campaign_id).evaluations for each in (first, second)]
    assert spent[0] == spent[1] > 0
