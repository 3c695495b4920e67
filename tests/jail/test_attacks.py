"""Hostile sources with full builtins and no check before them: what the kernel layers hold on their own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from discovery_service.local.guard import find_descendants
from discovery_service.losses.refusals import RefusalCode
from tests.jail.conftest import HERE, run_source
from tests.jail.entry import ATTACKS
from workers.supervisor.jail import Jail

HONEST = """
import torch.nn.functional as F
def loss(pc, pr, rc, rr, beta):
    return -F.logsigmoid(beta * ((pc - pr) - (rc - rr)))
"""
# Written into the sources.
PLAYGROUND = Path("/tmp/loss_canary")
KEPT = {"keep": b"data of others", "victim": b"a checkpoint"}

# They look around in a process where there is nothing to find, or wait for an end that never comes: a child ends with
# _exit. All else that calls itself a success has got out.
HARMLESS = {"proc_atexit"}
HARMLESS_CLASS = "intro"

ENDS = {
    "dos_ignore_signals": RefusalCode.WALL_LIMIT,
    "dos_mem_bytes": RefusalCode.MEMORY_LIMIT,
    "dos_mem_list_slow": RefusalCode.MEMORY_LIMIT,
    "dos_mem_torch": RefusalCode.MEMORY_LIMIT,
    "dos_regex": RefusalCode.CPU_LIMIT,
    "dos_stderr_flood": RefusalCode.OUTPUT_LIMIT,
    "dos_sum_range": RefusalCode.CPU_LIMIT,
    "exec_os_execv": RefusalCode.SECURITY_VIOLATION,
    "kern_bpf": RefusalCode.SECURITY_VIOLATION,
    "kern_keyctl": RefusalCode.SECURITY_VIOLATION,
    "kern_x32_abi": RefusalCode.SECURITY_VIOLATION,
    "out_forged_result": RefusalCode.BAD_OUTPUT,
    "out_pickle_bomb": RefusalCode.BAD_OUTPUT,
    "proc_exit_zero": RefusalCode.BAD_OUTPUT,
}


def read_attacks() -> dict[str, dict[str, str]]:
    return {each["name"]: each for each in map(json.loads, ATTACKS.read_text(encoding="utf-8").splitlines())}


@pytest.fixture
def playground() -> Iterator[Path]:
    """Where the sources know of files, open to everybody: not its permissions are to hold them."""
    shutil.rmtree(PLAYGROUND, ignore_errors=True)
    PLAYGROUND.mkdir()
    PLAYGROUND.chmod(0o777)
    for name, content in KEPT.items():
        (PLAYGROUND / name).write_bytes(content)
        (PLAYGROUND / name).chmod(0o666)
    yield PLAYGROUND
    shutil.rmtree(PLAYGROUND)


def look_at_host(jail: Jail) -> dict[str, object]:
    """Whatever an attack could have left behind."""
    zygote = jail.zygote_pid
    assert zygote is not None
    return {
        "files": {path.name: (path.read_bytes(), oct(path.stat().st_mode)) for path in PLAYGROUND.iterdir()},
        "shared memory": sorted(each for each in os.listdir("/dev/shm") if "canary" in each or "torch" in each),
        "segments": Path("/proc/sysvipc/shm").read_text().count(str(0x5B5B)),
        "abstract sockets": Path("/proc/net/unix").read_text().count("@sbxcanary"),
        "zygote": zygote,
        "children": find_descendants(zygote),
        "zygote's descriptors": len(os.listdir(f"/proc/{zygote}/fd")) if os.geteuid() == 0 else None,
        "our descriptors": len(os.listdir("/proc/self/fd")),
    }


def test_there_are_75_attacks_in_twelve_classes() -> None:
    attacks = read_attacks()
    assert (len(attacks), len({each["class"] for each in attacks.values()})) == (75, 12)
    assert ENDS.keys() | HARMLESS <= attacks.keys()


def test_an_honest_source_computes_in_the_same_child(warm_jail: Jail) -> None:
    outcome = run_source(warm_jail, HONEST)
    assert outcome.answer == {"result": "returned (6,)"}, outcome


@pytest.mark.parametrize("name", read_attacks())
def test_an_attack_is_contained(name: str, warm_jail: Jail, playground: Path) -> None:
    attack = read_attacks()[name]
    before = look_at_host(warm_jail)
    # On a busy machine too each comes to its own limit first.
    wall_s = 0.5 if ENDS.get(name) is RefusalCode.WALL_LIMIT else 30.0
    cpu_s = 10 if ENDS.get(name) is RefusalCode.MEMORY_LIMIT else 1
    outcome = run_source(warm_jail, attack["source"], cpu_s=cpu_s, wall_s=wall_s)
    assert look_at_host(warm_jail) == before
    if outcome.refusal is None:
        assert outcome.answer is not None
        is_harmless = attack["class"] == HARMLESS_CLASS or name in HARMLESS
        assert is_harmless or not outcome.answer["result"].startswith("PWNED"), outcome
    if name in ENDS:
        assert outcome.refusal is not None
        assert outcome.refusal.code is ENDS[name], outcome


def test_without_the_lock_the_same_sources_get_out(playground: Path) -> None:
    """Else they would prove nothing."""
    names = [
        "env_os_environ", "exec_pickle_gadget", "exec_torch_os_system", "fs_linecache", "fs_numpy_memmap",
        "fs_os_listdir", "fs_chmod_utime", "fs_torch_save", "fs_unlink", "fs_untyped_storage_from_file", "net_abstract",
        "net_udp", "proc_thread_outlive",
    ]  # fmt: skip
    command = [sys.executable, "-I", str(HERE / "entry.py"), "unlocked", *names]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    results = json.loads(done.stdout)
    assert {name for name, result in results.items() if not result.startswith("PWNED")} == set()
    assert not (playground / "victim").exists()
