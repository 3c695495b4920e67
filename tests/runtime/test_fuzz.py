"""Whatever a graph may hold, it ends in a loss or a refusal."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import REPOSITORY


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_graphs_end_in_a_loss_or_a_refusal(seed: int, tmp_path: Path) -> None:
    last = tmp_path / "last.json"
    command = [sys.executable, "-m", "tests.runtime.fuzz", str(seed), "600", str(last)]
    environment = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=REPOSITORY)
    assert done.returncode == 0, f"{done.stderr[-2000:]}\n{last.read_text(encoding='utf-8')}"
    report = json.loads(done.stdout)
    assert report["unexpected"] == []
    assert report["outcomes"]["accepted, run"] > 30
    assert report["max_rss_bytes"] < 1 << 30
