"""What a prompt is made of: what a campaign says in all of them, what one of them shows, and what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from discovery_service.domain.archive import Archive, Place
from discovery_service.domain.campaign import StrategyName
from discovery_service.domain.families import Family
from discovery_service.domain.known_losses import REFERENCE_LOSSES
from discovery_service.domain.requests import Request


@dataclass(frozen=True)
class NamedInput:
    """One that a loss of the family may ask for."""

    name: str
    meaning: str
    """Completes "`name` is …"."""
    shape: str
    is_of_policy: bool = False
    is_integer: bool = False


@dataclass(frozen=True)
class Brief:
    """The same for all prompts of a campaign."""

    family: Family
    inputs: tuple[NamedInput, ...]
    """Of the family, in its order."""
    arena: Mapping[str, Any]
    """The document of the arena in which the search happens."""
    screen_draws: int
    guidance: str = ""

    @property
    def reference(self) -> str:
        """The known loss that everything is compared with."""
        return REFERENCE_LOSSES[self.family]


@dataclass(frozen=True)
class Context:
    """What one prompt is written from, besides the brief."""

    strategy: StrategyName
    request: Request
    archive: Archive
    passports: Mapping[Place, Sequence[str]] = field(default_factory=dict)
    """In sentences, of the losses that are shown in full."""
    replies: Mapping[Place, str] = field(default_factory=dict)
    """What this proposer replied before, as it came: discopop's conversation, and shown by no other strategy."""


@dataclass(frozen=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str

    def document(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


class Part(StrEnum):
    """What may be left out, the least useful first."""

    TRAINING_OF_INSPIRATION = "training of an inspiration"
    REFUSAL = "refusal"
    INSPIRATION = "inspiration"
    EXCHANGE = "exchange"
    ROW = "row"
    TRAINING_OF_PARENT = "training of a parent"
    PARENT = "parent"
    """Of two, what is asked for changes the other one; without any it is something new."""


@dataclass(frozen=True)
class Cut:
    """Something that was left out to keep within the budget."""

    part: Part
    place: Place

    def document(self) -> dict[str, Any]:
        return {"part": self.part.value, "place": list(self.place)}


@dataclass(frozen=True)
class Prompt:
    version: str
    messages: tuple[Message, ...]
    tokens: int
    """As counted here, which is about what an endpoint counts."""
    cuts: tuple[Cut, ...] = ()
    """In the order in which they were made."""

    def document(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "messages": [each.document() for each in self.messages],
            "tokens": self.tokens,
            "cuts": [each.document() for each in self.cuts],
        }
