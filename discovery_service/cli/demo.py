"""`discovery demo`: the local stack up, a campaign created through the API and shown, everything stopped again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from threading import Thread
from types import TracebackType
from typing import Annotated, Any, Self

import typer

from discovery_service.cli.exits import ExitCode
from discovery_service.cli.output import AsJson, as_plain, print_json, say
from discovery_service.cli.show_campaign import print_campaign, print_event
from discovery_service.client import Client, DiscoveryError

START_DEADLINE_S = 120.0
# The stack itself takes less than 5 s.
STOP_DEADLINE_S = 15.0
LAST_LINES = 30

SPEC: dict[str, Any] = {
    "arena": "panel:mini",
    "held_out_arenas": ["fog:mini"],
    "library": ["dpo", "ipo", "slic", "simpo"],
    "strategy": {"name": "evolve", "round_size": 4},
    "proposers": [{"kind": "symbolic"}],
    "budgets": {"candidates": 12},
    "seed": 1,
    "guidance": "Prefer losses with no more than one constant.",
}


def demo(
    data: Annotated[Path, typer.Option(help="Where the local stack keeps its data.")] = Path(".demo"),
    as_json: AsJson = False,
) -> None:
    """See it work: start everything, create a campaign, stop. On this machine alone; the campaign is kept."""
    from discovery_service.local.address import find_address
    from discovery_service.local.directory import open_data_dir
    from discovery_service.local.state import find_api_access

    data_dir = open_data_dir(data)
    address = find_address("127.0.0.1", 0)
    say(f"Starting PostgreSQL, Redis, the API and the workers in {data_dir} …")
    # Told to end, it ends as by Ctrl-C, so that nothing stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _Stack(data_dir, address.port) as stack:
        stack.wait_until(address.is_ready)
        access = find_api_access(data_dir)
        assert access is not None, "the stack writes its key before the API starts"
        say(f"Ready at {access.url}. Creating a campaign:")
        with Client(access.url, access.api_key) as client:
            created = client.campaigns.create(name="demo: whom to trust in a panel", spec=SPEC)
            campaign, events = client.campaigns.read(created.id), list(client.events.list(created.id))
        if as_json:
            print_json({"campaign": as_plain(campaign), "events": [as_plain(event) for event in events]})
        else:
            print_campaign(campaign)
            for event in events:
                print_event(event)
        say("Stopping everything in order …")
    say(
        "This version queues the campaign; the search itself is not part of it yet.\n"
        "The campaign is kept. To go on, start the stack again, and follow the campaign in another terminal:\n"
        f"  {_program()} up --data {quote(str(data))}\n"
        f"  DISCOVERY__LOCAL__DATA_DIR={quote(str(data))} {_program()} campaign watch {campaign.id}"
    )


def _program() -> str:
    """How this command is called from here: it need not be on the PATH."""
    return "discovery" if shutil.which("discovery") else os.path.relpath(Path(sys.executable).with_name("discovery"))


class _Stack:
    """`discovery up` as a process of its own. On leaving it is stopped; its last lines are told if anything failed."""

    def __init__(self, data_dir: Path, port: int) -> None:
        command = (sys.executable, "-m", "discovery_service.cli", "up", "--data", str(data_dir), "--port", str(port))
        # Through a pipe, because a stack that nobody listens to any more stops by itself.
        self._process = subprocess.Popen(  # noqa: S603 - the command is ours
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._reader = Thread(target=self._lines.extend, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self._stop()
        if isinstance(error, DiscoveryError):
            self._tell_lines("The local stack did not do what it was asked")
        elif error is None and code != 0:
            self._tell_lines(f"The local stack ended with code {code}")
            raise typer.Exit(ExitCode.ERROR)

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while not is_ready():
            code = self._process.poll()
            if code is None and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            self._stop()
            self._tell_lines("The local stack is not ready" if code is None else "The local stack has ended")
            raise typer.Exit(ExitCode.USAGE if code == ExitCode.USAGE else ExitCode.ERROR)

    def _stop(self) -> int:
        self._process.terminate()
        try:
            self._process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join()
        return self._process.wait()

    def _tell_lines(self, what: str) -> None:
        say(f"{what}. Its last lines:\n{''.join(self._lines)}")
