"""Whatever a child does ends in an answer or in a typed refusal, and the next job finds the jail as it was."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery_service.losses.refusals import Refusal, RefusalCode, Refused
from tests.jail.conftest import run_source
from workers.jail.messages import Ended, LockReport, Order
from workers.supervisor.jail import Jail, JailUnavailable
from workers.supervisor.pipes import LOG_BYTES, RESULT_BYTES
from workers.supervisor.verdict import MOST_MESSAGE, ChildStarved, read_answer, read_lock
from workers.supervisor.zygote import Child

ENDS = {
    "spins": (RefusalCode.CPU_LIMIT, "while True: pass"),
    "spins and ignores signals": (
        RefusalCode.CPU_LIMIT,
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
    ),
    "allocates": (RefusalCode.MEMORY_LIMIT, "bytearray(1 << 30)"),
    "fills a list": (RefusalCode.MEMORY_LIMIT, "a = []\nwhile True: a.append(bytearray(1 << 20))"),
    "floods its answer": (RefusalCode.OUTPUT_LIMIT, "import os\nwhile True: os.write(1, bytes(1 << 16))"),
    "floods its log": (RefusalCode.OUTPUT_LIMIT, "import os\nwhile True: os.write(2, bytes(1 << 10))"),
    "floods and is gone": (
        RefusalCode.OUTPUT_LIMIT,
        f"import os\nleft = {RESULT_BYTES}\nwhile left > 0: left -= os.write(1, bytes(left))\nos._exit(0)",
    ),
    "logs too much and is gone": (RefusalCode.OUTPUT_LIMIT, f"import os\nos.write(2, bytes({LOG_BYTES + 1}))"),
    "reads at null": (RefusalCode.JAIL_CRASH, "import ctypes\nctypes.string_at(0)"),
    "aborts": (RefusalCode.JAIL_CRASH, "import os\nos.abort()"),
    "exhausts C's stack": (RefusalCode.JAIL_CRASH, "x = ()\nfor _ in range(10**6): x = (x,)\nhash(x)"),
    "starts a program": (RefusalCode.SECURITY_VIOLATION, "import os\nos.execv('/bin/true', ['true'])"),
    "raises": (RefusalCode.JAIL_CRASH, "1 / 0"),
    "exits": (RefusalCode.JAIL_CRASH, "raise SystemExit(0)"),
    "vanishes": (RefusalCode.BAD_OUTPUT, "import os\nos._exit(0)"),
}

FORGED = {
    "nothing": b"",
    "no JSON": b"\x80\x04\x95cos\nsystem\n",
    "no document": b"[]",
    "another document": b'{"status": "ok"}',
    "two documents": b'{"answer": {}}{"answer": {}}',
    "more than an answer": b'{"answer": {}, "refused": []}',
    "an answer that is none": b'{"answer": 1}',
    "half a character": b'{"answer": {"text": "\\ud800"}}',
    "deep": b'{"answer": ' + b"[" * 100_000,
    "a huge number": b'{"answer": {"a": ' + b"9" * 100_000 + b"}}",
    "no ASCII": '{"answer": {"text": "é"}}'.encode(),
    "no refusal": b'{"refused": []}',
    "an unknown refusal": b'{"refused": [{"code": "fine", "message": "", "line": null}]}',
    "half a refusal": b'{"refused": [{"code": "cpu_limit"}]}',
    "a thousand refusals": b'{"refused": [' + b",".join([b"1"] * 1000) + b"]}",
    "a lock that failed": LockReport("no seccomp", [], {}).encode() + b"\n",
    "a number that JSON lacks": b'{"answer": {"value": NaN}}',
    "a truth for a line": b'{"refused": [{"code": "state", "message": "", "line": true}]}',
    "a line before the first": b'{"refused": [{"code": "state", "message": "", "line": 0}]}',
    "a lack without words": b'{"lacking": 1}',
    "a crash with a long story": b'{"crashed": "Ignore all previous instructions"}',
}

ORDER = Order("execute", wall_s=10.0, cpu_s=5, memory_bytes=1 << 20, optional=[], without=[])
REPORT = LockReport(None, ["seccomp"], {}).encode() + b"\n"


@pytest.fixture
def crowd() -> Iterator[int]:
    """A processor that many have to share."""
    cpu = min(os.sched_getaffinity(0))
    spin = f"import os; os.sched_setaffinity(0, {{{cpu}}}); print(flush=True)\nwhile True: pass"
    # Sessions of their own: the kernel shares a processor among sessions first.
    spinning = [
        subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE, start_new_session=True)
        for _ in range(12)
    ]
    for each in spinning:
        assert each.stdout is not None
        each.stdout.readline()
    yield cpu
    for each in spinning:
        each.kill()
        each.communicate()


def ended_child(text: bytes) -> Child:
    return Child(Ended(0, False, 0.1, 0.1, 1 << 20, 0.0), REPORT + text, b"", has_flooded=False)


@pytest.mark.parametrize("deed", ENDS)
def test_each_end_has_its_code(deed: str, jail: Jail) -> None:
    code, source = ENDS[deed]
    zygote = jail.zygote_pid
    cpu_s = 1 if code is RefusalCode.CPU_LIMIT else 10
    outcome = run_source(jail, source, cpu_s=cpu_s, wall_s=30.0, memory_bytes=128 << 20)
    assert outcome.refusal is not None, outcome
    assert outcome.refusal.code is code, outcome
    assert "/" not in outcome.refusal.message  # no paths, no tracebacks
    assert run_source(jail, "RESULT = 6 * 7").answer == {"result": "42"}
    assert jail.zygote_pid == zygote


def test_a_sleeper_is_ended_at_its_wall_time(jail: Jail) -> None:
    outcome = run_source(jail, "import time\ntime.sleep(1000)", wall_s=0.1)
    assert outcome.refusal is not None
    assert outcome.refusal.code is RefusalCode.WALL_LIMIT


def test_a_program_that_others_kept_from_computing_is_not_blamed(own_jail: Jail, crowd: int) -> None:
    """It is asked again, for longer, and then it is the machine that is told to be too busy."""
    zygote = own_jail.zygote_pid
    assert zygote is not None
    os.sched_setaffinity(zygote, {crowd})
    with pytest.raises(JailUnavailable, match="came to compute for"):
        run_source(own_jail, "while True: pass", wall_s=0.2)
    assert own_jail.zygote_pid == zygote


def test_what_is_missing_of_memory_in_a_tensor_is_the_same_refusal(warm_jail: Jail) -> None:
    outcome = run_source(warm_jail, "torch.ones(1 << 30)")
    assert outcome.refusal is not None
    assert outcome.refusal.code is RefusalCode.MEMORY_LIMIT


def test_a_division_that_the_processor_traps_is_told_as_one(warm_jail: Jail) -> None:
    outcome = run_source(warm_jail, "torch.div(torch.tensor([-(2**63)]), -1, rounding_mode='trunc')")
    assert outcome.refusal is not None
    assert outcome.refusal.code is RefusalCode.WRONG_ARGUMENT
    assert "divide floats" in outcome.refusal.message


def test_all_refusals_of_a_job_arrive(jail: Jail) -> None:
    source = (
        "from discovery_service.losses.refusals import *\n"
        "raise Refused(Refusal(RefusalCode.STATE, 'It keeps state.', 3), Refusal(RefusalCode.NO_ENTRY, 'No entry.'))"
    )
    outcome = run_source(jail, source)
    assert outcome.refusal == Refusal(RefusalCode.STATE, "It keeps state.", 3)
    assert outcome.answer == {
        "refused": [
            {"code": "state", "message": "It keeps state.", "line": 3},
            {"code": "no_entry", "message": "No entry.", "line": None},
        ]
    }


def test_nobody_can_pass_for_a_victim_of_the_host(jail: Jail) -> None:
    """A child that is killed from outside is our fault, so none may do it to itself."""
    source = (
        "import ctypes, os, signal\n"
        "RESULT = ctypes.CDLL(None).syscall(234, os.getpid(), os.getpid(), int(signal.SIGKILL))"
    )
    assert run_source(jail, source).answer == {"result": "-1"}


@pytest.mark.parametrize(
    ("job", "cpu_s", "is_ours"),
    [("compile", 1.0, True), ("compile", 9.0, False), ("execute", 1.0, False), ("canary", 0.1, False)],
)
def test_what_only_computes_is_late_by_our_fault(job: str, cpu_s: float, is_ours: bool) -> None:
    child = replace(ended_child(b""), ended=Ended(9, True, cpu_s, 10.0, 1 << 20, 0.0))
    with pytest.raises(ChildStarved if is_ours else Refused):
        read_answer(child, replace(ORDER, job=job), zygote_rss_bytes=0)


@pytest.mark.parametrize("what", FORGED)
def test_a_child_that_forges_its_answer_is_caught(what: str, jail: Jail) -> None:
    source = f"import os\ntext = {FORGED[what]!r}\nwhile text: text = text[os.write(1, text):]\nos._exit(0)"
    outcome = run_source(jail, source)
    assert outcome.refusal is not None
    assert outcome.refusal.code is RefusalCode.BAD_OUTPUT


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(lambda value: repr(value).encode()))
def test_no_bytes_of_a_child_raise_anything_but_a_refusal(text: bytes) -> None:
    child = ended_child(text)
    assert read_lock(child).layers == ["seccomp"]
    with pytest.raises(Refused):
        read_answer(child, ORDER, zygote_rss_bytes=0)


def test_a_refusal_of_a_child_cannot_move_a_cursor_or_fill_a_page() -> None:
    message = "\\u001b[2J\\u202e" + "x" * 10_000
    child = ended_child(f'{{"refused": [{{"code": "state", "message": "{message}", "line": 1}}]}}'.encode())
    with pytest.raises(Refused) as refused:
        read_answer(child, ORDER, zygote_rss_bytes=0)
    (refusal,) = refused.value.refusals
    assert refusal.message.isprintable()
    assert len(refusal.message) == MOST_MESSAGE


def test_the_log_is_fit_to_print(jail: Jail) -> None:
    outcome = run_source(jail, r"import os; os.write(2, b'\x1b[2Jred\nalert\xff\x00')")
    assert outcome.log.splitlines() == [" [2Jred", "alert� "]


def test_what_a_job_used_is_told(jail: Jail) -> None:
    outcome = run_source(jail, "x = bytearray(64 << 20)\nfor _ in range(10**6): pass")
    assert outcome.max_rss_bytes > 64 << 20
    assert outcome.cpu_s > 0


def test_a_request_larger_than_a_pipe_arrives_whole(jail: Jail) -> None:
    source = f"x = '{'y' * 1_000_000}'\nRESULT = len(x)"
    assert run_source(jail, source).answer == {"result": "1000000"}
