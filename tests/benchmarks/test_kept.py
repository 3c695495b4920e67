"""A long benchmark goes on where it was ended."""

from pathlib import Path

from benchmarks.kept import Kept


def found(number: int) -> dict[str, int]:
    return {"found": number}


def never() -> dict[str, int]:
    raise AssertionError("it was measured already")


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "runs.jsonl"
    assert Kept(path).get({"draw": 1, "way": "a"}, lambda: found(1)) == found(1)
    later = Kept(path)
    assert later.get({"way": "a", "draw": 1}, never) == found(1)
    assert later.find({"way": "a", "draw": 2}) is None


def test_a_line_that_was_cut_is_measured_again_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    Kept(path).get({"draw": 1}, lambda: found(1))
    with path.open("a") as file:
        file.write('{"key": {"draw": 2}, "fou')
    assert Kept(path).get({"draw": 2}, lambda: found(2)) == found(2)
    whole = Kept(path)
    assert (whole.get({"draw": 1}, never), whole.get({"draw": 2}, never)) == (found(1), found(2))


def test_fresh_forgets(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    Kept(path).get({"draw": 1}, lambda: found(1))
    assert Kept(path, fresh=True).get({"draw": 1}, lambda: found(2)) == found(2)
