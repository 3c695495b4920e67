"""Loads what libraries import or look up only when they first need it: a locked child can open no file.

What of torch is loaded late is found by `warm_up`, which takes the ways of the jobs, and by a test that sends every
word of the language through a locked child. What sympy loads late depends on the sizes of a loss, of which nobody can
try all; so its packages that torch's symbolic sizes reach are loaded whole: .2 s and 2 MB.
"""

import codecs
import importlib
import pkgutil

_PACKAGES = tuple(
    f"sympy.{name}"
    for name in (
        *("assumptions", "calculus", "concrete", "functions", "logic", "matrices.expressions", "ntheory", "sets"),
        "series",
    )
)
_LEFT_OUT = frozenset({"tests", "benchmarks"})
_CODECS = ("ascii", "latin-1", "raw_unicode_escape", "unicode_escape", "utf-8", "utf-16", "utf-32")
"""`ast.unparse` writes a docstring by unicode_escape where a character of it is not printable."""


def load_late_imports() -> None:
    for name in _CODECS:
        codecs.lookup(name)
    for package in _PACKAGES:
        for name in _list_modules(package):
            importlib.import_module(name)


def _list_modules(package: str) -> list[str]:
    path = importlib.import_module(package).__path__
    return [
        each.name
        for each in pkgutil.walk_packages(path, f"{package}.")
        if not _LEFT_OUT.intersection(each.name.split("."))
    ]
