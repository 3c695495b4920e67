"""From an arena to what is published of it: optimum, noise and cost of each base policy, then the tuned library."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from discovery_service.domain.arenas import BASE_POLICIES, ArenaKind, hash_document
from discovery_service.domain.calibration import Incomparable
from discovery_service.domain.described_arenas import describe_built_in
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import KNOWN_LOSSES, REFERENCE_LOSSES
from discovery_service.domain.published import find_calibration, find_figures
from discovery_service.domain.worlds import ArenaSize
from discovery_service.errors import UsageError
from discovery_service.losses.shipped import find_conditions, is_current, list_published
from discovery_service.settings import get_settings
from workers.arenas.calibrate import calibrate_noise, calibrate_optimum
from workers.calibrate.library import count_trainings, measure_library
from workers.calibrate.publishing import publish_figures, publish_library
from workers.trainings import open_slots, open_trainings

Document = Mapping[str, Any]
Say = Callable[[str], None]

USUAL = ("ipo", "slic", "cdpo", "exp", "simpo", "lrml", "robust_dpo", "apo_zero", "orpo")
"""Beside DPO enough for the noise of an arena of pairs whose trainings take long. Where they take a second it is the
whole library, and in other families too."""

FEWEST = 3
"""With the reference."""


def choose_losses(document: Document, wanted: Sequence[str]) -> list[str]:
    """Those that are wanted and the reference. UsageError for an unknown one, and where they tell nothing of noise."""
    family = Family(document["family"])
    known, reference = KNOWN_LOSSES[family], REFERENCE_LOSSES[family]
    if unknown := [each for each in wanted if each not in known]:
        raise UsageError(f"{unknown[0]} is no known loss of the family; those are {', '.join(known)}.")
    is_mini = document["kind"] == ArenaKind.SYNTHETIC and document["name"].endswith(f":{ArenaSize.MINI}")
    usual = known if is_mini or family is not Family.PAIRWISE else USUAL
    chosen = {reference, *(wanted or usual)}
    if len(chosen) < FEWEST:
        raise UsageError(f"The noise of an arena is that of two losses or more beside {reference}: name another one.")
    return [each for each in known if each in chosen]


def calibrate_built_in(
    documents: Iterable[Document], wanted: Sequence[str], say: Say, *, again: bool
) -> Iterator[dict[str, Any]]:
    """What is shown of each afterwards. What is known already is not measured, so an ended run goes on.

    Raises TrainingsBroke.
    """
    for document in documents:
        for base_policy in BASE_POLICIES:
            _measure_policy(document, base_policy, say, again=again)
        names, published = choose_losses(document, wanted), _list_published(document)
        if again or not set(names) <= set(published) or not _is_current(document):
            # It replaces what was published: together, or the arena would be known by fewer losses than before.
            every = choose_losses(document, [*names, *published])
            library = measure(document, every, BASE_POLICIES, say)
            publish_library(document, library, find_conditions(document, every))
        described = describe_built_in(document["name"])
        assert described is not None
        yield described["calibration"]


def calibrate_operators(document: Document, wanted: Sequence[str], file: Path, say: Say) -> dict[str, Any]:
    """Its library, written beside the arena's file for whoever looks after the API. Raises TrainingsBroke."""
    library = measure(document, choose_losses(document, wanted), range(len(document["models"])), say)
    found = {"name": document["name"], "content_sha256": hash_document(document), "library": library}
    written = find_written(file)
    written.write_text(json.dumps(found, indent=1) + "\n")
    say(f"{written} has it; `discovery arena import {written}` sends it to the API.")
    return found


def find_written(file: Path) -> Path:
    """Where the calibration of an operator's arena lies."""
    return file.with_suffix(".calibration.json")


def measure(document: Document, names: Sequence[str], base_policies: Sequence[int], say: Say) -> dict[str, Any]:
    """The tuned library. Raises TrainingsBroke, UsageError where no verdict on the arena is possible."""
    count = count_trainings(document, names, base_policies)
    say(f"{document['name']}: {count} trainings, to tune {len(names)} known losses and measure them on fresh draws.")
    with open_slots() as slots, open_trainings(document, slots, count) as trainings:
        try:
            return measure_library(document, names, base_policies, trainings)
        except Incomparable as error:
            raise UsageError(f"{document['name']} cannot be calibrated: {error}") from error


def _measure_policy(document: Document, base_policy: int, say: Say, *, again: bool) -> None:
    name, cache_dir = document["name"], get_settings().arena_cache
    figures = None if again else find_figures(hash_document(document), base_policy)
    if figures is None:
        say(f"{name}: the optimum of base policy {base_policy}")
        figures = calibrate_optimum(name, base_policy, cache_dir)
        publish_figures(document, base_policy, figures)
    if figures.repeat_sd is None:
        say(f"{name}: noise and cost under base policy {base_policy}")
        publish_figures(document, base_policy, calibrate_noise(name, base_policy, cache_dir, figures))


def _list_published(document: Document) -> list[str]:
    """The losses that are published and still known."""
    found = find_calibration(hash_document(document)) or {}
    return list_published(found["library"], Family(document["family"])) if "library" in found else []


def _is_current(document: Document) -> bool:
    """Whether what is published would be tuned and trained today as it was."""
    found = find_calibration(hash_document(document)) or {}
    return "library" in found and is_current(document, found["library"])
