"""One question with all that bears on it: the archive, the parents, what stands beside them, what was refused lately.

Evolve shows all of it. Blind shows the same without anything that was measured. Best-of-N, the control arm, shows the
library alone, whatever was found since: each of its proposals is as independent of the others as a model can make it.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

from discovery_service.domain.archive import Member, Place, Refused
from discovery_service.domain.authors import Author
from discovery_service.domain.requests import Kind
from discovery_service.domain.user_arenas import counted_metric
from discovery_service.prompts.brief import Brief, Context, Cut, Message, Part
from discovery_service.prompts.fitting import narrow
from discovery_service.prompts.opening import count_first_trainings, join, write_guidance, write_system
from discovery_service.prompts.shown import show_line, show_loss, show_name, show_place, show_training, tell_figures
from discovery_service.prompts.table import Table, tell_metrics
from discovery_service.prompts.templates import Words

_TRAININGS = (Part.TRAINING_OF_PARENT, Part.TRAINING_OF_INSPIRATION)
MOST_REFUSALS = 8
"""The latest ones; a campaign's first mistakes say little of its last ones."""


@dataclass(frozen=True)
class Question:
    brief: Brief
    context: Context
    words: Words
    is_measured: bool

    @cached_property
    def table(self) -> Table:
        return Table(self.context.archive, counted_metric(self.brief.arena), self.is_measured, self.brief.reference)

    def _find(self, places: tuple[Place, ...]) -> tuple[Member, ...]:
        by_place = self.context.archive.by_place
        if lacking := [place for place in places if place not in by_place]:
            raise ValueError(f"The request names {lacking[0]}, which the archive of its round does not have.")
        return tuple(by_place[place] for place in places)

    @cached_property
    def refusals(self) -> tuple[Refused, ...]:
        """The latest that whoever writes sources can learn from, each said once, in their order."""
        latest: dict[tuple[str, str], Refused] = {}
        for each in sorted(self.context.archive.refused, key=lambda each: each.place):
            if each.author is not Author.SYMBOLIC:
                latest.pop((each.code, each.message), None)
                latest[each.code, each.message] = each
        return tuple(latest.values())[-MOST_REFUSALS:]

    def list_expendable(self) -> list[Cut]:
        """The least useful first, the parents last. Never the contract, the guidance and what is asked."""
        request = self.context.request
        parents, inspirations = ([*reversed(self._find(places))] for places in (request.parents, request.inspirations))
        trained = [each.place for each in inspirations if self._show_training(each)]
        trained_parents = [each.place for each in parents if self._show_training(each)]
        return [
            *(Cut(Part.TRAINING_OF_INSPIRATION, place) for place in trained),
            *(Cut(Part.REFUSAL, each.place) for each in self.refusals),
            *(Cut(Part.INSPIRATION, each.place) for each in inspirations),
            *(Cut(Part.ROW, place) for place in self.table.list_expendable()),
            *(Cut(Part.TRAINING_OF_PARENT, place) for place in trained_parents),
            *(Cut(Part.PARENT, each.place) for each in parents),
        ]

    def write(self, cuts: Collection[Cut]) -> list[Message]:
        left = narrow(self.context.request, cuts)
        parents, inspirations = self._find(left.parents), self._find(left.inspirations)
        parts = (
            write_guidance(self.brief, self.words),
            self._write_archive((*parents, *inspirations), cuts),
            *self._write_losses("parent", parents, cuts),
            *self._write_losses("inspiration", inspirations, cuts),
            self._write_refusals(cuts),
            self._write_request(left.kind, parents),
        )
        return [write_system(self.brief, self.words), Message("user", join(parts))]

    def _write_archive(self, in_full: tuple[Member, ...], cuts: Collection[Cut]) -> str:
        if not self.table.members:
            return ""
        without = {each.place for each in cuts if each.part is Part.ROW}
        shown = in_full if self.is_measured else ()
        has_training = any(self._show_training(each, cuts) for each in shown)
        return write_archive(self.brief, self.table, self.words, without, shown, has_training=has_training)

    def _write_losses(self, section: str, members: tuple[Member, ...], cuts: Collection[Cut]) -> Iterator[str]:
        for each in members:
            yield self.words.say(section, id=show_place(each.place), name=show_name(each.name))
            passport = self.context.passports.get(each.place, ())
            figures = list(self._tell_figures(each)) if self.is_measured else []
            yield show_loss(each, passport, figures, self.words)
            yield self._show_training(each, cuts)

    def _tell_figures(self, member: Member) -> Iterator[str]:
        return tell_figures(member, self.table.counts, self.table.reference)

    def _show_training(self, member: Member, cuts: Collection[Cut] = ()) -> str:
        """Nothing where nothing is known of it, or where it was cut."""
        is_cut = any(each.place == member.place and each.part in _TRAININGS for each in cuts)
        return "" if is_cut or not self.is_measured else show_training(member.screened, self.words)

    def _write_refusals(self, cuts: Collection[Cut]) -> str:
        told = [
            f"- {show_name(each.name)}, `{each.code}`: {show_line(each.message)}"
            for each in self.refusals
            if Cut(Part.REFUSAL, each.place) not in cuts
        ]
        return join((self.words.say("refusals"), "\n".join(told))) if told else ""

    def _write_request(self, kind: Kind, parents: tuple[Member, ...]) -> str:
        if kind is Kind.FRESH:
            return self.words.say("request.fresh")
        named = " and ".join(f"{show_name(each.name)} ({show_place(each.place)})" for each in parents)
        without = ".unmeasured" if kind is Kind.IMPROVE and not self.is_measured else ""
        return self.words.say(f"request.{kind}{without}", parents=named)


def write_archive(
    brief: Brief,
    table: Table,
    words: Words,
    without: Collection[Place],
    shown: tuple[Member, ...] = (),
    *,
    has_training: bool = False,
) -> str:
    """The table with what its columns mean; `shown` are the losses in full, whose metrics are explained here too."""
    metrics = tell_metrics(shown, table)
    training = words.say("legend.training") if has_training else ""
    formula = words.say(f"legend.{brief.family}") if any(each.formula for each in table.members) else ""
    legend = "".join(f"\n{line}" for line in (metrics, training, formula) if line)
    losses = "One loss" if len(table.members) == 1 else f"{len(table.members)} losses of closed rounds"
    values = {"losses": losses, "legend": legend, "table": table.write(words, without)}
    if not table.is_measured:
        return words.say("unmeasured", **values)
    return words.say("measured", **values, reference=brief.reference, first_trainings=count_first_trainings(brief))
