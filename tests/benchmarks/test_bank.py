"""How the bank is measured: what a file has is not measured again, and what it lacks is told."""

from pathlib import Path

import pytest

from benchmarks import bank
from benchmarks.bank import Bench, NotMeasured, collect, tune
from benchmarks.bank_file import Cell
from benchmarks.bank_plan import CONFIRM, DECIDE, SCREEN, TUNE, Phase, Unit, list_cells, list_units
from benchmarks.kept import Kept
from discovery_service.domain.families import Family
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.states import Purpose
from discovery_service.losses.described import list_described
from discovery_service.losses.graph import read_graph
from workers.trainings import Loss

SHORT = Cell("plain:mini", "dpo", Setting(1.0, 1.5e-3, 2), 0, Draw(Purpose.CALIBRATE, "0"))


def give(cell: Cell) -> dict[str, object]:
    """As if it had been trained: the best is in the middle, and at the lowest beta it fails."""
    if cell.setting.beta < 0.5:
        return {"failed": "It diverged.", "seconds": 0.1}
    j = -abs(cell.setting.beta - 1.0) - cell.setting.learning_rate
    return {"metrics": {"J": j, "kl": 0.5}, "seconds": 1.0}


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """What was to be trained."""
    asked: list[Cell] = []

    def measure(_: Bench, cell: Cell) -> dict[str, object]:
        asked.append(cell)
        return give(cell)

    monkeypatch.setattr(Bench, "_measure", measure)
    return asked


def test_a_training_is_made_once_and_found_again(tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    with pytest.raises(NotMeasured):
        Bench(Kept(kept), measures=False).get(SHORT)
    bench = Bench(Kept(kept), measures=True)
    j = bench.get(SHORT)
    again = Bench(Kept(kept), measures=False)
    assert again.get(SHORT) == j is not None
    assert again.outcomes == bench.outcomes
    assert again.outcomes[SHORT].seconds > 0


def test_a_loss_is_tuned_by_the_plan_and_no_failed_setting_goes_on(tmp_path: Path, untrained: list[Cell]) -> None:
    tuned = tune(Bench(Kept(tmp_path / "kept.jsonl"), measures=True), "plain:mini", "dpo")
    assert len(untrained) == len(set(untrained)) == 11
    assert {cell.draw.purpose for cell in untrained} == {Purpose.TUNE}
    assert len(tuned.curve) == 7
    assert tuned.finalists == (Setting(1.0, 5e-4, 120), Setting(1.0, 1.5e-3, 120))
    assert tuned.chosen == tuned.finalists[0]


def test_what_is_measured_is_collected_and_what_is_not_is_counted(tmp_path: Path, untrained: list[Cell]) -> None:
    kept = tmp_path / "kept.jsonl"
    units = [Unit(Phase.LIBRARY, "plain:mini", "dpo"), Unit(Phase.PLACEBO, "plain:mini", "dpo")]
    bank.measure(kept, units)
    found, incomplete = collect(kept)
    assert set(found.outcomes) == set(untrained)
    assert set(found.tuned) == {("plain:mini", "dpo")}
    assert incomplete == len(list(list_units())) - len(units)
    failed = [outcome for cell, outcome in found.outcomes.items() if cell.setting.beta < 0.5]
    assert {(each.j, each.reason) for each in failed} == {(None, "It diverged.")}


def test_parts_share_no_draw_and_no_campaign_trains_on_them() -> None:
    parts = [set(CONFIRM), set(TUNE), set(SCREEN), set(DECIDE)]
    assert len(set.union(*parts)) == sum(map(len, parts))
    assert {draw.purpose for part in parts for _, draw in part} == {Purpose.CALIBRATE}


def test_every_part_is_measured_at_settings_that_tuning_found(tmp_path: Path, untrained: list[Cell]) -> None:
    tuned = tune(Bench(Kept(tmp_path / "kept.jsonl"), measures=True), "terse:mini", "dpo")
    cells = {phase: set(list_cells(Unit(phase, "terse:mini", "dpo"), tuned)) for phase in Phase}
    assert {cell.setting for cell in cells[Phase.LIBRARY]} == {tuned.chosen}
    assert {cell.setting for cell in cells[Phase.TRUTH]} == set(tuned.finalists)
    assert {cell.setting for cell in cells[Phase.DECIDE]} == set(tuned.curve)
    assert {cell.draw.salt for cell in cells[Phase.PLACEBO]} == {"1", "2"}
    assert {phase: len(each) for phase, each in cells.items()} == {
        Phase.LIBRARY: 12,
        Phase.TRUTH: 84,
        Phase.PLACEBO: 168,
        Phase.DECIDE: 84,
    }


@pytest.mark.parametrize("loss", ["dpo", "lrml"])
def test_a_loss_is_trained_in_the_form_in_which_the_service_trains_it(loss: str) -> None:
    """LRML's operations in the order of its source round otherwise."""
    written = read_graph(list_described(Family.PAIRWISE)[loss].graph)
    assert bank._compile("plain:mini", loss) == Loss.of(written).graph != written
