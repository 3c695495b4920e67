"""The families' named inputs: what a loss may ask for, in one place for prompts, checks, probes, pages and docs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from discovery_service.domain.families import Family


class Shape(StrEnum):
    ROWS = "(B,)"
    TOKENS = "(B, T)"
    SCALAR = "()"


class Role(StrEnum):
    POLICY = "policy"
    """What the trained model says; gradients flow through it."""
    REFERENCE = "reference"
    """What a frozen model says."""
    DATA = "data"
    """What the data says about an example."""
    SETTING = "setting"
    """A number that training sets: Python's float where the code runs, a 0-dimensional tensor in the graph."""


class Unit(StrEnum):
    """What a number of an input is one of, so that what may be compared or added is known without its name."""

    NATS = "nats"
    LENGTH = "length"
    SCORE = "score"
    CATEGORY = "category"
    """Says who or what kind: one of a few."""
    GROUP = "group"
    """Says which rows belong together, and nothing else."""
    MASK = "mask"
    NUMBER = "number"


@dataclass(frozen=True)
class Input:
    name: str
    role: Role
    unit: Unit
    meaning: str
    """Completes "`name` is …"."""
    shape: Shape = Shape.ROWS
    is_integer: bool = False


_SETTINGS = (
    Input("beta", Role.SETTING, Unit.NUMBER, "how strongly the policy is held to the reference", Shape.SCALAR),
    Input("progress", Role.SETTING, Unit.NUMBER, "the share of training that is over, from 0 to 1", Shape.SCALAR),
)
_PAIR = (
    Input(
        "policy_chosen_logps", Role.POLICY, Unit.NATS, "the log-probability of the preferred answer under the policy"
    ),
    Input("policy_rejected_logps", Role.POLICY, Unit.NATS, "the log-probability of the other answer under the policy"),
    Input(
        "reference_chosen_logps",
        Role.REFERENCE,
        Unit.NATS,
        "the log-probability of the preferred answer under the reference",
    ),
    Input(
        "reference_rejected_logps",
        Role.REFERENCE,
        Unit.NATS,
        "the log-probability of the other answer under the reference",
    ),
    Input("chosen_lengths", Role.DATA, Unit.LENGTH, "the number of tokens of the preferred answer"),
    Input("rejected_lengths", Role.DATA, Unit.LENGTH, "the number of tokens of the other answer"),
    Input(
        "annotator",
        Role.DATA,
        Unit.CATEGORY,
        "the number of who labelled the pair, -1 where nobody knows",
        is_integer=True,
    ),
)

INPUTS: Mapping[Family, tuple[Input, ...]] = {
    Family.PAIRWISE: (*_PAIR, *_SETTINGS),
    Family.AUXILIARY: (
        *_PAIR,
        Input("chosen_aux", Role.DATA, Unit.SCORE, "the auxiliary score of the preferred answer"),
        Input("rejected_aux", Role.DATA, Unit.SCORE, "the auxiliary score of the other answer"),
        Input("prompt_value", Role.DATA, Unit.SCORE, "the auxiliary score to be expected of the prompt"),
        *_SETTINGS,
    ),
    Family.OUTCOME: (
        Input("policy_logps", Role.POLICY, Unit.NATS, "the log-probability of the recorded answer under the policy"),
        Input("behavior_logps", Role.DATA, Unit.NATS, "its log-probability under whoever gave the answer"),
        Input("reference_logps", Role.REFERENCE, Unit.NATS, "its log-probability under the reference"),
        Input("outcomes", Role.DATA, Unit.SCORE, "what came of the recorded answer"),
        Input("predicted_outcomes", Role.DATA, Unit.SCORE, "what an outcome model expects of the recorded answer"),
        Input(
            "sampled_policy_logps", Role.POLICY, Unit.NATS, "the log-probability of a sampled answer under the policy"
        ),
        Input(
            "sampled_reference_logps",
            Role.REFERENCE,
            Unit.NATS,
            "the log-probability of a sampled answer under the reference",
        ),
        Input(
            "sampled_predicted_outcomes", Role.DATA, Unit.SCORE, "what the outcome model expects of the sampled answer"
        ),
        *_SETTINGS,
    ),
    Family.MATCHING: (
        Input(
            "policy_token_logps",
            Role.POLICY,
            Unit.NATS,
            "the log-probability of each token under the policy",
            Shape.TOKENS,
        ),
        Input("reference_token_logps", Role.REFERENCE, Unit.NATS, "the same under the reference", Shape.TOKENS),
        Input("mask", Role.DATA, Unit.MASK, "1 where there is a token of the answer, 0 behind its end", Shape.TOKENS),
        Input("rewards", Role.DATA, Unit.SCORE, "the reward of each answer"),
        Input(
            "group", Role.DATA, Unit.GROUP, "the number of the prompt; answers to one prompt share it", is_integer=True
        ),
        *_SETTINGS,
    ),
}


def find_input(family: Family, name: str) -> Input | None:
    return next((each for each in INPUTS[family] if each.name == name), None)
