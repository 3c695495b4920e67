"""A synthetic arena gives the same bits warm, from disk and from nothing, and trains on what its draw made."""

import json
import multiprocessing
from dataclasses import replace
from multiprocessing import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import torch

from discovery_service.domain.arenas import ARENAS, find_document
from discovery_service.domain.measuring import Draw, Setting
from discovery_service.domain.states import Purpose
from discovery_service.domain.worlds import RECIPES, ArenaSize
from discovery_service.losses.families import INPUTS, Role, Shape
from tests.arenas.conftest import OpenMini
from tests.arenas.training import evaluate, find_source
from workers.arenas import regimes
from workers.arenas.cache import Cache
from workers.arenas.language import build_model
from workers.arenas.opening import UnknownArena, open_arena
from workers.arenas.pair_task import PairTask
from workers.arenas.synthetic import SyntheticArena
from workers.arenas.texts import is_answer

DRAW = Draw(Purpose.TUNE, "0")
SETTING = Setting(1.0, 1.5e-3, 30)


OF_FAMILIES = ("terse", "guardrail", "outcome", "plurality")


def _weights(task: PairTask) -> list[torch.Tensor]:
    return [each.detach().clone() for each in task.policy.parameters()]


def test_numbers_repeat_bit_for_bit_warm_from_disk_and_from_nothing(open_mini: OpenMini, tmp_path: Path) -> None:
    source = find_source("dpo")
    warm = open_mini("terse", tmp_path / "first")
    runs = [
        evaluate(warm, source, SETTING, DRAW),
        evaluate(warm, source, SETTING, DRAW),
        evaluate(open_mini("terse", tmp_path / "first"), source, SETTING, DRAW),
        evaluate(open_mini("terse", tmp_path / "second"), source, SETTING, DRAW),
    ]
    first, measured = runs[0]
    for task, again in runs[1:]:
        assert again == measured
        assert all(torch.equal(*pair) for pair in zip(_weights(task), _weights(first), strict=True))


def test_a_draw_whose_file_was_damaged_is_built_anew_to_the_same_bits(open_mini: OpenMini, tmp_path: Path) -> None:
    before = open_mini("terse", tmp_path).open(0, DRAW).measure()
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert open_mini("terse", tmp_path).open(0, DRAW).measure() == before
    assert path.read_bytes() != bytes(data)


def _open_at_once(directory: Path, barrier: Barrier, measured: "Queue[dict[str, float | None]]") -> None:
    torch.set_num_threads(1)
    arena = open_arena(find_document("terse:mini"), torch.device("cpu"), directory)
    barrier.wait()
    measured.put(arena.open(0, DRAW).measure())


def test_two_processes_that_build_the_same_arena_end_with_one_artefact(open_mini: OpenMini, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, measured = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_open_at_once, args=(tmp_path, barrier, measured)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [measured.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(60)
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    assert found[0] == found[1] == open_mini("terse").open(0, DRAW).measure()


def test_a_draw_of_a_mini_arena_keeps_little_memory(open_mini: OpenMini, tmp_path: Path) -> None:
    """Sixty draws of each of 22 arenas come to less than half a gigabyte."""
    arena = open_mini("shift", tmp_path)
    arena.open(0, DRAW)
    without = arena.held_bytes()
    arena.open(0, Draw(Purpose.TUNE, "1"))
    assert arena.held_bytes() - without < 150_000


def test_a_policy_that_was_not_trained_ties_with_the_reference(open_mini: OpenMini) -> None:
    measured = open_mini("shift").open(1, DRAW).measure()
    assert measured["win_rate"] == 0.5
    assert measured["kl"] == pytest.approx(0, abs=1e-5)
    assert measured["accuracy"] == pytest.approx(0.5, abs=0.1)
    assert "proxy_reward" in measured
    assert "disagreement" not in measured


def test_training_improves_what_it_is_to_improve(open_mini: OpenMini) -> None:
    arena = open_mini("plain")
    before = arena.open(0, DRAW).measure()
    _, after = evaluate(arena, find_source("dpo"), replace(SETTING, steps=120), DRAW)
    assert all(
        after[name] > before[name] + gain for name, gain in {"J": 0.8, "win_rate": 0.2, "accuracy": 0.15}.items()
    )
    assert after["J"] == pytest.approx(after["reward"] - after["kl"])


def test_where_annotators_differ_a_policy_is_held_against_them_all(open_mini: OpenMini) -> None:
    _, measured = evaluate(open_mini("panel"), find_source("dpo"), replace(SETTING, steps=120), DRAW)
    assert 0.05 < measured["disagreement"] < 0.4
    assert measured["accuracy"] < 1 - measured["disagreement"]


@pytest.mark.parametrize("name", OF_FAMILIES)
def test_a_batch_has_every_input_of_the_family_that_the_trainer_does_not_set(name: str, open_mini: OpenMini) -> None:
    task, spec = open_mini(name).open(0, DRAW), ARENAS[name]
    batch = task.batches.take(task.policy)
    given = {**batch.inputs, **task.policy.log_probabilities(batch)}
    inputs = {each.name: each for each in INPUTS[spec.family] if each.shape is not Shape.SCALAR}
    assert given.keys() == inputs.keys()
    rows = spec.recipes[ArenaSize.MINI].batch
    for each, values in given.items():
        assert values.shape[0] == rows
        assert values.dim() == (2 if inputs[each].shape is Shape.TOKENS else 1)
        assert (values.dtype == torch.int64) is inputs[each].is_integer
        assert values.requires_grad is (inputs[each].role is Role.POLICY)


@pytest.mark.parametrize("name", OF_FAMILIES)
def test_at_the_start_the_policy_says_what_the_reference_said(name: str, open_mini: OpenMini) -> None:
    task = open_mini(name).open(2, DRAW)
    batch = task.batches.take(task.policy)
    for name, said in task.policy.log_probabilities(batch).items():
        torch.testing.assert_close(said, batch.inputs[name.replace("policy", "reference")], atol=1e-4, rtol=1e-5)


def test_the_lengths_of_a_row_are_those_of_its_answers(open_mini: OpenMini) -> None:
    task = open_mini("terse").open(2, DRAW)
    batch = task.batches.take(task.policy)
    lengths = is_answer(batch.rows["texts"]).sum(-1)
    assert torch.equal(lengths[:, 0].float(), batch.inputs["chosen_lengths"])


def test_a_pass_sees_every_pair_once_and_the_next_one_in_another_order(open_mini: OpenMini) -> None:
    task = open_mini("plain").open(0, DRAW)
    batches = [task.batches.take(task.policy).inputs["reference_chosen_logps"] for _ in range(64)]
    first, second = torch.cat(batches[:32]), torch.cat(batches[32:])
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, second.sort().values)


def test_a_repeat_trains_on_the_same_pairs_in_another_order(open_mini: OpenMini) -> None:
    arena = open_mini("plain")
    one, other = (arena.open(0, replace(DRAW, repeat=repeat)).batches for repeat in (0, 1))
    assert torch.equal(one._texts, other._texts)
    assert not torch.equal(one.take(None).rows["texts"], other.take(None).rows["texts"])


def test_a_training_leaves_the_reference_and_the_next_training_alone(open_mini: OpenMini) -> None:
    arena = open_mini("plain")
    before = _weights(arena.open(0, DRAW))
    evaluate(arena, find_source("dpo"), SETTING, DRAW)
    assert all(torch.equal(*pair) for pair in zip(_weights(arena.open(0, DRAW)), before, strict=True))


def test_what_is_warm_is_counted_and_let_go_of_oldest_first(open_mini: OpenMini, tmp_path: Path) -> None:
    arena = open_mini("plain", tmp_path)
    assert arena.held_bytes() == 0
    for key in "012":
        arena.open(0, Draw(Purpose.TUNE, key))
    arena.open(0, Draw(Purpose.TUNE, "0"))
    held = arena.held_bytes()
    arena.forget(1)
    assert 0 < arena.held_bytes() < held
    for file in tmp_path.iterdir():
        file.unlink()
    arena.open(0, Draw(Purpose.TUNE, "0"))
    arena.open(0, Draw(Purpose.TUNE, "2"))
    assert list(tmp_path.iterdir()) == []  # those two were still warm
    arena.forget(held)
    assert arena.held_bytes() == 0


def test_what_depends_on_published_figures_is_not_measured(open_mini: OpenMini) -> None:
    assert "attained" not in open_mini("plain").open(0, DRAW).measure()


def test_no_other_base_policy_is_measured_than_the_one_of_the_published_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = build_model(RECIPES[ArenaSize.MINI])
    monkeypatch.setattr(regimes, "load_policy", lambda *_: other)
    arena = SyntheticArena(find_document("plain:mini"), torch.device("cpu"), Cache(tmp_path))
    with pytest.raises(RuntimeError, match="install the package anew"):
        arena.open(0, DRAW)


def test_a_document_opens_the_same_arena_after_a_journey_as_json(cache_dir: Path) -> None:
    document = find_document("panel:mini")
    travelled = json.loads(json.dumps(document))
    measured = [
        open_arena(each, torch.device("cpu"), cache_dir).open(0, DRAW).measure() for each in (document, travelled)
    ]
    assert measured[0] == measured[1]


@pytest.mark.parametrize("change", [{"version": 99}, {"builders": {"policies": 1, "draws": 1}}, {"kind": "holodeck"}])
def test_a_document_that_this_worker_does_not_know_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(UnknownArena, match="same version"):
        open_arena({**find_document("plain:mini"), **change}, torch.device("cpu"), tmp_path)
