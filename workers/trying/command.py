"""From a loss, a model and preferences to what training with it and with DPO gave, as one document."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.worlds import Precision
from discovery_service.errors import UsageError
from discovery_service.settings import MachineSettings, get_settings
from workers.arenas.hf.folders import UnusableFolder, find_ends, find_reach, load_model, load_tokenizer
from workers.arenas.hf.tokenising import Limits
from workers.gate.submitted import Judged, find_submissions, judge
from workers.progress import progress_bar
from workers.runtime.graph import Program
from workers.runtime.memory import is_out_of_memory
from workers.supervisor.devices import assign_devices
from workers.trying.contest import Bench, Plan, Tried, run_contest
from workers.trying.estimate import find_mean, subtract
from workers.trying.measuring import MAX_NEW_TOKENS, Examiner, Speaker
from workers.trying.rows import Parts, read_parts
from workers.trying.training import How, as_dataset

_PROMPTS = 32
"""To which replies are sampled, at most."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """Where a user would train: the model's folder, the rows, and how a batch is made of them."""

    model: Path
    data: Path
    batch: int
    max_length: int
    is_lora: bool


AGAINST = REFERENCE_LOSSES[Family.PAIRWISE]


def try_loss(source: str, place: Place, plan: Plan, say: Say, *, values: Mapping[str, float]) -> dict[str, Any]:
    """`status` is tried, failed (a loss with which nothing could be measured), or what the gate says instead.

    UsageError for what the user can mend: the model, the rows, memory.
    """
    device = _find_device()
    try:
        tokenizer = load_tokenizer(str(place.model))
        reach = find_reach(str(place.model))
        limits = Limits(place.max_length, MAX_NEW_TOKENS, reach.positions, reach.vocabulary)
        parts = read_parts(place.data, tokenizer, limits, batch=place.batch, prompts=_PROMPTS)
        family = Family.PAIRWISE
        submission, reference = find_submissions([source, AGAINST], family, values)
        judged = judge([submission, reference])
        name = submission.name or (judged[0].answer["name"] if judged[0].passed else source)
        document = {"loss": name, "against": AGAINST, "gate": judged[0].summary()}
        for each in judged:
            if each.passed is None:
                return {"status": each.answer["status"], **document}
        with _memory_told():
            bench = _prepare(place, parts, tokenizer, device)
    except UnusableFolder as error:
        raise UsageError(str(error)) from error
    say(_tell_plan(plan, parts, bench))
    with _memory_told(), progress_bar(2 * plan.trainings) as tell:
        tried = run_contest(bench, plan, _list_losses(name, judged), tell)
    return document | _describe(plan, place, parts, bench, tried) | {"is_same": _are_same(judged)}


@contextmanager
def _memory_told() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise UsageError(
                "Memory does not suffice for this model: try --lora, a smaller --batch or shorter rows."
            ) from error
        raise


def _find_device() -> torch.device:
    device = torch.device(assign_devices(get_settings().worker, MachineSettings())[0].name)
    if device.type == "cuda" and torch.cuda.device_count() > 1:
        raise UsageError(
            "TRL trains on one card here, and several are visible: set CUDA_VISIBLE_DEVICES to one of them."
        )
    return device


def _prepare(place: Place, parts: Parts, tokenizer: Any, device: torch.device) -> Bench:
    is_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    precision = Precision.BFLOAT16 if is_bf16 else Precision.FLOAT32
    base = load_model(str(place.model), device, precision, is_frozen=place.is_lora)
    ends = find_ends(base, tokenizer)
    return Bench(
        base=base,
        tokenizer=tokenizer,
        rows=as_dataset(parts.trained),
        how=How(place.batch, place.max_length, place.is_lora, is_bf16, device),
        chosen_by=Examiner(base, parts.chosen_by, precision),
        reported=Examiner(base, parts.reported, precision),
        speaker=Speaker(base, parts.prompted, ends, precision),
    )


def _list_losses(name: str, judged: Sequence[Judged]) -> list[tuple[str, Program]]:
    """The graphs, which alone are run."""
    passed = [each.passed for each in judged]
    return [(told, Program(each.graph)) for told, each in zip((name, AGAINST), passed, strict=True) if each]


def _are_same(judged: Sequence[Judged]) -> bool:
    return len({each.passed.graph_sha256 for each in judged if each.passed}) == 1


def _tell_plan(plan: Plan, parts: Parts, bench: Bench) -> str:
    grid = "1 setting" if len(plan.settings) == 1 else f"{len(plan.settings)} settings"
    return (
        f"{2 * plan.trainings} trainings of {plan.settings[0].steps} steps on {len(parts.trained)} rows: of either loss"
        f" {grid}, each tried once and chosen by {len(parts.chosen_by)} other rows, then {plan.seeds} seeds at the one"
        f" that was chosen, reported on {len(parts.reported)} rows ({bench.reported.prompts} prompts) that neither has"
        " seen."
    )


def _describe(plan: Plan, place: Place, parts: Parts, bench: Bench, tried: Sequence[Tried]) -> dict[str, Any]:
    ours, theirs = tried
    is_compared = ours.failure is None and theirs.failure is None
    accuracies = [[said.accuracy for said in each.said] for each in tried]
    return {
        "status": "tried" if is_compared else "failed",
        "steps": plan.settings[0].steps,
        "seeds": plan.seeds,
        "trainings": plan.trainings,
        "is_lora": place.is_lora,
        "rows": {name: len(getattr(parts, name)) for name in ("trained", "chosen_by", "reported")},
        "prompts": {"reported": bench.reported.prompts, "replied_to": len(parts.prompted)},
        "losses": [_describe_tried(each) for each in tried],
        "difference": asdict(find_mean(subtract(*accuracies))) if is_compared else None,
    }


def _describe_tried(tried: Tried) -> dict[str, Any]:
    tables = {
        "accuracy": [said.accuracy for said in tried.said],
        "margin": [said.margin for said in tried.said],
        "kl": [replies.kl for replies in tried.replies],
        "length": [replies.length for replies in tried.replies],
    }
    tunings = [
        {"setting": setting.document(), "accuracy": None if said is None else asdict(find_mean([said.accuracy]))}
        for setting, said in tried.tunings
    ]
    return {
        "name": tried.name,
        "setting": None if tried.setting is None else tried.setting.document(),
        "at_edge": _find_edges(tried),
        "metrics": {} if tried.failure else {name: asdict(find_mean(table)) for name, table in tables.items()},
        "failure": tried.failure,
        "tunings": tunings,
    }


def _find_edges(tried: Tried) -> list[str]:
    """In which size of the grid the chosen setting lies at an end, so that beyond it there may be a better one."""
    if tried.setting is None:
        return []
    found = []
    for size in ("beta", "learning_rate"):
        sizes = sorted({getattr(setting, size) for setting, _ in tried.tunings})
        if len(sizes) > 1 and getattr(tried.setting, size) in (sizes[0], sizes[-1]):
            found.append(size)
    return found
