"""The base policies that ship are the ones that are published of, and know the language they were trained on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from discovery_service.domain.arenas import ARENAS, BASE_POLICIES, arena_names, find_document
from discovery_service.domain.worlds import RECIPES, ArenaSize, MatchingWorld
from workers.arenas import policies
from workers.arenas.cache import Cache, hash_recipe, hash_tensors
from workers.arenas.language import build_model, find_cross_entropy, pretrain, set_initial_weights
from workers.arenas.policies import (
    describe_policy,
    find_shipped,
    find_weights,
    list_shipped,
    load_policy,
    load_speaker,
)
from workers.arenas.pretrain import describe_base
from workers.arenas.regimes import read_document
from workers.arenas.speakers import find_natural, find_spoken_entropy, make_spoken, tell_all
from workers.arenas.texts import make_texts

# Of the language, in nats a token, over all moods: no policy is below it.
ENTROPY = {0.0: 2.3259, 0.2: 2.3407}
PARAMETERS = {ArenaSize.MINI: 15_904, ArenaSize.BASE: 94_912}
STOPS = sorted({arena.world.p_stop for arena in ARENAS.values() if not isinstance(arena.world, MatchingWorld)})
SPEAKERS = [name for name in arena_names() if isinstance(ARENAS[name.partition(":")[0]].world, MatchingWorld)]
SMALL = replace(RECIPES[ArenaSize.MINI], pretraining_texts=200, pretraining_steps=3)


@pytest.mark.parametrize("base_policy", BASE_POLICIES)
@pytest.mark.parametrize("p_stop", STOPS)
@pytest.mark.parametrize("size", list(ArenaSize))
def test_every_built_in_arena_finds_its_base_policies_in_the_package(
    size: ArenaSize, p_stop: float, base_policy: int
) -> None:
    described = describe_policy(RECIPES[size], p_stop, base_policy)
    weights = find_shipped(described)
    assert weights is not None
    assert sum(each.numel() for each in weights.values()) == PARAMETERS[size]
    assert hash_tensors(weights) == list_shipped()[hash_recipe(described)]["sha256"]


def test_no_two_of_them_are_the_same_and_none_is_left_over() -> None:
    kinds = len(ArenaSize) * len(STOPS) + 1
    assert len({each["sha256"] for each in list_shipped().values()}) == kinds * len(BASE_POLICIES)
    shipped = {path.name for path in policies.shipped_directory().glob("*.safetensors")}
    assert shipped == {each["file"] for each in list_shipped().values()}


@pytest.mark.parametrize("base_policy", BASE_POLICIES)
@pytest.mark.parametrize("p_stop", STOPS)
def test_a_base_policy_knows_the_language(p_stop: float, base_policy: int, tmp_path: Path) -> None:
    """On texts that it was not trained on, as well as was written down, and near what there is to know."""
    model = load_policy(RECIPES[ArenaSize.MINI], p_stop, base_policy, Cache(tmp_path))
    with torch.no_grad():
        found = float(find_cross_entropy(model, make_texts(4096, 9_000, p_stop=p_stop)))
    described = describe_policy(RECIPES[ArenaSize.MINI], p_stop, base_policy)
    assert found == pytest.approx(list_shipped()[hash_recipe(described)]["cross_entropy"], abs=1e-3)
    assert ENTROPY[p_stop] < found < ENTROPY[p_stop] + 0.01
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("base_policy", BASE_POLICIES)
@pytest.mark.parametrize("name", SPEAKERS)
def test_a_speaker_ships_speaks_as_it_has_read_and_seldom_junk(name: str, base_policy: int, tmp_path: Path) -> None:
    document = find_document(name) or {}
    _, world, recipe = read_document(document)
    model = load_speaker(world, recipe, base_policy, Cache(tmp_path))
    assert list(tmp_path.iterdir()) == []
    with torch.no_grad():
        found = float(find_spoken_entropy(world, model, make_spoken(world, base_policy, 4096, 9_000)))
    told = list_shipped()[hash_recipe(describe_base(document, base_policy))]["cross_entropy"]
    assert found == pytest.approx(told, abs=1e-3)
    chances = tell_all(model, world).sum(2).exp()
    assert torch.allclose(chances.sum(1), torch.ones(world.prompts), atol=1e-5)
    assert 0.01 < float(chances[:, ~find_natural(world)].sum(1).mean()) < 0.04


def test_a_package_whose_weights_were_altered_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = describe_policy(RECIPES[ArenaSize.MINI], 0.0, 0)
    entry = list_shipped()[hash_recipe(described)]
    data = bytearray((policies.shipped_directory() / entry["file"]).read_bytes())
    data[-1] ^= 1
    (tmp_path / entry["file"]).write_bytes(data)
    list_shipped()
    monkeypatch.setattr(policies, "shipped_directory", lambda: tmp_path)
    with pytest.raises(RuntimeError, match="install the package anew"):
        find_shipped(described)


def test_a_policy_that_does_not_ship_is_trained_once_and_then_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_weights(load_policy(SMALL, 0.0, 0, Cache(tmp_path)))
    monkeypatch.delattr(policies, "pretrain")
    second = find_weights(load_policy(SMALL, 0.0, 0, Cache(tmp_path)))
    assert hash_tensors(first) == hash_tensors(second)


def test_pretraining_repeats_itself_and_each_number_is_another_policy() -> None:
    hashes = [hash_tensors(find_weights(pretrain(SMALL, 0.2, number))) for number in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_initial_weights_are_small_and_norms_are_one() -> None:
    model = build_model(SMALL)
    set_initial_weights(model, 1)
    spreads = {float(each.detach().std()) for each in model.parameters() if each.dim() > 1}
    assert all(spread == pytest.approx(0.02, rel=0.1) for spread in spreads)
    assert all(bool((each == 1).all()) for each in model.parameters() if each.dim() == 1)
