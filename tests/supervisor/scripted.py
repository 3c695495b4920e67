"""A runtime without torch that does what the arena's document tells it: `python -I scripted.py [VERSION]`.

`{"acts": [act, …]}`, where an act is a list: a name of the functions below, and what they are given.
"""

import mmap
import os
import signal
import subprocess
import sys
import time
from typing import Any, NoReturn

from workers.runtime.protocol import VERSION, Broken, Done, Failed, Hello, Message, Progress, read_order

KEPT: list[object] = []
JOBS: list[str] = []


def send(message: Message) -> None:
    sys.stdout.buffer.write(message.encode())
    sys.stdout.buffer.flush()


def say(job: str, stage: str, done: int = 0) -> None:
    send(Progress.model_validate({"job": job, "stage": stage, "done": done, "of": 3}))


def done(job: str) -> None:
    facts = {"pid": float(os.getpid()), "J": 1.0}
    send(Done(job=job, metrics=facts, series={"loss": [0.5, None]}, seconds={"training": 1.0}))


def fail(job: str, code: str, step: int | None = None, is_out_of_memory: bool = False) -> None:
    told = {"job": job, "code": code, "message": "Its doing.", "step": step, "is_out_of_memory": is_out_of_memory}
    send(Failed.model_validate(told))


def breaks(job: str, is_lost: bool, is_out_of_memory: bool = False) -> None:
    send(Broken(job=job, message="The card is hot.", is_lost=is_lost, is_out_of_memory=is_out_of_memory))


def other_job(job: str) -> None:
    done(f"not {job}")


def compute(job: str) -> NoReturn:
    while True:
        pass


def after_another(job: str, name: str, *given: Any) -> None:
    """Only in a process that had a job before."""
    if len(JOBS) > 1:
        globals()[name](job, *given)


def idle(job: str) -> None:
    signal.pause()


def stop(job: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def die(job: str, number: int, words: str = "The last words.") -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()
    os.kill(os.getpid(), number)


def raises(job: str, name: str) -> None:
    raise {"MemoryError": MemoryError, "ValueError": ValueError}[name]("so it is")


def hold(job: str, size: int) -> None:
    """Of a kind that no limit of the process counts."""
    shared = mmap.mmap(-1, size)
    for place in range(0, size, mmap.PAGESIZE):
        shared[place] = 1
    KEPT.append(shared)


def write(job: str, text: str, times: int = 1) -> None:
    for _ in range(times):
        sys.stdout.write(text)
    sys.stdout.flush()


def complain(job: str, size: int) -> None:
    sys.stderr.write("x" * size + "\nthe end of it\n")
    sys.stderr.flush()


def ignore_sigterm(job: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def start_child(job: str) -> None:
    child = subprocess.Popen(["sleep", "1000"])
    KEPT.append(child)
    say(job, "training", child.pid)


def tell_environment(job: str) -> None:
    sys.stderr.write(" ".join(sorted(os.environ)) + "\n")
    sys.stderr.flush()


def serve(version: int, device: str) -> None:
    facts: dict[str, Any] = {"torch": "2", "transformers": "5", "peft": None, "device": device, "model": f"a {device}"}
    send(Hello(pid=os.getpid(), trainer=1000, version=version, **facts))
    acts: dict[str, Any] = {name: each for name, each in globals().items() if callable(each)}
    for line in sys.stdin.buffer:
        order = read_order(line)
        JOBS.append(order.job)
        for name, *given in order.arena["acts"]:
            acts[name](order.job, *given)


if __name__ == "__main__":
    mode = sys.argv[1] if len(sys.argv) > 1 else str(VERSION)
    if mode == "mute":
        time.sleep(1000)
    if mode == "broken":
        sys.exit("There is no torch here.")
    if mode == "chatty":
        sys.stdout.write("Welcome!\n")
        sys.stdout.flush()
    serve(int(mode) if mode.isdigit() else VERSION, "cuda" if mode == "card" else "cpu")
