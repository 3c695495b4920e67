"""The script of docs/export.md trains, as it stands there, in an unpacked bundle."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="trl is not installed: pip install 'discovery-service[trl]'")

from tests.arenas.hf.tiny import make_rows, save_folder, write_rows
from tests.house.tree import REPOSITORY
from tests.losses.eager import KNOWN
from tests.losses.test_bundle import unpack
from tests.losses.test_export import facts_of

GUIDE = (REPOSITORY / "docs" / "export.md").read_text(encoding="utf-8")
# Cards are nobody's in a test.
ON_A_CPU = {"CUDA_VISIBLE_DEVICES": ""}


@pytest.mark.parametrize("loss", ["dpo", "length_dpo"])
def test_the_script_trains_as_it_stands_there(loss: str, tmp_path: Path) -> None:
    (script,) = re.findall(r"^```python\n(.+?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert len(script.splitlines()) <= 19
    folder = unpack(facts_of(KNOWN[loss].text), tmp_path / "my-loss")
    save_folder(folder / "my-model")
    write_rows(folder / "preferences.jsonl", make_rows(40))
    (folder / "train.py").write_text(script)
    environment = {"PATH": "", "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", **ON_A_CPU}
    command = [sys.executable, "train.py"]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    trained = folder / "trained"
    assert (trained / "model.safetensors").exists()
    assert (trained / "model.safetensors").read_bytes() != (folder / "my-model" / "model.safetensors").read_bytes()
    assert json.loads((trained / "config.json").read_text())["model_type"] == "llama"
