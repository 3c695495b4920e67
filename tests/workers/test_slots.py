"""Slots: one runtime a device, an environment from nothing, never two tasks on one."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from discovery_service.settings import ArenaSettings, MachineSettings, Settings, WorkerSettings
from workers.slots import make_environment, make_slots
from workers.supervisor.devices import CPU, Device


def settings(tmp_path: Path, **worker: object) -> Settings:
    return Settings(
        worker=WorkerSettings.model_validate({"devices": "cpu", **worker}), arenas=ArenaSettings(cache_dir=tmp_path)
    )


def test_no_two_tasks_have_one_runtime_and_each_gets_one(tmp_path: Path) -> None:
    slots = make_slots(settings(tmp_path, slots=3), MachineSettings(), ("true",))
    together = Barrier(3)

    def take(_: int) -> int:
        with slots.take() as runtime:
            together.wait()
            return id(runtime)

    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(take, range(3)))) == 3


def test_the_runtime_that_was_used_last_is_taken_first(tmp_path: Path) -> None:
    slots = make_slots(settings(tmp_path, slots=3), MachineSettings(), ("true",))
    with slots.take() as first, slots.take() as second:
        pass
    with slots.take() as again:
        assert again is first
        assert again is not second


def test_a_card_is_all_that_its_runtime_sees_and_a_processor_sees_none() -> None:
    machine = MachineSettings(cuda_visible_devices="0,1", ld_library_path="/driver")
    card = make_environment(Device("cuda", "GPU-bbb"), machine)
    assert (card["CUDA_VISIBLE_DEVICES"], card["LD_LIBRARY_PATH"]) == ("GPU-bbb", "/driver")
    assert make_environment(CPU, machine)["CUDA_VISIBLE_DEVICES"] == ""
    assert Device("cuda", "GPU-bbb").name == "cuda:0"


def test_a_card_is_counted_as_who_named_it_counts() -> None:
    card = Device("cuda", "1")
    assert make_environment(card, MachineSettings())["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "CUDA_DEVICE_ORDER" not in make_environment(card, MachineSettings(cuda_visible_devices="1"))
    given = MachineSettings(cuda_visible_devices="1", cuda_device_order="FASTEST_FIRST")
    assert make_environment(card, given)["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"


def test_a_runtime_is_told_its_part_of_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [Device("cuda", "0"), Device("cuda", "1"), Device("cuda", "0")]
    commands: list[Sequence[str]] = []
    monkeypatch.setattr("workers.slots.assign_devices", lambda *_: cards)
    monkeypatch.setattr("workers.slots.Runtime", lambda command, _: commands.append(command))
    make_slots(settings(tmp_path), MachineSettings(), ("true",))
    assert [each[each.index("--card-share") + 1] for each in commands] == ["0.5", "1.0", "0.5"]


def test_one_thread_each_and_nothing_of_ours() -> None:
    environment = make_environment(CPU, MachineSettings(ld_library_path=None))
    assert {environment[name] for name in environment if name.endswith("NUM_THREADS")} == {"1"}
    assert not [name for name in environment if name.startswith("DISCOVERY")]
    assert environment["PATH"] == os.defpath


def test_memory_is_shared_among_the_slots_unless_it_is_set(tmp_path: Path) -> None:
    one, many = (make_slots(settings(tmp_path, slots=n), MachineSettings(), ("true",)).limits for n in (1, 4))
    assert one.memory_bytes is not None
    assert many.memory_bytes is not None
    assert one.memory_bytes >= many.memory_bytes >= 2 << 30
    given = make_slots(settings(tmp_path, memory_bytes=3 << 30), MachineSettings(), ("true",)).limits
    assert given.memory_bytes == 3 << 30
