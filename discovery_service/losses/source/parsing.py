"""From text to a bare syntax tree: what the text is before any word of it is judged.

Covered: characters, size, nesting, syntax; each in time linear in a text that is short. Not covered: what it means.
"""

import ast
import re
import textwrap
import unicodedata
import warnings

from discovery_service.losses.refusals import RefusalCode, Refused, refuse

MAX_CHARACTERS = 16_384
MAX_LINES = 400
MAX_BRACKETS = 40
MAX_DEPTH = 80
"""Of the tree; what walks it recursively takes up to five frames a level of Python's thousand."""
MAX_NODES = 2_500
MAX_TOKENS = 5_000
"""Roughly counted before Python parses them, which takes 50 ms for a full text of `x=1;`."""
MAX_DIGITS = 40
MAX_NAME = 100

_OPENER = re.compile(r"""\#|"{3}|'{3}|"|'""")
# Possessive, so that a text without an end is read once.
_REST = {
    "#": re.compile(r"[^\n]*+"),
    '"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*+"""', re.DOTALL),
    "'''": re.compile(r"(?:[^'\\]|\\.|'(?!''))*+'''", re.DOTALL),
    '"': re.compile(r'(?:[^"\\\n]|\\.)*+"', re.DOTALL),
    "'": re.compile(r"(?:[^'\\\n]|\\.)*+'", re.DOTALL),
}
_LONG_CHAIN = re.compile(r"(?:[-+~][\s\\]*+){30}|(?:\bnot\b[\s\\]*+){30}|(?:\blambda\b[^:\n]{0,99}:\s*+){10}")
_LONG_NUMBER = re.compile(rf"\d[0-9a-fA-F_]{{{MAX_DIGITS}}}")
_TOKEN = re.compile(r"\w++|[^\w\s]")
_LONG_NAME = re.compile(rf"[A-Za-z_]\w{{{MAX_NAME}}}")
# Persian, Hindi and others cannot be written without these.
_JOINERS = frozenset("\u200c\u200d")
_FORMATS_THAT_ARE_LETTERS = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]")


def parse_source(text: str) -> ast.Module:
    """Raises Refused with one refusal: what is found here leaves nothing that more could be said about."""
    text = _clean(text)
    code = _blank_quotes(text)
    _check_letters(code)
    _check_nesting(code)
    _check_names(code)
    _check_amount(sum(1 for _ in _TOKEN.finditer(code)), "words and signs", MAX_TOKENS)
    return _parse(text)


def _clean(text: str) -> str:
    _check_amount(len(text), "characters", MAX_CHARACTERS)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    for place, character in enumerate(text):
        if not character.isascii() or character < " " or character == "\x7f":
            _check_character(text, place)
    _check_amount(text.count("\n"), "lines", MAX_LINES)
    return textwrap.dedent(text)


def _check_amount(found: int, what: str, allowed: int) -> None:
    if found > allowed:
        raise refuse(
            RefusalCode.TOO_LONG,
            f"The source has {found} {what} where {allowed} are allowed: write one short function.",
        )


def _check_character(text: str, place: int) -> None:
    character = text[place]
    if character in "\n\t" or character in _JOINERS or _FORMATS_THAT_ARE_LETTERS.match(character):
        return
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        line = text.count("\n", 0, place) + 1
        raise refuse(
            RefusalCode.FORBIDDEN_CHARACTER,
            f"Line {line} holds the invisible or control character U+{ord(character):04X}: leave it out.",
            line,
        )


def _blank_quotes(text: str) -> str:
    """The text with spaces in the place of comments and strings; what has no end is blank to the end."""
    parts: list[str] = []
    place = 0
    while opener := _OPENER.search(text, place):
        rest = _REST[opener.group()].match(text, opener.end())
        stop = rest.end() if rest else len(text)
        parts += text[place : opener.start()], re.sub(r"[^\n]", " ", text[opener.start() : stop])
        place = stop
    return "".join(parts) + text[place:]


def _check_letters(code: str) -> None:
    found = re.search(r"[^\x00-\x7f]", code)
    if found is None:
        return
    line = code.count("\n", 0, found.start()) + 1
    name = unicodedata.name(found.group(), "a nameless character")
    raise refuse(
        RefusalCode.FORBIDDEN_CHARACTER,
        f"Line {line} holds U+{ord(found.group()):04X} ({name}) outside comments and docstrings:"
        " write names and operators in plain ASCII, as in beta.",
        line,
    )


def _check_nesting(code: str) -> None:
    depth = 0
    for bracket in re.finditer(r"[\[({})\]]", code):
        depth += 1 if bracket.group() in "([{" else -1
        if depth > MAX_BRACKETS:
            raise _too_deep(code.count("\n", 0, bracket.start()) + 1)
    chain = _LONG_CHAIN.search(code)
    if chain is not None:
        raise _too_deep(code.count("\n", 0, chain.start()) + 1)
    number = _LONG_NUMBER.search(code)
    if number is not None:
        raise refuse(
            RefusalCode.NUMBER_TOO_LARGE,
            f"A number has more than {MAX_DIGITS} digits: write it with fewer, as in 1e-3.",
            code.count("\n", 0, number.start()) + 1,
        )


def _check_names(code: str) -> None:
    name = _LONG_NAME.search(code)
    if name is not None:
        raise refuse(
            RefusalCode.FORBIDDEN_NAME,
            f"A name has more than {MAX_NAME} characters: write a shorter one.",
            code.count("\n", 0, name.start()) + 1,
        )


def _too_deep(line: int | None) -> Refused:
    return refuse(
        RefusalCode.TOO_DEEP,
        "Expressions or blocks are nested too deeply: name the parts in assignments of their own.",
        line,
    )


def _parse(text: str) -> ast.Module:
    try:
        # A docstring with LaTeX in it ("\beta") is no reason to warn on the service's stderr.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        raise refuse(
            RefusalCode.NOT_PYTHON,
            f"The source is no Python ({_plain(error.msg)}): write it so that Python 3.11 can parse it.",
            error.lineno,
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise _too_deep(None) from None
    _check_size(tree)
    return tree


def _plain(message: str) -> str:
    """The parser's words, which quote the source, as part of one sentence."""
    return ascii(message)[1:-1].replace(". ", ", ").rstrip(".")[:120]


def _check_size(tree: ast.Module) -> None:
    nodes = 0
    line: int | None = None
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        nodes += len(level)
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        line = next((node.lineno for node in level if isinstance(node, ast.expr | ast.stmt)), line)
        if not level:
            break
    else:
        raise _too_deep(line)
    _check_amount(nodes, "parts", MAX_NODES)
