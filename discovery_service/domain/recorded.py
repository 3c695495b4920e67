"""For which arenas there are recorded replies; the replies themselves are data of the workers."""

RECORDED_KINDS = ("panel", "plain", "terse")
"""Any size of these."""
RECORDED_PROPOSALS = 12
"""Of each; a campaign's recorded proposals beyond them get no reply."""


def find_recorded_kind(arena: str) -> str | None:
    """The kind under which replies were recorded in such an arena; None where none were."""
    kind, _, size = arena.partition(":")
    return kind if size and kind in RECORDED_KINDS else None
