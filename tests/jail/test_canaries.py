"""The canaries are attacks indeed: each gets out where there is no lock."""

import json
import os
import subprocess
import sys

import pytest

from workers.jail.canaries import CANARIES
from workers.supervisor.jail import Jail

# Forks, so that a canary that becomes another program, or traces, leaves the next one alone. Nothing else is done to
# the process: it has an open descriptor, threads, an environment.
UNLOCKED = """
import json, os, sys
from workers.jail.canaries import run_canary
kept = os.open("/dev/null", os.O_WRONLY)
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.set_inheritable(writer, False)
    os.write(writer, json.dumps(run_canary({"name": sys.argv[1]})).encode())
    os._exit(0)
os.close(writer)
print(os.read(reader, 1000).decode() or "null")
"""


@pytest.mark.parametrize("name", CANARIES)
def test_a_canary_gets_out_of_a_process_without_a_lock(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", UNLOCKED, name], check=True, capture_output=True, text=True)
    # The one that becomes another program gives no answer.
    assert json.loads(done.stdout) == ({"got_out": True} if name != "run_program" else None)


def test_no_canary_gets_out_of_a_jail(jail: Jail) -> None:
    answers = {name: jail.run("canary", {"name": name}, memory_bytes=64 << 20, wall_s=0.3).answer for name in CANARIES}
    assert {name for name, answer in answers.items() if answer == {"got_out": True}} == set()


def test_the_child_knows_nothing_of_our_environment(jail: Jail) -> None:
    assert os.environ["DISCOVERY_CANARY"]
    assert jail.run("canary", {"name": "read_environment"}).answer == {"got_out": False}
