"""Where a loss comes from and what came of it as a tree, with what changed in the source at each step."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import typer

from discovery_service.cli.figures import tell_interval
from discovery_service.cli.output import print_tree, printable
from discovery_service.client import Descent, Lineage, Relative

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


class _Step(NamedTuple):
    """From one loss to the next, up or down."""

    to: UUID
    descent: Descent


_Steps = Mapping[UUID, Sequence[_Step]]


def print_lineage(lineage: Lineage, *, with_diffs: bool) -> None:
    """A loss that is reached in several ways is followed at the first of them."""
    from rich.tree import Tree

    losses = {each.id: each for each in lineage.losses}
    up, down = defaultdict(list), defaultdict(list)
    for each in lineage.descents:
        up[each.child_id].append(_Step(each.parent_id, each))
        down[each.parent_id].append(_Step(each.child_id, each))
    tree = Tree(_describe(losses[lineage.candidate_id]))
    for title, steps in (("made from", up), ("led to", down)):
        if steps[lineage.candidate_id]:
            _Drawing(losses, steps, with_diffs).follow(tree.add(title), lineage.candidate_id)
    print_tree(tree)
    for is_cut, what in ((lineage.are_ancestors_cut, "ancestors"), (lineage.are_descendants_cut, "descendants")):
        if is_cut:
            typer.echo(f"It has more {what}; these are the nearest.")


class _Drawing:
    """One direction of a lineage."""

    def __init__(self, losses: Mapping[UUID, Relative], steps: _Steps, with_diffs: bool) -> None:
        self._losses, self._steps, self._with_diffs = losses, steps, with_diffs
        self._followed: set[UUID] = set()

    def follow(self, branch: "Tree", candidate_id: UUID) -> None:
        for step in sorted(self._steps[candidate_id], key=self._find_place):
            told = _describe(self._losses[step.to])
            told.append("" if step.descent.role == "parent" else ", as an inspiration")
            is_known = step.to in self._followed and bool(self._steps[step.to])
            told.append(", see above" if is_known else "")
            if self._with_diffs and step.descent.diff is not None:
                told.append("\n").append(_colour(step.descent.diff or "nothing changed"))
            reached = branch.add(told)
            if not is_known:
                self._followed.add(step.to)
                self.follow(reached, step.to)

    def _find_place(self, step: _Step) -> tuple[bool, int, int, int]:
        loss = self._losses[step.to]
        return step.descent.role != "parent", loss.round, loss.slot, loss.turn


def _describe(loss: Relative) -> "Text":
    from rich.text import Text

    screen, confirm = loss.screen, loss.confirm
    screened = screen and tell_interval(screen.difference, screen.lower, screen.upper)
    confirmed = confirm and tell_interval(confirm.difference, confirm.lower, confirm.upper)
    told = [f"{loss.author}, round {loss.round}, slot {loss.slot}"]
    told += [] if loss.status == "accepted" else [loss.status]
    told += [f"screened {screened}"] if screened else []
    told += [f"confirmed {confirmed}: {confirm.verdict} the reference"] if confirm and confirmed else []
    text = Text(printable(loss.name), style="bold")
    return text.append(printable(f" ({'; '.join(told)})"), style="not bold")


def _colour(diff: str) -> "Text":
    from rich.text import Text

    told = Text()
    for number, line in enumerate(printable(diff.expandtabs()).splitlines()):
        told.append("\n" if number else "").append(line, style=_COLOURS.get(line[:1], ""))
    return told
