"""The library as prompts will show it once it is measured: figures of the usual length, which say nothing.

A plan is made before anything is measured, and what is measured is half of a prompt.
"""

from typing import Any

from discovery_service.db.tables import Arena
from discovery_service.domain.archive import Archive, Member, Place, Screened
from discovery_service.domain.authors import Author
from discovery_service.domain.campaign import CampaignSpec
from discovery_service.domain.families import Family
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting
from discovery_service.domain.metrics import OWN_OF
from discovery_service.domain.user_arenas import counted_metric
from discovery_service.engine.library import list_library
from discovery_service.losses.described import list_described

_SERIES = ("margin", "chosen_log_ratio", "rejected_log_ratio", "kl_estimate", "accuracy", "loss", "gradient_norm")


def stand_in(spec: CampaignSpec, arena: Arena) -> Archive:
    described = list_described(spec.family)
    members = [
        Member(
            Place(LIBRARY_ROUND, slot),
            known.name,
            Author.LIBRARY,
            known.text,
            described[known.name].graph,
            described[known.name].passport,
            described[known.name].formula,
            screened=_screen(spec, arena.spec, -0.1234 - slot / 1000, is_reference=known.name == spec.reference),
        )
        for slot, known in enumerate(list_library(spec))
    ]
    return Archive((LIBRARY_ROUND,), tuple(members))


def _screen(spec: CampaignSpec, document: dict[str, Any], figure: float, *, is_reference: bool) -> Screened:
    draws = spec.tuning.screen_draws
    interval = Interval(figure, figure - 0.0123, figure + 0.0123, draws)
    # Of pairs few arenas have any: where annotators differ, one or two.
    own = () if spec.family is Family.PAIRWISE else OWN_OF[spec.family]
    names = (counted_metric(document), "J", "reward", "kl", *own)
    metrics = dict.fromkeys(names, interval)
    difference = None if is_reference else interval
    setting = Setting(1.0, 1.5e-3, 120)
    return Screened(setting, difference, metrics, series=dict.fromkeys(_SERIES, [0.1234] * setting.steps))
