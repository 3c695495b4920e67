"""DiscoPOP's way of asking: one growing conversation, each reply of the proposer followed by what came of it.

It begins with the library and its scores and has no other archive, no parents and nothing of other proposers. What
differs from the paper's: the scores come with intervals, and a conversation that grows too long loses its oldest part.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest

from discovery_service.domain.archive import Archive, Member, Place, Refused
from discovery_service.domain.halving import LIBRARY_ROUND
from discovery_service.domain.requests import Kind, Request
from discovery_service.domain.user_arenas import counted_metric
from discovery_service.prompts.brief import Brief, Context, Cut, Message, Part
from discovery_service.prompts.opening import join, write_guidance, write_system
from discovery_service.prompts.question import write_archive
from discovery_service.prompts.replies import show_reply
from discovery_service.prompts.shown import show_line, tell_figures
from discovery_service.prompts.table import Table
from discovery_service.prompts.templates import Words


@dataclass(frozen=True)
class Conversation:
    brief: Brief
    context: Context
    words: Words

    @cached_property
    def table(self) -> Table:
        archive, counts = only_library(self.context.archive), counted_metric(self.brief.arena)
        return Table(archive, counts, is_measured=True, reference=self.brief.reference)

    @cached_property
    def outcomes(self) -> dict[Place, Member | Refused]:
        """Of what this proposer replied, in the order in which it was asked."""
        archive = self.context.archive
        found: dict[Place, Member | Refused] = {each.place: each for each in archive.refused}
        found |= archive.by_place
        return {place: found[place] for place in sorted(self.context.replies) if place in found}

    def list_expendable(self) -> list[Cut]:
        """Refused replies, then others, each from the oldest on; then rows of the library."""
        refused = [place for place, outcome in self.outcomes.items() if isinstance(outcome, Refused)]
        accepted = [place for place in self.outcomes if place not in refused]
        return [
            *(Cut(Part.EXCHANGE, place) for place in (*refused, *accepted)),
            *(Cut(Part.ROW, place) for place in self.table.list_expendable()),
        ]

    def write(self, cuts: Collection[Cut]) -> list[Message]:
        kept = {place: each for place, each in self.outcomes.items() if Cut(Part.EXCHANGE, place) not in cuts}
        left_out = len(self.outcomes) - len(kept)
        rows = {each.place for each in cuts if each.part is Part.ROW}
        first = join(
            (
                write_guidance(self.brief, self.words),
                write_archive(self.brief, self.table, self.words, rows) if self.table.members else "",
                self.words.say("chat.first"),
                self.words.say("chat.left_out", count=left_out) if left_out else "",
            )
        )
        messages = [write_system(self.brief, self.words), Message("user", first)]
        places = list(kept)
        for place, following in zip_longest(places, places[1:]):
            messages.append(Message("assistant", show_reply(self.context.replies[place])))
            is_again = following is not None and following[:2] == place[:2]
            messages.append(Message("user", self._tell(kept[place], is_again=is_again)))
        return messages

    def _tell(self, outcome: Member | Refused, *, is_again: bool) -> str:
        if isinstance(outcome, Refused):
            told = self.words.say("chat.refused", code=outcome.code, message=show_line(outcome.message))
        else:
            told = self.words.say("chat.measured", result="\n".join(self._list_figures(outcome)))
        return join((told, self.words.say("chat.again" if is_again else "chat.next")))

    def _list_figures(self, member: Member) -> Iterator[str]:
        """Those that the table of the library has too."""
        if member.screened is not None:
            shown = {name: each for name, each in member.screened.means.items() if name in self.table.figures}
            member = replace(member, screened=replace(member.screened, means=shown))
        return tell_figures(member, self.table.counts, self.table.reference)


def narrow_to_said(context: Context, cuts: Collection[Cut]) -> Request:
    """What is asked of whoever reads it: to go on from the latest loss that stands in it, with those before."""
    said = {place for place in context.replies if Cut(Part.EXCHANGE, place) not in cuts}
    places = sorted(said.intersection((*context.request.parents, *context.request.inspirations)))
    return Request(Kind.IMPROVE, (places[-1],), tuple(places[:-1])) if places else Request(Kind.FRESH)


def only_library(archive: Archive) -> Archive:
    """As an arm sees it that does not learn from what was proposed."""
    return Archive(
        tuple(each for each in archive.rounds if each == LIBRARY_ROUND),
        tuple(each for each in archive.members if each.place.round == LIBRARY_ROUND),
    )
