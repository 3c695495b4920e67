"""What was measured comes out of the file as it went in, and the same trainings make the same file."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.bank_file import SHIPPED, NotInBank, read_bank, write_bank
from benchmarks.bank_plan import LIBRARY, list_decided
from benchmarks.planted import compile_trusted, find_source
from benchmarks.trainings import get_document
from discovery_service.domain.arenas import hash_document
from discovery_service.losses.canonical import hash_graph
from tests.benchmarks.banks import make_bank

ARENA = "plain:mini"
BANK = make_bank(lambda cell: None if (cell.loss, cell.draw.key) == ("sign", "3") else -1.5, ARENA)


def test_a_bank_is_read_as_it_was_written_to_six_digits(tmp_path: Path) -> None:
    write_bank(BANK, tmp_path / "data" / "bank.json.gz")
    read = read_bank(tmp_path / "data" / "bank.json.gz")
    assert (read.about, read.tuned, read.outcomes.keys()) == (BANK.about, BANK.tuned, BANK.outcomes.keys())
    for cell, outcome in BANK.outcomes.items():
        again = read.get(cell)
        assert again.reason == outcome.reason
        assert again.j == (None if outcome.j is None else pytest.approx(outcome.j, rel=1e-5))


def test_the_same_trainings_make_the_same_bytes_in_whatever_order(tmp_path: Path) -> None:
    cells = list(BANK.outcomes)
    random.Random(0).shuffle(cells)
    shuffled = replace(BANK, outcomes={cell: BANK.outcomes[cell] for cell in cells})
    write_bank(BANK, tmp_path / "one")
    write_bank(shuffled, tmp_path / "other")
    write_bank(read_bank(tmp_path / "one"), tmp_path / "again")
    first = (tmp_path / "one").read_bytes()
    assert first == (tmp_path / "other").read_bytes()
    assert first == (tmp_path / "again").read_bytes()


def test_what_is_not_there_is_named() -> None:
    cell = next(iter(BANK.outcomes))
    with pytest.raises(NotInBank, match="no training of dpo in terse:mini"):
        BANK.get(cell._replace(arena="terse:mini", loss="dpo"))
    with pytest.raises(NotInBank, match="no tuned nothing"):
        BANK.get_tuned(ARENA, "nothing")


def test_without_a_file_one_is_told_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="python -m benchmarks"):
        read_bank(tmp_path / "none")


def test_the_bank_that_is_shipped_is_of_the_arenas_and_losses_as_they_are() -> None:
    bank = read_bank(SHIPPED)
    assert bank.about["arenas"] == {name: hash_document(get_document(name)) for name in bank.about["arenas"]}
    sources = {key: find_source(*key) for key in bank.tuned}
    assert {key: hash_graph(compile_trusted(text)) for key, text in sources.items()} == {
        key: tuned.graph_sha256 for key, tuned in bank.tuned.items()
    }


def test_there_are_36_losses_to_decide_between_and_no_two_are_one() -> None:
    hashes = {hash_graph(compile_trusted(find_source("terse:mini", loss))) for loss in list_decided()}
    assert len(hashes) == len(list_decided()) == 36
    assert set(LIBRARY) < set(list_decided())
