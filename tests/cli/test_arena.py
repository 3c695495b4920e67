"""`discovery arena`: the built-in ones without a server, an operator's from its file to a campaign that names it."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from discovery_service.domain.arenas import arena_names
from discovery_service.domain.calibration import Tuned, describe_library
from discovery_service.domain.differences import Occasion
from discovery_service.domain.measuring import Setting
from discovery_service.domain.published import read_published
from discovery_service.domain.worlds import ArenaSize
from tests.arenas.hf.tiny import make_rows, save_folder, write_rows
from tests.cli.conftest import Command, Ran
from workers.trainings import TrainingsBroke

FILE = """\
name: support
model_name_or_path: model
data: rows.jsonl
max_length: 100
max_steps: 12
learning_rate: 3e-3
per_device_train_batch_size: 4
evaluation:
  held_out: 0.25
  prompts: 8
  max_new_tokens: 8
  scorer: {kind: regex, pattern: "lovely|great|fine|kind|bright"}
counts: accuracy
"""


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture
def file(tmp_path: Path, model_folder: Path) -> Path:
    """An operator's arena, as it lies in a folder."""
    (tmp_path / "model").symlink_to(model_folder)
    write_rows(tmp_path / "rows.jsonl", make_rows(40))
    (tmp_path / "support.yaml").write_text(FILE)
    return tmp_path / "support.yaml"


@pytest.fixture(autouse=True)
def _threads() -> Any:
    """A command changes the number for its process, which here is the tests'."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_built_in_arenas_are_listed_without_a_server(discovery: Command) -> None:
    listed = discovery("arena", "list", "--json").json
    assert [each["name"] for each in listed] == arena_names()
    ran = discovery("arena", "list")
    assert ran.code == 0
    for name in arena_names():
        assert name in ran.out
    assert "nothing: a control" in ran.out


def test_an_operators_arenas_are_listed_where_an_api_is_known(
    discovery: Command, api_env: dict[str, str], file: Path
) -> None:
    assert discovery("arena", "add", file, env=api_env).code == 0
    *built_in, own = (each["name"] for each in discovery("arena", "list", "--json", env=api_env).json)
    assert (built_in, own.partition("@")[0]) == (arena_names(), "support")


def test_without_the_api_that_is_set_the_built_in_ones_are_listed_all_the_same(discovery: Command) -> None:
    away = {"DISCOVERY__CLIENT__URL": "http://127.0.0.1:9", "DISCOVERY__CLIENT__API_KEY": "dls_x"}
    ran = discovery("arena", "list", "--json", env=away)
    assert (ran.code, len(ran.json)) == (0, len(arena_names()))
    assert "What operators registered is not listed" in ran.err


def test_a_built_in_arena_is_shown_with_texts_and_their_reward(discovery: Command) -> None:
    shown = discovery("arena", "show", "panel", "--rows", 3, "--json").json
    assert (shown["name"], shown["document"]["world"]["sloppy"], len(shown["rows"])) == ("panel:mini", 0.5, 3)
    ran = discovery("arena", "show", "panel", "--rows", 3)
    assert all(pair["chosen"] in ran.out for pair in shown["rows"])
    assert "label noise" in ran.out


def test_an_arena_that_there_is_not_is_answered_with_those_there_are(
    discovery: Command, api_env: dict[str, str]
) -> None:
    ran = discovery("arena", "show", "panels")
    assert ran.code == 2
    assert "panel:mini" in ran.err
    assert "panel:mini" in discovery("arena", "show", "panels", env=api_env).err


def test_an_arena_is_registered_shown_and_named_by_a_campaign(
    discovery: Command, api_env: dict[str, str], file: Path
) -> None:
    added = discovery("arena", "add", file, "--json", env=api_env)
    assert (added.code, added.json["rows"]) == (0, 40)
    document = added.json["document"]
    assert document["data"]["path"] == str(file.parent / "rows.jsonl")
    assert discovery("arena", "add", file, "--json", env=api_env).json == added.json
    shown = discovery("arena", "show", "support", env=api_env)
    assert added.json["name"] in shown.out
    created = discovery("campaign", "create", "--name", "x", "--arena", "support", "--json", env=api_env)
    assert created.json["spec"]["arena"] == added.json["name"]


def test_an_operators_file_is_shown_without_a_server(discovery: Command, file: Path) -> None:
    shown = discovery("arena", "show", file, "--json").json
    assert (shown["kind"], shown["counts"], shown["rows"]) == ("hf", "accuracy", [])
    ran = discovery("arena", "show", file)
    assert ran.code == 0
    assert shown["name"] in ran.out
    assert str(file.parent / "model") in ran.out


def test_a_changed_file_is_another_arena(discovery: Command, api_env: dict[str, str], file: Path) -> None:
    first = discovery("arena", "add", file, "--json", env=api_env).json["name"]
    write_rows(file.parent / "rows.jsonl", make_rows(41))
    assert discovery("arena", "add", file, "--json", env=api_env).json["name"] != first


def refuse(discovery: Command, file: Path) -> Ran:
    """Nothing is sent: no API is known here."""
    ran = discovery("arena", "add", file)
    assert (ran.code, ran.out) == (2, "")
    return ran


def test_bad_rows_are_refused_by_number_and_reason_before_anything_is_sent(discovery: Command, file: Path) -> None:
    rows: list[Any] = make_rows(40)
    rows[2]["chosen"], rows[5]["rejected"] = "", "word " * 500
    del rows[9]["rejected"]
    write_rows(file.parent / "rows.jsonl", rows)
    told = refuse(discovery, file).err
    assert "3 rows cannot be used; row 3: chosen is empty" in told
    assert "row 6: rejected has" in told
    assert "row 10: has no rejected" in told


def test_a_model_that_is_cut_short_is_refused_before_anything_is_sent(discovery: Command, file: Path) -> None:
    pytest.importorskip("accelerate")
    (file.parent / "model").unlink()
    weights = save_folder(file.parent / "model") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert f"The model in {file.parent / 'model'} cannot be loaded" in refuse(discovery, file).err


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("counts: accuracy", "counts: loss", "counts: Input should be 'accuracy'"),
        ("max_steps: 12", "max_step: 12", "max_step: is no field here; there are name"),
        ("name: support", "name: panel", "is a built-in arena"),
        ("data: rows.jsonl", "data: none.jsonl", "none.jsonl cannot be read: No such file"),
        ("model_name_or_path: model", "model_name_or_path: .", "The tokenizer in"),
        ("per_device_train_batch_size: 4", "per_device_train_batch_size: 64", "fewer than a batch of 64"),
        ("{kind: regex", "{kind: oracle", "of a kind that does not exist"),
        ('{kind: regex, pattern: "lovely|great|fine|kind|bright"}', "no_such_package:score", "cannot be imported"),
        ('{kind: regex, pattern: "lovely|great|fine|kind|bright"}', "builtins:len", "has no source in Python"),
        ("lovely|", "x{99999999999}|", "is no regular expression"),
        ("counts:", "use_peft: true\nlora_target_modules: [nowhere]\ncounts:", "Mend lora_target_modules"),
        ("name: support", "name: [support", "line "),
    ],
)
def test_what_is_wrong_with_the_file_is_said(
    discovery: Command, file: Path, before: str, after: str, says: str
) -> None:
    file.write_text(FILE.replace(before, after))
    assert says in refuse(discovery, file).err


def test_what_was_built_is_found_again_and_pruned(discovery: Command, tmp_path: Path, file: Path) -> None:
    names = ["plain:mini", file]
    built = discovery("arena", "build", *names, "--base-policy", 0, "--draws", 2, "--json")
    assert [(each["arena"], each["base_policy"], each["draw"]["key"]) for each in built.json] == [
        (name, 0, key) for name in ("plain:mini", "support") for key in "01"
    ]
    cache = sorted((tmp_path / "arenas").iterdir())
    assert cache
    assert discovery("arena", "build", *names, "--base-policy", 0, "--draws", 2).code == 0
    assert sorted((tmp_path / "arenas").iterdir()) == cache
    assert discovery("arena", "prune", "--unused-days", 1, "--json").json["files"] == 0
    assert discovery("arena", "prune", "--keep-gib", 1, "--json").json["files"] == 0
    assert discovery("arena", "prune", "--json").json["files"] == len(cache)
    assert not list((tmp_path / "arenas").iterdir())


@pytest.mark.parametrize("name", ["plain:mini", "support.yaml"])
def test_a_base_policy_that_there_is_not_is_refused(discovery: Command, file: Path, name: str) -> None:
    ran = discovery("arena", "build", name if ":" in name else file, "--base-policy", 7)
    assert ran.code == 2
    assert "has no base policy 7" in ran.err


class FewLosses:
    """What a calibration measures of the library, at once and without training."""

    def __init__(self) -> None:
        self.measured: list[str] = []

    def __call__(self, document: Any, names: list[str], base_policies: Any, _: Any) -> dict[str, Any]:
        self.measured.append(document["name"])
        chance = random.Random(0)
        occasions = [Occasion(base_policies[number % len(base_policies)], str(number)) for number in range(12)]
        settings = (Setting(1.0, 1e-3, 10),)
        library = {
            name: Tuned(settings, {settings[0]: {at: chance.gauss(1, 0.1) for at in occasions}}) for name in names
        }
        return {**describe_library(library), "steps": []}


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FewLosses:
    few = FewLosses()
    monkeypatch.setattr("workers.calibrate.command.measure_library", few)
    return few


def test_what_is_calibrated_is_published_and_not_measured_again(
    discovery: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: FewLosses
) -> None:
    for module in ("discovery_service.domain.published", "workers.calibrate.publishing"):
        monkeypatch.setattr(f"{module}.published_path", lambda: tmp_path / "published.json")
    for name, few in {"PROMPTS": 8, "SAMPLES": 4, "REPEATS": {ArenaSize.MINI: 1}}.items():
        monkeypatch.setattr(f"workers.arenas.calibrate.{name}", few)
    read_published.cache_clear()
    (told,) = discovery("arena", "calibrate", "plain:mini", "--json").json
    assert all(told["base_policies"][each]["j_best"] > told["base_policies"][each]["j_ref"] for each in "012")
    again = discovery("arena", "calibrate", "plain:mini")
    assert library.measured == ["plain:mini"]
    shown = discovery("arena", "show", "plain", "--rows", 0)
    for ran in (again, shown):
        assert f"{told['base_policies']['0']['j_best']:.3f}" in ran.out
        assert "less dpo's" in ran.out
        assert "A control" in ran.out
    read_published.cache_clear()


def test_of_an_operators_arena_the_library_is_measured_and_written_beside_its_file(
    discovery: Command, file: Path, library: FewLosses
) -> None:
    (told,) = discovery("arena", "calibrate", file, "--loss", "ipo", "--loss", "slic", "--json").json
    assert told["library"]["losses"].keys() == {"dpo", "ipo", "slic"}
    written = file.with_suffix(".calibration.json")
    assert json.loads(written.read_text()) == told
    assert library.measured == ["support"]


@pytest.mark.parametrize(("named", "says"), [(["moon"], "moon is no known loss"), (["ipo"], "name another one")])
def test_losses_that_cannot_be_measured_are_refused_before_anything_is(
    discovery: Command, file: Path, named: list[str], says: str
) -> None:
    losses = [part for each in named for part in ("--loss", each)]
    ran = discovery("arena", "calibrate", file, "plain:mini", *losses)
    assert ran.code == 2
    assert says in ran.err
    assert "optimum" not in ran.err


def test_where_nothing_can_be_written_beside_the_file_nothing_is_measured(
    discovery: Command, file: Path, library: FewLosses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.arena_cli.os.access", lambda place, _: place != file.parent)
    ran = discovery("arena", "calibrate", file)
    assert (ran.code, library.measured) == (2, [])
    assert "where nothing can be written" in ran.err


def test_a_crash_ends_a_calibration_with_1_and_keeps_what_is_finished(
    discovery: Command, file: Path, library: FewLosses, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(document: Any, *given: Any) -> dict[str, Any]:
        if document["name"] == "other":
            raise TrainingsBroke("A training crashed. Try again.")
        return library(document, *given)

    other = file.with_name("other.yaml")
    other.write_text(FILE.replace("name: support", "name: other"))
    monkeypatch.setattr("workers.calibrate.command.measure_library", crash)
    ran = discovery("arena", "calibrate", file, other, "--json")
    assert ran.code == 1
    assert "A training crashed. Try again." in ran.err
    assert [each["name"] for each in ran.json] == ["support"]


def test_a_file_that_is_no_calibration_is_not_sent(discovery: Command, file: Path) -> None:
    ran = discovery("arena", "import", file)
    assert ran.code == 2
    assert "no content_sha256, library" in ran.err
