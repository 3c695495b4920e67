"""Archives as rounds see them, drawn by hypothesis and written by hand."""

from hypothesis import strategies as st

from discovery_service.domain.archive import Archive, Member, Place, Screened
from discovery_service.domain.authors import Author
from discovery_service.domain.intervals import Interval
from discovery_service.domain.measuring import Setting

SETTING = Setting(beta=1.0, learning_rate=1.5e-3, steps=120)


def make_member(
    round_index: int,
    slot: int,
    lower: float | None = None,
    *,
    name: str = "",
    author: Author | None = None,
    is_stopped: bool = False,
    parents: tuple[Place, ...] = (),
    twin: str | None = None,
    operations: tuple[str, ...] = ("aten.neg.default",),
) -> Member:
    interval = None if lower is None else Interval(lower + 0.1, lower, lower + 0.2, 3)
    return Member(
        place=Place(round_index, slot),
        name=name or f"loss_{round_index}_{slot}",
        author=author or (Author.SYMBOLIC if round_index else Author.LIBRARY),
        source="",
        graph={"inputs": ["beta"], "nodes": [{"op": each, "a": []} for each in operations]},
        passport={},
        screened=None if is_stopped else Screened(SETTING, interval, {}),
        is_stopped=is_stopped,
        parents=parents,
        twin=twin,
    )


def make_archive(*members: Member) -> Archive:
    return Archive(tuple(sorted({each.place.round for each in members})), members)


def make_library() -> tuple[Member, ...]:
    """The reference, whose difference to itself nobody measures, and two more."""
    return (
        make_member(0, 0, name="dpo"),
        make_member(0, 1, -0.1, name="ipo", operations=("aten.pow.Tensor_Scalar",)),
        make_member(0, 2, -0.4, name="exp", operations=("aten.exp.default", "aten.neg.default")),
    )


@st.composite
def archives(draw: st.DrawFn) -> Archive:
    """Of any size, with whatever may be lacking: measurements, a library, unstopped candidates."""
    members: list[Member] = []
    if draw(st.booleans()):
        members += make_library()
    for round_index in range(1, 1 + draw(st.integers(0, 3))):
        before = [each.place for each in members]
        for slot in range(draw(st.integers(1, 4))):
            is_stopped = draw(st.booleans())
            lower = None if is_stopped else draw(st.none() | st.floats(-2, 2))
            parents = draw(st.lists(st.sampled_from(before), max_size=2, unique=True)) if before else []
            operation = draw(st.sampled_from(["aten.neg.default", "aten.exp.default", "aten.relu.default"]))
            twin = draw(st.sampled_from([None, None, "exp", "unknown"]))
            member = make_member(
                round_index,
                slot,
                lower,
                is_stopped=is_stopped,
                parents=tuple(parents),
                operations=(operation,),
                twin=twin,
            )
            members.append(member)
    return make_archive(*members)
