"""Against a copy of the prototype that the arenas were designed with: the same weights and draw give the same figures.

`tests/data/steer.py` is that copy, unchanged.
"""

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from discovery_service.domain.measuring import Draw, Setting, Stream
from discovery_service.domain.states import Purpose
from tests.arenas.conftest import LoadPolicy, OpenMini
from tests.arenas.training import evaluate, find_source
from workers.arenas.pair_task import PairTask
from workers.arenas.sampling import make_uniforms, sample
from workers.arenas.texts import PROMPT, is_answer, make_prompts, make_texts, score

DRAW = Draw(Purpose.CALIBRATE, "prototype")
LENGTH_OFFSET = find_source("length_dpo").replace("alpha=0.05", "alpha=-0.15")


@pytest.fixture(scope="module")
def steer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("steer", Path(__file__).parents[1] / "data" / "steer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _to_prototype(model: Any, steer: ModuleType) -> Any:
    weights = model.state_dict()
    policy = steer.Policy(**steer.SIZES["mini"])
    loaded = {"e.weight": weights["model.embed_tokens.weight"], "n.weight": weights["model.norm.weight"]}
    loaded["hd.weight"] = weights["lm_head.weight"]
    for number in range(len(policy.b)):
        own, theirs = f"b.{number}.", f"model.layers.{number}."
        attention, mlp = f"{theirs}self_attn.", f"{theirs}mlp."
        loaded[f"{own}n1.weight"] = weights[f"{theirs}input_layernorm.weight"]
        loaded[f"{own}n2.weight"] = weights[f"{theirs}post_attention_layernorm.weight"]
        loaded[f"{own}qkv.weight"] = torch.cat([weights[f"{attention}{each}_proj.weight"] for each in "qkv"])
        loaded[f"{own}o.weight"] = weights[f"{attention}o_proj.weight"]
        loaded[f"{own}gu.weight"] = torch.cat([weights[f"{mlp}{each}_proj.weight"] for each in ("gate", "up")])
        loaded[f"{own}dn.weight"] = weights[f"{mlp}down_proj.weight"]
    policy.load_state_dict(loaded)
    return policy


def _from_prototype(policy: Any, model: Any) -> None:
    """The same way back, by what the prototype's weights are parts of."""
    theirs = policy.state_dict()
    weights = {"model.embed_tokens.weight": theirs["e.weight"], "model.norm.weight": theirs["n.weight"]}
    weights["lm_head.weight"] = theirs["hd.weight"]
    for number in range(len(policy.b)):
        own, layer = f"b.{number}.", f"model.layers.{number}."
        weights[f"{layer}input_layernorm.weight"] = theirs[f"{own}n1.weight"]
        weights[f"{layer}post_attention_layernorm.weight"] = theirs[f"{own}n2.weight"]
        for name, part in zip("qkv", theirs[f"{own}qkv.weight"].chunk(3), strict=True):
            weights[f"{layer}self_attn.{name}_proj.weight"] = part
        weights[f"{layer}self_attn.o_proj.weight"] = theirs[f"{own}o.weight"]
        for name, part in zip(("gate", "up"), theirs[f"{own}gu.weight"].chunk(2), strict=True):
            weights[f"{layer}mlp.{name}_proj.weight"] = part
        weights[f"{layer}mlp.down_proj.weight"] = theirs[f"{own}dn.weight"]
    model.load_state_dict(weights)


def test_weights_map_one_to_one_both_ways_and_logits_agree(mini_policy: LoadPolicy, steer: ModuleType) -> None:
    model, texts = mini_policy(0.2, 0), make_texts(256, 1, p_stop=0.2)
    with torch.no_grad():
        forth = _to_prototype(model, steer)(texts)
        # Logits go up to 22 here, and either side is up to 8.3e-6 from what float64 gives.
        torch.testing.assert_close(model(input_ids=texts).logits, forth, atol=1e-5, rtol=0)
        torch.manual_seed(5)
        fresh = steer.Policy(**steer.SIZES["mini"])
        _from_prototype(fresh, model)
        torch.testing.assert_close(model(input_ids=texts).logits, fresh(texts), atol=3e-7, rtol=0)


def test_the_language_is_the_same(steer: ModuleType) -> None:
    """Each word as often at each place, and the same reward on both sides' texts."""
    ours, theirs = make_texts(20_000, 1, p_stop=0.2), steer.texts(20_000, 1, 0.2)
    for place in range(1, ours.shape[1]):
        counts = [torch.bincount(texts[:, place], minlength=75).double() for texts in (ours, theirs)]
        error = (sum(counts) + 9).sqrt()
        assert float(((counts[0] - counts[1]) / error).abs().max()) < 5.5
    assert torch.equal(score(theirs), steer.reward(theirs))
    assert torch.equal(score(ours), steer.reward(ours))


def test_samples_are_the_same_but_for_rounding(mini_policy: LoadPolicy, steer: ModuleType) -> None:
    model, prompts = mini_policy(0.2, 0), make_prompts(512, 1)
    ours = sample(model, prompts, make_uniforms(512, 7)).texts
    theirs = steer.sample(_to_prototype(model, steer), prompts, 7)
    assert float((ours == theirs).all(1).double().mean()) > 0.995


def _load_draw(task: PairTask) -> dict[str, torch.Tensor]:
    made = task._made
    lengths = is_answer(made["texts"]).sum(-1).float()
    return {
        "tokens": made["texts"].long(),
        "annotator": made["annotator"].float(),
        "reference_chosen_logps": made["reference"][:, 0],
        "reference_rejected_logps": made["reference"][:, 1],
        "chosen_lengths": lengths[:, 0],
        "rejected_lengths": lengths[:, 1],
    }


def _measure(policy: Any, reference: Any, task: PairTask, steer: ModuleType) -> float:
    """The prototype's J, on our prompts and random numbers."""
    texts = steer.sample(policy, task._made["prompts"].long(), DRAW.seed(Stream.EVALUATION_SAMPLING))
    with torch.no_grad():
        own, given = (each(texts[:, :-1], PROMPT - 1).log_softmax(-1) for each in (policy, reference))
    kl = ((own.exp() * (own - given)).sum(-1) * (texts[:, PROMPT:] != 0)).sum(1)
    return float((steer.reward(texts) - kl).mean())


@pytest.mark.parametrize(
    ("name", "loss", "source", "setting"),
    [
        ("terse", "dpo", find_source("dpo"), Setting(2.0, 1.5e-3, 120)),
        ("terse", "len_offset", LENGTH_OFFSET, Setting(1.0, 5e-4, 240)),
        ("panel", "dpo", find_source("dpo"), Setting(0.5, 1.5e-3, 120)),
    ],
)
def test_a_training_ends_where_the_prototypes_does(
    open_mini: OpenMini,
    mini_policy: LoadPolicy,
    steer: ModuleType,
    name: str,
    loss: str,
    source: str,
    setting: Setting,
) -> None:
    task, measured = evaluate(open_mini(name), source, setting, DRAW)
    world = steer.ARENAS[name]
    reference = _to_prototype(mini_policy(world.p_stop, 0), steer)
    trained = steer.train(
        reference,
        "mini",
        world,
        steer.LOSSES[loss],
        setting.beta,
        setting.learning_rate,
        setting.steps,
        DRAW.seed(Stream.ORDER) - 70_000,
        _load_draw(task),
    )
    assert measured["J"] == pytest.approx(_measure(trained, reference, task, steer), abs=0.02)


def test_another_order_ends_elsewhere(open_mini: OpenMini) -> None:
    """Or the agreement above would be cheap."""
    setting = Setting(2.0, 1.5e-3, 120)
    objectives = [
        evaluate(open_mini("terse"), find_source("dpo"), setting, replace(DRAW, repeat=repeat))[1]["J"]
        for repeat in (0, 1)
    ]
    assert abs(objectives[0] - objectives[1]) > 0.001
