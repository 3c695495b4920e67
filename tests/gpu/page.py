"""The page of the docs that tells what was found on a card, or that nobody has looked yet."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from tests.gpu.agreement import SETTING, STEADY, Examined
from tests.gpu.operators import Surveyed
from tests.gpu.slots import Fault

NOT_RUN = "Not run on CUDA yet."
BOUNDS = {"value": 1e-5, "gradient": 1e-4, **STEADY}
"""Up to where a card agrees with a processor: relative, but for the weights, of which the learning rate is the unit."""
_NAMES = {
    "value": "value of a loss",
    "gradient": "its gradient",
    "steps": f"loss in the first {SETTING.steps} steps of a training in an arena of its family",
    "weights": "weights after them, in learning rates",
}
_HEAD = """# On CUDA

`make gpu-check` compares a card with the processor beside it: every loss of the library in value, gradient and first
training steps, in an arena of its family; whether the card repeats every bit; what becomes of a slot when memory runs
out or its context is poisoned; how many evaluations it makes in an hour; and which operations of a loss have no
deterministic version there.
It writes this page, and ends with 0 where all is as it should be, 1 where something is not, and 3 where there is no
card, which leaves the page as it is. `make gpu-check ARGS='--device cpu'` puts the processor in the card's place, to
see that the check itself works, and writes nothing. Of several slots that share one card it claims nothing.
"""


@dataclass(frozen=True)
class Machine:
    card: str
    processor: str
    torch: str
    cuda: str


@dataclass(frozen=True)
class Results:
    machine: Machine
    losses: Sequence[Examined]
    operators: Surveyed
    faults: Sequence[Fault]
    rates: Mapping[str, tuple[float, float]]
    """By size, evaluations an hour on the card and on one core."""

    def find_faults(self) -> list[str]:
        """What is not as it should be, a sentence each."""
        found = [f"{each.loss}: {each.trouble}" for each in self.losses if each.trouble]
        for name, bound in BOUNDS.items():
            beyond = [loss for difference, loss in _list_known(self.losses, name) if difference > bound]
            found += [f"{loss}: {_NAMES[name]} differs by more than {bound:g}" for loss in beyond]
        found += [f"{each.loss}: does not repeat its bits" for each in self.losses if each.repeats is False]
        found += [f"{name}: {said}" for name, said in self.operators.failing.items()]
        found += [f"{each.provoked}: {each.outcome}" for each in self.faults if not each.is_as_wanted]
        found += [f"{each.provoked}: the slot is lost" for each in self.faults if not each.is_recovered]
        return found


def render(results: Results | None, day: date | None = None) -> str:
    return "\n".join([_HEAD, NOT_RUN if results is None or day is None else _render(results, day), ""])


def _render(results: Results, day: date) -> str:
    machine, operators = results.machine, results.operators
    faults = results.find_faults()
    lines = [
        f"Run on {day}: {machine.card}, torch {machine.torch} with CUDA {machine.cuda}, beside {machine.processor}.",
        "All is as it should be." if not faults else "Not as it should be:",
        "",
        *(f"- {each}" for each in faults),
        *([""] if faults else []),
        "| losses | largest difference | of | allowed |",
        "|---|---|---|---|",
        *_list_differences(results.losses),
        "",
        *_list_repeats(results.losses),
        "",
        "| provoked | outcome | the slot goes on |",
        "|---|---|---|",
        *(f"| {each.provoked} | {each.outcome} | {_say(each.is_recovered)} |" for each in results.faults),
        "",
        "| evaluations an hour | card | one core |",
        "|---|---|---|",
        *(f"| `plain:{size}` | {card:.0f} | {core:.0f} |" for size, (card, core) in results.rates.items()),
        "",
        f"Of {operators.tried} operations {len(operators.without_deterministic)} have no deterministic version on the"
        " card; a loss that needs one is refused there. "
        + (f"Not tried: {', '.join(f'`{name}`' for name in operators.untried)}." if operators.untried else ""),
        "",
        *(f"- `{name}`: {said}" for name, said in operators.without_deterministic.items()),
    ]
    return "\n".join(lines).rstrip()


def _list_differences(losses: Sequence[Examined]) -> Iterator[str]:
    for name, bound in BOUNDS.items():
        known = _list_known(losses, name)
        if known:
            difference, loss = max(known)
            yield f"| {_NAMES[name]} | {difference:.1e} | {loss}, of {len(known)} | {bound:g} |"


def _list_known(losses: Sequence[Examined], name: str) -> list[tuple[float, str]]:
    """Differences that mean something, with their losses: of a training that rounding alone turns round, none does."""
    counted = [each for each in losses if name not in STEADY or each.is_steady]
    return [(getattr(each, name), each.loss) for each in counted if getattr(each, name) is not None]


def _list_repeats(losses: Sequence[Examined]) -> Iterator[str]:
    known = [each.repeats for each in losses if each.repeats is not None]
    yield f"{sum(known)} of {len(known)} trainings give the same bits twice, in series, weights and measurements."
    if unsteady := [each.loss for each in losses if each.is_steady is False]:
        yield (
            f"Not compared in training: {', '.join(unsteady)}. They begin on a kink, so that rounding alone sends them"
            " elsewhere, on one processor too."
        )


def _say(holds: bool) -> str:
    return "yes" if holds else "no"
