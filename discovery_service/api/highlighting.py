"""Source as HTML: every character of it escaped, its parts marked by Pygments' CSS classes and by no inline style."""

from html import escape

from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers.python import PythonLexer

MOST_CHARACTERS = 20_000
"""Of a longer one nothing is marked: 100,000 opening brackets took more than a second."""
CSS_CLASS = "highlight"
_FORMATTER = HtmlFormatter(cssclass=CSS_CLASS)
_LEXER = PythonLexer(stripnl=False, ensurenl=False)


def highlight_python(source: str) -> str:
    """One `div`, whatever the source holds."""
    if len(source) > MOST_CHARACTERS:
        return f'<div class="{CSS_CLASS}"><pre>{escape(source)}</pre></div>\n'
    return str(highlight(source, _LEXER, _FORMATTER))
