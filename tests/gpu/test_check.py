"""The comparison of a card with a processor, as far as it goes without one."""

import re
from datetime import date
from pathlib import Path

import pytest
import torch

from tests.gpu import __main__ as command
from tests.gpu.agreement import Examined, find_difference
from tests.gpu.operators import Surveyed, survey
from tests.gpu.page import NOT_RUN, Machine, Results, render
from tests.gpu.slots import Fault
from workers.runtime.graph import BINDINGS
from workers.runtime.process import EXIT_NO_DEVICE

FINE = Examined("dpo", value=1e-7, gradient=1e-6, steps=1e-6, weights=1e-5, is_steady=True, repeats=True)


def results(*losses: Examined, fault: Fault | None = None) -> Results:
    return Results(
        Machine("A card", "A processor", "2.13.0", "13.0"),
        losses or (FINE,),
        Surveyed(9, {"aten.cumsum.default": "cumsum_cuda_kernel does not have a deterministic implementation"}, {}, []),
        [fault or Fault("memory runs out", "crashed (no memory)", True, True)],
        {"mini": (900.0, 2400.0)},
    )


def test_without_a_card_it_says_so_and_leaves_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(command, "PAGE", tmp_path / "gpu.md")
    assert command.main([]) == EXIT_NO_DEVICE
    assert "no CUDA device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_with_the_processor_in_the_cards_place_all_is_as_it_should_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "PAGE", tmp_path / "gpu.md")
    assert command.main(["--device", "cpu", "--quick"]) == 0
    page = capsys.readouterr().err
    assert "All is as it should be." in page
    assert re.search(r"^\| memory runs out \| crashed \(.*memory.*\) \| yes \|", page, re.MULTILINE)
    assert "| the context is poisoned | crashed (" in page
    assert "4 of 4 trainings give the same bits twice" in page
    assert not (tmp_path / "gpu.md").exists()


def test_the_page_of_the_docs_is_one_that_the_check_writes() -> None:
    page = (Path(__file__).parents[2] / "docs" / "gpu.md").read_text()
    head = render(None).partition(NOT_RUN)[0]
    assert page.startswith(head)
    assert page == render(None) or page.removeprefix(head).startswith("Run on 20")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (results(Examined("dpo", value=1e-3)), "dpo: value of a loss differs"),
        (results(Examined("dpo", weights=float("inf"), is_steady=True)), "dpo: weights after them"),
        (results(Examined("dpo", repeats=False)), "dpo: does not repeat its bits"),
        (results(Examined("aot", trouble="no deterministic version")), "aot: no deterministic version"),
        (results(fault=Fault("memory runs out", "crashed (x)", False, True)), "memory runs out: crashed (x)"),
        (
            results(fault=Fault("memory runs out", "crashed (no memory)", True, False)),
            "memory runs out: the slot is lost",
        ),
    ],
)
def test_whatever_is_not_as_it_should_be_is_told(found: Results, said: str) -> None:
    assert found.find_faults()
    assert said in found.find_faults()[0]
    assert said in render(found, date(2026, 11, 21))
    assert "All is as it should be." not in render(found, date(2026, 11, 21))


def test_the_page_has_the_date_the_figures_and_the_operations() -> None:
    page = render(results(), date(2026, 11, 21))
    assert results().find_faults() == []
    for told in ("Run on 2026-11-21: A card", "All is as it should be.", "| 1.0e-07 | dpo, of 1 |", "| 900 | 2400 |"):
        assert told in page
    assert "- `aten.cumsum.default`: cumsum_cuda_kernel" in page


def test_a_training_that_rounding_alone_turns_round_is_told_and_not_compared() -> None:
    found = results(FINE, Examined("sign", value=0.0, steps=0.1, weights=0.02, is_steady=False, repeats=True))
    assert found.find_faults() == []
    page = render(found, date(2026, 11, 21))
    assert "Not compared in training: sign." in page
    assert "2 of 2 trainings give the same bits twice" in page


def test_an_operation_without_a_deterministic_version_is_told_from_one_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Torch says it of its own median with its place even where it trains on a processor."""
    monkeypatch.delitem(BINDINGS, "aten.median.dim")
    found = survey(torch.device("cpu"), ["aten.exp.default", "aten.median.dim"])
    assert (found.tried, list(found.without_deterministic), found.failing) == (2, ["aten.median.dim"], {})


def test_a_difference_is_relative_and_what_is_no_number_differs() -> None:
    wanted = torch.tensor([1e-9, 1.0, 3.0], dtype=torch.float64)
    assert find_difference(wanted, wanted) == 0
    assert find_difference(wanted, wanted + torch.tensor([1e-6, 0.0, 0.0])) < 1e-6
    assert find_difference(wanted, wanted * torch.tensor([1.0, 1.0, 1.1])) == pytest.approx(0.3 / (3 + 4 / 3))
    assert find_difference(wanted, wanted.log().neg() / 0) == float("inf")
