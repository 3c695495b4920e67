"""How long the control plane takes to load and the local stack to start: `python -m benchmarks.startup`.

Prints a table; with `--json` the same figures as one line of JSON. Of the API and of the libraries that it stands on
the processor time is told as well: other processes slow that of both alike, so that their ratio tells of our code.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPEATS = 5
API = "import discovery_service.api"
LIBRARIES = "import celery, fastapi, psycopg, pydantic_settings, sqlalchemy.orm, structlog"
STACK_REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of a table")
    as_json = parser.parse_args().json
    figures = {
        "bare interpreter": _repeat(lambda: _run("-c", "pass"), REPEATS),
        API: _repeat(lambda: _run("-c", API), REPEATS),
        f"{API}, of a processor": _repeat(lambda: _work("-c", API), REPEATS),
        "its libraries, of a processor": _repeat(lambda: _work("-c", LIBRARIES), REPEATS),
        "discovery --help": _repeat(lambda: _run("-m", "discovery_service.cli", "--help"), REPEATS),
        **_stack(),
    }
    if as_json:
        machine = {"python": platform.python_version(), "cores": len(os.sched_getaffinity(0))}
        print(json.dumps({"benchmark": "startup", "machine": machine, "seconds": figures}))
        return
    width = max(map(len, figures))
    print(f"{'':{width}}  {'best':>8}  {'median':>8}")
    for name, seconds in figures.items():
        print(f"{name:{width}}  {min(seconds):6.2f} s  {statistics.median(seconds):6.2f} s")


def _repeat(measure: Callable[[], float], times: int) -> list[float]:
    return [round(measure(), 3) for _ in range(times)]


def _run(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _work(*arguments: str) -> float:
    """What the command itself took of a processor."""
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return usage.ru_utime + usage.ru_stime


def _stack() -> dict[str, list[float]]:
    """First start on an empty directory, later start on the same, and the stop after each."""
    figures: dict[str, list[float]] = {"stack, first start": [], "stack, later start": [], "stack, stop": []}
    for _ in range(STACK_REPEATS):
        with tempfile.TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True) as directory:
            for name in ("stack, first start", "stack, later start"):
                start, stop = _start_and_stop(Path(directory) / "data")
                figures[name].append(start)
                figures["stack, stop"].append(stop)
    return figures


def _start_and_stop(data_dir: Path) -> tuple[float, float]:
    command = [sys.executable, "-m", "discovery_service.cli", "up", "--data", str(data_dir), "--port", "0"]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stack:
        assert stack.stdout is not None
        said: list[str] = []
        for line in stack.stdout:
            said.append(line)
            if "ready at" in line:
                break
        else:
            sys.exit("The stack did not start:\n" + "".join(said))
        ready = time.perf_counter()
        stack.send_signal(signal.SIGTERM)
        stack.stdout.read()
        stack.wait()
        return round(ready - started, 3), round(time.perf_counter() - ready, 3)


if __name__ == "__main__":
    main()
