"""Devices are found without torch: what nvidia-smi lists, what the environment leaves of it, what an operator sets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from discovery_service.errors import UsageError
from discovery_service.settings import MachineSettings, WorkerSettings
from workers.kinds import WorkerKind
from workers.start import shape_of
from workers.supervisor import devices, memory, processors
from workers.supervisor.devices import CPU, Device, assign_devices, find_card_share

CORES = len(os.sched_getaffinity(0))
FIRST, SECOND = Device("cuda", "0", "NVIDIA A100"), Device("cuda", "1", "NVIDIA H100 80GB HBM3")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One without cards, and with a torch that could use some."""
    monkeypatch.setattr(devices, "SEARCH_PATH", str(tmp_path))
    monkeypatch.setattr(devices, "DEVICE_FILES", tmp_path)
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.13.0+cu130")
    monkeypatch.setattr(memory, "read_usable", lambda: 1 << 40)
    return tmp_path


@pytest.fixture
def _two_cards(machine: Path) -> None:
    listed = f"GPU-aaa, {FIRST.model}\\nGPU-bbb, {SECOND.model}\\n"
    write_program(machine, f"printf '{listed}'")


def write_program(machine: Path, line: str) -> None:
    program = machine / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{line}\n")
    program.chmod(0o755)


def assigned(visible: str | None = None, **settings: object) -> list[Device]:
    return assign_devices(
        WorkerSettings.model_validate(settings), MachineSettings.model_validate({"cuda_visible_devices": visible})
    )


def test_without_cards_each_core_is_a_slot() -> None:
    assert assigned() == [CPU] * CORES
    assert assigned(slots=7) == [CPU] * 7


@pytest.mark.parametrize(
    ("usable_gib", "memory_bytes", "expected"),
    [(6.4, None, 3), (6.4, 3 << 30, 2), (1, None, 1), (64, None, 16)],
)
def test_there_are_no_more_of_them_than_memory_has_room_for(
    monkeypatch: pytest.MonkeyPatch, usable_gib: float, memory_bytes: int | None, expected: int
) -> None:
    monkeypatch.setattr(memory, "read_usable", lambda: int(usable_gib * (1 << 30)))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    slots = len(assigned(memory_bytes=memory_bytes))
    assert slots == expected
    assert usable_gib < 2 or slots * memory.share_memory(slots) <= usable_gib * (1 << 30)
    assert len(assigned(memory_bytes=memory_bytes, slots=9)) == 9


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", 16),
        ("400000 100000", 4),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("3200000 100000", 16),
        (None, 16),
    ],
)
def test_a_containers_quota_counts_as_its_processors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str | None, expected: int
) -> None:
    limit = tmp_path / "cpu.max"
    if quota is not None:
        limit.write_text(f"{quota}\n")
    monkeypatch.setattr(processors, "_LIMIT", limit)
    monkeypatch.setattr(memory, "read_usable", lambda: 64 << 30)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    assert len(assigned()) == expected
    assert shape_of(WorkerKind.GATE).slots == min(expected, 8)


@pytest.mark.usefixtures("_two_cards")
@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [FIRST, SECOND]),
        ("1", [SECOND]),
        ("1,0", [SECOND, FIRST]),
        ("GPU-bbb", [Device("cuda", "GPU-bbb", SECOND.model)]),
        ("MIG-ccc", [Device("cuda", "MIG-ccc", None)]),
        ("0,-1,1", [FIRST]),
        ("", [CPU] * CORES),
        ("-1", [CPU] * CORES),
    ],
)
def test_each_card_that_may_be_seen_is_a_slot(visible: str | None, expected: list[Device]) -> None:
    assert assigned(visible) == expected


@pytest.mark.usefixtures("_two_cards")
def test_what_is_set_decides() -> None:
    assert assigned(devices="cpu", slots=1) == [CPU]
    assert assigned(devices="cuda") == [FIRST, SECOND]
    assert assigned(devices="cuda:1") == [SECOND]
    assert assigned(devices="cuda:1", visible="1,0") == [FIRST]
    assert assigned(slots=3) == [FIRST, SECOND, FIRST]


@pytest.mark.usefixtures("_two_cards")
def test_slots_on_one_card_divide_it() -> None:
    devices = assigned(slots=3)
    assert [find_card_share(each, devices) for each in devices] == [0.5, 1.0, 0.5]
    assert find_card_share(CPU, [CPU, CPU]) == 1.0


@pytest.mark.usefixtures("_two_cards")
def test_a_torch_for_processors_alone_uses_no_card_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.13.0+cpu")
    assert assigned() == [CPU] * CORES


def test_cards_that_are_not_there_are_told() -> None:
    with pytest.raises(UsageError, match="no card is seen here"):
        assigned(devices="cuda")


@pytest.mark.usefixtures("_two_cards")
def test_a_number_that_is_not_there_is_told() -> None:
    with pytest.raises(UsageError, match="names cuda:5, but only 2"):
        assigned(devices="cuda:0,cuda:5")


def test_without_the_program_the_device_files_count(machine: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (machine / name).touch()
    assert assigned() == [Device("cuda", "0"), Device("cuda", "1")]


@pytest.mark.parametrize(
    ("line", "why"), [("exit 9", "exit status 9"), ("exec sleep 1000", "timed out after 0.1 seconds")]
)
def test_a_driver_that_does_not_answer_means_no_cards_only_where_none_are(
    machine: Path, monkeypatch: pytest.MonkeyPatch, line: str, why: str
) -> None:
    monkeypatch.setattr(devices, "_ASK_WITHIN_S", 0.1)
    write_program(machine, line)
    assert assigned() == [CPU] * CORES
    (machine / "nvidia0").touch()
    with pytest.raises(UsageError, match=why):
        assigned()
    assert assigned(devices="cpu") == [CPU] * CORES


def test_it_costs_no_import_of_torch() -> None:
    code = "import sys, workers.slots, workers.tasks.evaluate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
