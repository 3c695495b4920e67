"""The archive as a table: a loss a row, and which rows go first when there is no room."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from discovery_service.domain.archive import Archive, Member, Place
from discovery_service.domain.figures import show_interval, show_setting
from discovery_service.domain.metrics import MEANINGS, OWN
from discovery_service.prompts.shown import NOTHING, show_name, show_place, tell_verdict
from discovery_service.prompts.templates import Words

KEPT_BEST, KEPT_WORST = 8, 3
"""Rows that outlast those between them: what serves is built on, and what fails is not tried again."""
_FIGURES = ("reward", "score", "kl", *OWN)


@dataclass(frozen=True)
class Table:
    archive: Archive
    counts: str
    """The metric by which losses are compared."""
    is_measured: bool
    """Whether anything of what was measured is shown: order, verdicts, figures and settings."""
    reference: str

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """The reference first; of equally ranked ones the earlier."""
        members = sorted(self.archive.members, key=lambda each: each.place)
        return tuple(sorted(members, key=self._rank))

    def _rank(self, member: Member) -> tuple[bool, float]:
        lower = member.lower if self.is_measured else None
        return not member.is_reference, float("inf") if lower is None else -lower

    @cached_property
    def figures(self) -> tuple[str, ...]:
        """The metrics that have a column: what is paid for what, and the one that counts where it is not J."""
        if not self.is_measured:
            return ()
        known = {name for each in self.members if each.screened is not None for name in each.screened.means}
        counted = () if self.counts == "J" else (self.counts,)
        return tuple(name for name in dict.fromkeys((*counted, *_FIGURES)) if name in known)

    def list_expendable(self) -> list[Place]:
        """All rows but the reference's and the best one's, the least useful first.

        First those in the middle, from their lower end; then the worst; then the best, from their lower end.
        """
        others = [each.place for each in self.members if not each.is_reference]
        worst = others[max(KEPT_BEST, len(others) - KEPT_WORST) :]
        middle = others[KEPT_BEST : len(others) - len(worst)]
        return [*reversed(middle), *reversed(worst), *reversed(others[1:KEPT_BEST])]

    def write(self, words: Words, without: Collection[Place]) -> str:
        columns = ["id", "loss"]
        if self.is_measured:
            columns += ["verdict", f"difference in {self.counts} to {self.reference}", *self.figures, "setting"]
        if any(each.formula for each in self.members):
            columns.append("formula")
        rows = list(self._write_rows(words, without, "formula" in columns))
        return "\n".join((f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns), *rows))

    def _write_rows(self, words: Words, without: Collection[Place], has_formula: bool) -> Iterator[str]:
        left_out = 0
        for member in self.members:
            if member.place in without:
                left_out += 1
                continue
            if left_out:
                yield words.say("left_out", count=left_out)
                left_out = 0
            cells = [*self._list_cells(member), *([_show_formula(member.formula)] if has_formula else [])]
            yield f"| {' | '.join(cells)} |"
        if left_out:
            yield words.say("left_out", count=left_out)

    def _list_cells(self, member: Member) -> Iterator[str]:
        yield show_place(member.place)
        yield show_name(member.name)
        if not self.is_measured:
            return
        screened = member.screened
        yield tell_verdict(member)
        if screened is None:
            yield from [NOTHING] * (2 + len(self.figures))
            return
        yield NOTHING if screened.difference is None else show_interval(screened.difference, is_signed=True)
        yield from (show_interval(screened.means[name]) if name in screened.means else NOTHING for name in self.figures)
        yield show_setting(screened.setting)


def _show_formula(formula: str | None) -> str:
    """As code: its bars, of lengths and absolute values, would end the cell, and its signs of products emphasise."""
    return NOTHING if formula is None else f"`{formula.replace('|', chr(92) + '|')}`"


def tell_metrics(shown: Sequence[Member], table: Table) -> str:
    """What each metric means that the table or a loss in full shows."""
    names = {*table.figures, *(name for each in shown if each.screened is not None for name in each.screened.means)}
    return "; ".join(f"{name}: {meaning}" for name, meaning in MEANINGS.items() if name in names)
