"""What a model thought aloud before it answered, in the marks that models do it in: drafts, and no proposals."""

import re

_TAGS = "think|thinking|thought|thoughts|reasoning|analysis|scratchpad"
_MARKS = {
    "tag": (rf"(?i:<(?:seed:)?(?:{_TAGS})>)", rf"(?i:</(?:seed:)?(?:{_TAGS})>)"),
    "magistral": (r"\[THINK\]", r"\[/THINK\]"),
    "kimi": ("◁think▷", "◁/think▷"),
    "thought": (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    # gpt-oss: as it writes them, and where a server has taken its marks away.
    "harmony": (
        r"(?:<\|start\|>assistant)?+<\|channel\|>(?:analysis|commentary)[^<\n]{0,80}+<\|message\|>",
        r"(?:<\|end\|>\s*+(?:<\|start\|>assistant)?+)?+<\|channel\|>final<\|message\|>|<\|end\|>",
    ),
    "bare_harmony": (r"\Aanalysis(?=[A-Z])", "assistantfinal"),
}
_OPENING = re.compile("|".join(f"(?P<{name}>{opening})" for name, (opening, _) in _MARKS.items()))
_CLOSING = {name: re.compile(closing) for name, (_, closing) in _MARKS.items()}
_SWALLOWED = re.compile("|".join(_MARKS[name][1] for name in ("tag", "magistral", "kimi")))
"""Behind an opening mark that some servers keep to themselves."""
_LINE_BEGINS = re.compile(r"(?:^|\n)[ \t>]*+\Z|>\Z")
_PROPOSES = re.compile(r"\{|```|~~~|^[ \t]*+def ", re.MULTILINE)


def drop_thinking(text: str) -> tuple[str, bool]:
    """The reply without what was thought aloud, and whether it ends in the middle of that."""
    proposes = _PROPOSES.search(text)
    is_prose_until = proposes.start() if proposes else len(text)
    kept: list[str] = []
    place = 0
    for opening in _OPENING.finditer(text):
        before = text[max(place, opening.start() - 200) : opening.start()]
        # Where a model begins to think aloud, not where it writes of that in a string or a comment.
        is_aloud = opening.start() < is_prose_until or _LINE_BEGINS.search(before)
        if opening.start() < place or not is_aloud:
            continue
        kept.append(text[place : opening.start()])
        closing = _CLOSING[str(opening.lastgroup)].search(text, opening.end())
        if closing is None:
            return "".join(kept), True
        place = closing.end()
    return "".join(kept) + _drop_to_swallowed(text[place:]), False


def _drop_to_swallowed(text: str) -> str:
    quoted = _OPENING.search(text)
    ends = [each.end() for each in _SWALLOWED.finditer(text, 0, quoted.start() if quoted else len(text))]
    return text[ends[-1] :] if ends else text
