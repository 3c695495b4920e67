"""What a supervisor and its runtime say to each other: one JSON object a line. Both sides read it; torch-free.

The supervisor sends `Evaluate`, one at a time. The runtime says `Hello` once it can take work, then for each job any
number of `Progress` and one of `Done`, `Failed` or `Broken`. Whatever is no such line ends the runtime.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from discovery_service.domain.measuring import Build, Draw, Setting
from discovery_service.domain.states import Purpose

VERSION = 2
LINE_BYTES = 4 << 20
"""Series are thinned to far below it; whatever is longer is no message of ours."""


class ProtocolError(Exception):
    """The other side says something that is no message: it is broken, or of another version."""


class Stage(StrEnum):
    """Of a job. Only in training can the candidate be at fault: building and measuring are code and data of ours."""

    BUILDING = "building"
    TRAINING = "training"
    MEASURING = "measuring"


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def encode(self) -> bytes:
        return self.model_dump_json().encode() + b"\n"


class SettingMessage(Message):
    beta: float
    learning_rate: float
    steps: int

    def setting(self) -> Setting:
        return Setting(self.beta, self.learning_rate, self.steps)


class DrawMessage(Message):
    purpose: Purpose
    key: str
    salt: str = ""
    repeat: int = 0

    def draw(self) -> Draw:
        return Draw(self.purpose, self.key, self.salt, self.repeat)


class Evaluate(Message):
    say: Literal["evaluate"] = "evaluate"
    version: int = VERSION
    job: str
    """Comes back in every answer; of the last job's a late line can thus be told."""
    arena: dict[str, Any]
    """The arena's document."""
    base_policy: int
    graph: dict[str, Any]
    setting: SettingMessage
    draw: DrawMessage
    memory_bytes: int | None = None
    """What the process may hold in all while it does this job."""


class Hello(Message):
    say: Literal["hello"] = "hello"
    version: int = VERSION
    pid: int
    torch: str
    transformers: str
    peft: str | None
    trainer: int
    """The runtime's own: its worker may be of another version."""
    device: str
    model: str
    """Of the processor, behind that of the card where there is one."""

    def build(self) -> Build:
        return Build(**self.model_dump(exclude={"say", "version", "pid"}))


class Progress(Message):
    say: Literal["progress"] = "progress"
    job: str
    stage: Stage
    done: int
    of: int


class Done(Message):
    say: Literal["done"] = "done"
    job: str
    metrics: dict[str, float | None]
    series: dict[str, list[float | None]]
    """A value a step; of a long training fewer, and `step` says which."""
    seconds: dict[str, float]
    """How long it took, by stage."""


class Failed(Message):
    """The candidate's doing."""

    say: Literal["failed"] = "failed"
    job: str
    code: Literal["diverged", "non_finite", "memory", "refused"]
    message: str
    """One sentence for whoever wrote the loss."""
    step: int | None = None
    series: dict[str, list[float | None]] = {}
    is_out_of_memory: bool = False
    """Really, and not only more than a loss may ask for."""


class Broken(Message):
    """Ours, or the machine's."""

    say: Literal["broken"] = "broken"
    job: str
    message: str
    is_out_of_memory: bool = False
    is_lost: bool = False
    """The runtime is ended after it: its memory or its device is in no state to go on."""


Answer = Annotated[Hello | Progress | Done | Failed | Broken, Field(discriminator="say")]
_ANSWER: TypeAdapter[Hello | Progress | Done | Failed | Broken] = TypeAdapter(Answer)


def read_answer(line: bytes) -> Hello | Progress | Done | Failed | Broken:
    try:
        return _ANSWER.validate_json(line)
    except ValidationError as error:
        raise ProtocolError(f"A runtime said what is no message: {line[:200]!r}.") from error


def read_order(line: bytes) -> Evaluate:
    try:
        order = Evaluate.model_validate_json(line)
    except ValidationError as error:
        raise ProtocolError(f"A supervisor said what is no order: {line[:200]!r}.") from error
    if order.version != VERSION:
        raise ProtocolError(f"The order is of version {order.version}, this runtime of {VERSION}.")
    return order
