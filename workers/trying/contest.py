"""Losses with the same effort: each setting tried once, the best one trained with every seed, and what came of it."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from discovery_service.domain.measuring import Setting
from discovery_service.losses.refusals import Refused
from workers.progress import Tell
from workers.runtime.graph import Program
from workers.trying.estimate import find_mean
from workers.trying.measuring import Examiner, Replies, Said, Speaker
from workers.trying.training import How, train

_TO_TUNE = 0
"""The seed with which settings are tried; those of the report are from 1 on."""


@dataclass(frozen=True)
class Plan:
    settings: tuple[Setting, ...]
    """From the gentlest on: of equals the first is taken."""
    seeds: int

    @property
    def trainings(self) -> int:
        """Of each loss."""
        return len(self.settings) + self.seeds


def make_plan(betas: Sequence[float], rates: Sequence[float], steps: int, seeds: int) -> Plan:
    gentlest_first = product(sorted(set(rates)), sorted(set(betas), reverse=True))
    return Plan(tuple(Setting(beta, rate, steps) for rate, beta in gentlest_first), seeds)


@dataclass(frozen=True)
class Bench:
    """What all trainings share, and on what they are measured."""

    base: Any
    tokenizer: Any
    rows: Any
    """What TRL reads them from."""
    how: How
    chosen_by: Examiner
    reported: Examiner
    speaker: Speaker


@dataclass
class Tried:
    name: str
    tunings: list[tuple[Setting, Said | None]] = field(default_factory=list)
    setting: Setting | None = None
    said: list[Said] = field(default_factory=list)
    """Of the rows that are reported on, a seed each."""
    replies: list[Replies] = field(default_factory=list)
    failure: str | None = None


def run_contest(bench: Bench, plan: Plan, losses: Sequence[tuple[str, Program]], tell: Tell) -> list[Tried]:
    """One loss after another; `tell` hears how many trainings are done."""
    return [
        _Trial(bench, plan, Tried(name), program, tell, number * plan.trainings).run()
        for number, (name, program) in enumerate(losses)
    ]


class _Trial:
    def __init__(self, bench: Bench, plan: Plan, tried: Tried, program: Program, tell: Tell, done: int) -> None:
        self._bench, self._plan, self._tried, self._program = bench, plan, tried, program
        self._tell, self._done = tell, done

    def run(self) -> Tried:
        tried, reason = self._tried, ""
        for setting in self._plan.settings:
            said, failure = self._tune(setting)
            tried.tunings.append((setting, said))
            reason = reason or failure
        finite = [(setting, said) for setting, said in tried.tunings if said is not None]
        if not finite:
            tried.failure = f"none of the {len(tried.tunings)} settings could be trained with: {reason}"
            return tried
        tried.setting = max(finite, key=lambda each: find_mean([each[1].accuracy]).mean)[0]
        self._report(tried.setting)
        return tried

    # A policy is gone with the call that trained it: a card holds the base model and one other, never two.

    def _tune(self, setting: Setting) -> tuple[Said | None, str]:
        policy, failure = self._train(setting, _TO_TUNE)
        said = None if policy is None else self._bench.chosen_by.examine(policy)
        return said, failure or _NO_NUMBER

    def _report(self, setting: Setting) -> None:
        for seed in range(_TO_TUNE + 1, _TO_TUNE + 1 + self._plan.seeds):
            failure = self._report_on(setting, seed)
            if failure is not None:
                self._tried.failure = f"with seed {seed}, at the setting that was chosen: {failure}"
                return

    def _report_on(self, setting: Setting, seed: int) -> str | None:
        policy, failure = self._train(setting, seed)
        said = None if policy is None else self._bench.reported.examine(policy)
        if policy is None or said is None:
            return failure or _NO_NUMBER
        self._tried.said.append(said)
        self._tried.replies.append(self._bench.speaker.reply(policy, seed))
        return None

    def _train(self, setting: Setting, seed: int) -> tuple[Any | None, str | None]:
        """The policy, or what the loss did not bear."""
        gc.collect()  # a trainer knows itself, and with it the policy before
        doing, bench = f"{self._tried.name}, beta {setting.beta:g}, rate {setting.learning_rate:g}", self._bench

        def hear(step: int) -> None:
            self._tell(doing, self._done + step / setting.steps)

        self._tell(doing, self._done)
        try:
            policy = train(bench.base, bench.tokenizer, bench.rows, self._program, setting, seed, bench.how, hear)
        except Refused as refused:
            return None, refused.refusals[0].message
        finally:
            self._done += 1
        return policy, None


_NO_NUMBER = "what the policy says came out as no number."
