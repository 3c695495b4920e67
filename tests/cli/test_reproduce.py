"""`discovery reproduce`: what it prints of claims, without measuring any anew, and what it refuses before it does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from discovery_service.cli.library_campaigns import NotScreened
from tests.cli.conftest import Command
from workers.reproduce import command, drawing, papers
from workers.reproduce.claims import Claims, Line
from workers.reproduce.names import PaperName
from workers.reproduce.papers import PAPERS, Paper
from workers.reproduce.run import Run
from workers.reproduce.training import WorldFailed
from workers.trainings import TrainingsBroke


def measure(run: Run) -> Any:
    claims = Claims("pm", run.is_quick)
    values = [float(each) for each in run.measure(lambda seed: seed + 1, run.count_seeds(5))]
    yield claims.of_mean("It grows, by", values, Line(at_least=4.0), figure_paper="a lot", note="a note")


@pytest.fixture(autouse=True)
def _no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def here() -> Iterator[None]:
        yield None

    monkeypatch.setattr(command, "open_pool", here)
    monkeypatch.setattr(papers, "PAPERS", {each: Paper(measure, 1.0) for each in PAPERS})


def test_a_claim_is_told_with_its_figure_its_line_and_both_verdicts(discovery: Command) -> None:
    ran = discovery("reproduce", "pm", "--json")
    assert ran.code == 0, ran.err
    (claim,) = ran.json["claims"]
    assert (claim["figure"], claim["threshold"]) == (3.0, {"at_least": 4.0})
    assert (claim["direction"], claim["magnitude"], claim["figure_paper"]) == (True, False, "a lot")
    assert claim["interval"]["low"] < 3 < claim["interval"]["high"]
    table = discovery("reproduce", "pm").out
    assert "holds" in table
    assert "not reproduced" in table
    assert "a note" in table


@pytest.mark.parametrize(("options", "draws", "line"), [((), 5, 4.0), (("--seeds", 7), 7, 4.0), (("--quick",), 3, 2.0)])
def test_a_quick_run_has_three_seeds_and_half_of_the_line(
    discovery: Command, options: tuple[object, ...], draws: int, line: float
) -> None:
    (claim,) = discovery("reproduce", "pm", *options, "--json").json["claims"]
    assert (claim["interval"]["draws"], claim["threshold"]["at_least"]) == (draws, line)


def test_all_are_all_papers(discovery: Command) -> None:
    assert len(discovery("reproduce", "all", "--json").json["claims"]) == len(PAPERS)
    assert {*PAPERS, PaperName.ALL} == {*PaperName}


def test_a_loss_that_cannot_be_trained_with_ends_it_with_1(discovery: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(run: Run) -> Any:
        raise WorldFailed("With pm at beta 1 nothing could be measured: it grew.")

    monkeypatch.setattr(papers, "PAPERS", {PaperName.PM: Paper(fail, 1.0), PaperName.CPO: Paper(measure, 1.0)})
    ran = discovery("reproduce", "pm")
    assert (ran.code, ran.out) == (1, "")
    assert "pm: With pm at beta 1 nothing could be measured: it grew." in ran.err
    ran = discovery("reproduce", "all", "--json")
    assert (ran.code, ran.json["status"], len(ran.json["claims"])) == (1, "failed", 1)


@pytest.mark.parametrize(
    "error", [NotScreened("known losses in plain:mini is paused: a worker is lost"), TrainingsBroke("a worker is lost")]
)
def test_what_is_no_fault_of_a_loss_ends_it_with_1_and_a_sentence(
    discovery: Command, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(run: Run) -> Any:
        raise error

    monkeypatch.setattr(papers, "PAPERS", {PaperName.PM: Paper(fail, 1.0)})
    ran = discovery("reproduce", "pm")
    assert (ran.code, ran.out) == (1, "")
    assert "a worker is lost" in ran.err


def test_pictures_that_cannot_be_made_are_refused_before_anything_is_measured(
    discovery: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert discovery("reproduce", "pm", "--plots", tmp_path / "file").code == 2
    monkeypatch.setattr(drawing, "find_spec", lambda _: None)
    ran = discovery("reproduce", "pm", "--plots", tmp_path)
    assert ran.code == 2
    assert "pip install 'discovery-service[plot]'" in ran.err
