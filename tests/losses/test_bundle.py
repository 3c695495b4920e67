"""A bundle is the same bytes each time, passes its own check with torch alone, and fails it where a byte changed."""

import ast
import io
import json
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from discovery_service.domain.arenas import find_document
from discovery_service.domain.authors import Author
from discovery_service.domain.families import Family
from discovery_service.losses.bundle import write_bundle
from discovery_service.losses.export import write_module
from discovery_service.losses.exported import Facts, Origin, Parent
from discovery_service.losses.known import list_known
from tests.jail.compiler.sources import ACCEPTED, OTHER_FAMILIES
from tests.losses.test_export import CANCELS, CONFIRMED, HELPED, METHOD, SCREENED, facts_of

ORIGIN = Origin(
    candidate_id="0192",
    proposal_id="0193",
    campaign_id="0194",
    library=("dpo", "ipo"),
    accepted=7,
    refused=3,
    parents=(Parent("0195", "ipo", "parent"), Parent("0196", "slic", "inspiration")),
    search_arena=json.loads(json.dumps(find_document("panel:mini"))),
)
BARE = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
FILES = ["NOTICE.md", "discovered_loss.py", "provenance.json", "recipe.yaml", "test_loss.py", "trl_adapter.py"]
COUPLED = """
def coupled(policy_chosen_logps, policy_rejected_logps):
    margin = policy_chosen_logps - policy_rejected_logps
    return -F.logsigmoid(margin - margin.mean())
"""
# Nothing but torch and what comes with it, as in an environment in which only that was installed.
RUN = """
import runpy, sys
failed = []
for name in ("discovery_service", "workers", "tests", "trl", "transformers", "datasets", "peft", "pytest", "yaml"):
    sys.modules[name] = None
for file in sys.argv[1:]:
    sys.argv = [file]
    try:
        runpy.run_path(file, run_name="__main__")
    except SystemExit as end:
        if end.code:
            failed.append(str(end.code))
if failed:
    sys.exit("; ".join(failed))
"""


@cache
def helped() -> Facts:
    return facts_of(HELPED)


def unpack(facts: Facts, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(write_bundle(facts, ORIGIN))) as archive:
        archive.extractall(folder)
    return folder


def contents_of(facts: Facts) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(write_bundle(facts, ORIGIN))) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def check(*folders: Path) -> subprocess.CompletedProcess[str]:
    files = [str(folder / "test_loss.py") for folder in folders]
    return subprocess.run(
        [sys.executable, "-I", "-c", RUN, *files], capture_output=True, text=True, check=False, cwd=folders[0]
    )


def test_the_same_facts_give_the_same_bytes_on_every_machine() -> None:
    facts = replace(helped(), evaluated=(CONFIRMED, SCREENED))
    bundle = write_bundle(facts, ORIGIN)
    assert bundle == write_bundle(replace(facts, passport=dict(reversed(facts.passport.items()))), ORIGIN)
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        infos = archive.infolist()
        assert archive.read("discovered_loss.py") == write_module(facts).encode()
    assert [each.filename for each in infos] == FILES
    assert {(each.compress_type, each.date_time, each.create_system) for each in infos} == {
        (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0), 3)
    }


def _list_losses() -> Iterator[Facts]:
    for family in Family:
        yield from (facts_of(each.text, each.family) for each in list_known(family))
    yield from (facts_of(text) for title, text in ACCEPTED.items() if title not in CANCELS)
    yield from (facts_of(text, family) for family, text in OTHER_FAMILIES.values())
    yield from (helped(), facts_of(METHOD, values={"gap": 0.3}))


def test_losses_of_every_form_and_family_pass_with_torch_alone(tmp_path: Path) -> None:
    folders = [unpack(facts, tmp_path / str(number)) for number, facts in enumerate(_list_losses())]
    ran = check(*folders)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.count("6 checks passed; no file was changed.") == len(folders)


def test_pytest_runs_the_same_checks(tmp_path: Path) -> None:
    folder = unpack(helped(), tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_loss.py"]
    # Without the plugins of this environment, which take longer to load than the checks to run.
    run = partial(subprocess.run, command, capture_output=True, text=True, check=False, cwd=folder, env=BARE)
    ran = run()
    assert "6 passed" in ran.stdout, ran.stdout
    (folder / "NOTICE.md").write_text("changed")
    ran = run()
    assert (ran.returncode != 0, "NOTICE.md is not as it was exported." in ran.stdout) == (True, True)


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_of_any_file_fails_it(name: str, tmp_path: Path) -> None:
    content = (unpack(helped(), tmp_path) / name).read_bytes()
    for place in (0, len(content) // 2, len(content) - 1):
        (tmp_path / name).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert check(tmp_path).returncode != 0, place


def test_what_was_changed_is_named_in_one_sentence_and_before_it_is_run(tmp_path: Path) -> None:
    folder = unpack(helped(), tmp_path)
    module = folder / "discovered_loss.py"
    module.write_text(module.read_text().replace("import torch\n", "import torch\nprint('ran')\n", 1))
    ran = check(folder)
    assert (ran.stdout, ran.stderr) == ("", "discovered_loss.py is not as it was exported.\n")
    module.unlink()
    assert check(folder).stderr == "discovered_loss.py is missing.\n"
    (folder / "provenance.json").write_text("{}")
    assert check(folder).stderr == "provenance.json is not as it was exported.\n"


def test_no_changed_byte_of_the_check_itself_makes_it_pass(tmp_path: Path) -> None:
    """A comment or another operator instead of what finds it out, at some hundred places."""
    file = unpack(helped(), tmp_path) / "test_loss.py"
    source = file.read_bytes()
    assert _passes(source, file)
    passed = []
    for place in range(0, len(source), 41):
        for other in b"#<":
            changed = source[:place] + bytes([other]) + source[place + 1 :]
            file.write_bytes(changed)
            if changed != source and _passes(changed, file):
                passed.append((place, chr(other)))
    assert passed == []


def _passes(source: bytes, file: Path) -> bool:
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            exec(compile(source, str(file), "exec"), {"__name__": "__main__", "__file__": str(file)})
    except SystemExit as end:
        return not end.code
    except Exception:  # noqa: BLE001 - whatever the changed text raises
        return False
    return True


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (lambda: replace(facts_of(COUPLED), passport=helped().passport), "depends on the other rows"),
        (lambda: replace(helped(), check_vectors=facts_of(COUPLED).check_vectors), "is not the stored one"),
        (lambda: replace(helped(), source=HELPED.replace("value + tau", "value + tau / 0.0")), "stored"),
    ],
    ids=["a row that depends on others", "another loss", "one that is not finite"],
)
def test_a_loss_that_is_not_what_its_provenance_says_fails(facts: Any, sentence: str, tmp_path: Path) -> None:
    assert sentence in check(unpack(facts(), tmp_path)).stderr


def test_a_family_without_pairs_has_no_adapter_and_says_so() -> None:
    family, text = next(iter(OTHER_FAMILIES.values()))
    contents = contents_of(facts_of(text, family))
    assert "trl_adapter.py" not in contents
    assert json.loads(contents["provenance.json"])["trl"] == {"adapter": False, "versions": None}
    assert (
        f"There is no adapter for TRL: its DPOTrainer trains on pairs of answers, and a loss of the family {family}"
        in (contents["NOTICE.md"])
    )
    assert "precompute_ref_log_probs" not in contents["recipe.yaml"]


def test_provenance_holds_every_fact_with_its_interval() -> None:
    facts = replace(helped(), evaluated=(CONFIRMED, SCREENED), is_confirmed=True, author=Author.RECORDED, model="m-1")
    told = json.loads(contents_of(replace(facts, known_as=("length_dpo",)))["provenance.json"])
    assert (told["candidate_id"], told["campaign"]["id"], told["graph_sha256"]) == ("0192", "0194", facts.graph_sha256)
    assert told["proposed"] == {
        "by": "recorded",
        "model": "m-1",
        "is_recorded": True,
        "parents": [
            {"candidate_id": "0195", "name": "ipo", "role": "parent"},
            {"candidate_id": "0196", "name": "slic", "role": "inspiration"},
        ],
    }
    assert told["campaign"]["candidates"] == {"accepted": 7, "refused": 3}
    assert (told["campaign"]["library"], told["known_as"]) == (["dpo", "ipo"], ["length_dpo"])
    confirmed, screened = told["evaluated"]
    assert (confirmed["stage"], confirmed["draws"], confirmed["base_policies"]) == ("confirm", 12, [0, 1, 2])
    assert confirmed["setting"] == {"beta": 1.0, "learning_rate": 0.0015, "steps": 120}
    difference = {"mean": 0.41, "low": 0.22, "high": 0.6, "draws": 12, "level": 0.975}
    assert confirmed["against"] == [{"name": "dpo", **difference, "verdict": "better than", "not_better_under": []}]
    assert confirmed["counts"] == "J"
    assert (screened["stage"], screened["against"][0]["verdict"]) == ("screen", None)
    assert told["shown"].startswith("CONFIRMED BETTER than dpo by 0.410 [0.220, 0.600]")
    assert set(told["files"]) == set(FILES) - {"provenance.json"}


def test_the_notice_says_whose_it_is_and_that_nothing_is_confirmed() -> None:
    told = contents_of(replace(helped(), evaluated=(SCREENED,), author=Author.LLM, model="m-1"))["NOTICE.md"]
    assert told.index("**UNCONFIRMED: no confirmation on fresh draws has shown") < 80
    assert "Do not report it as a discovery.**" in told
    assert "Proposed by the language model m-1." in told
    assert "written by that model, under the terms of whoever provides it." in told
    assert "without warranty of any kind" in told


def test_a_recipe_has_the_evaluated_setting_and_says_that_it_is_none_for_a_real_model() -> None:
    text = contents_of(replace(helped(), evaluated=(CONFIRMED,), is_confirmed=True))["recipe.yaml"]
    recipe = yaml.safe_load(text)
    assert (recipe["beta"], recipe["learning_rate"], recipe["max_steps"]) == (1.0, 0.0015, 120)
    assert (recipe["per_device_train_batch_size"], recipe["precompute_ref_log_probs"]) == (32, True)
    assert "NO recommendation for a real model" in " ".join(text.replace("\n# ", " ").split())
    unscreened = yaml.safe_load(contents_of(helped())["recipe.yaml"])
    assert {"beta", "learning_rate", "max_steps"}.isdisjoint(unscreened)


def test_trl_knows_every_field_of_a_recipe(tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="needs the extra trl")
    arena = {**ORIGIN.search_arena, "kind": "hf", "lora": {"r": 4, "alpha": 8, "target_modules": "all-linear"}}
    arena["recipe"] = {**arena["recipe"], "max_length": 512}
    bundle = write_bundle(replace(helped(), evaluated=(CONFIRMED,)), replace(ORIGIN, search_arena=arena))
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        recipe = yaml.safe_load(archive.read("recipe.yaml"))
    known = {field for config in (trl.DPOConfig, trl.ModelConfig) for field in config.__dataclass_fields__}
    assert set(recipe) - known == set()
    assert recipe["lora_r"] == 4
    assert isinstance(recipe["learning_rate"], float)


def test_what_others_wrote_stays_where_it_belongs() -> None:
    hostile = '"""\nimport os\u2028os: 1\n# x'
    contents = contents_of(replace(helped(), name=hostile, campaign=hostile, model=hostile, author=Author.LLM))
    assert json.loads(contents["provenance.json"])["name"] == hostile
    assert "os" not in yaml.safe_load(contents["recipe.yaml"])
    for name in ("discovered_loss.py", "trl_adapter.py"):
        imports = [node for node in ast.walk(ast.parse(contents[name])) if isinstance(node, ast.Import)]
        assert "os" not in {alias.name for node in imports for alias in node.names}
