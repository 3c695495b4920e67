"""Imports of what is in scope anyway: tolerated, taken out, and their names written as torch, F and math."""

import ast
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from discovery_service.losses.refusals import Refusal, RefusalCode
from discovery_service.losses.vocabulary import (
    FUNCTIONAL,
    INSTEAD,
    MATH_FUNCTIONS,
    MATH_VALUES,
    TORCH_FUNCTIONS,
    TORCH_MODULES,
    TORCH_VALUES,
)

Path = tuple[str, ...]

_FUNCTIONAL_PATH: Path = ("torch", "nn", "functional")
_MODULES = frozenset(
    {("torch",), ("torch", "nn"), _FUNCTIONAL_PATH, ("math",), *(("torch", name) for name in TORCH_MODULES)}
)
_MEMBERS: Mapping[Path, Set[str]] = {
    ("torch",): TORCH_FUNCTIONS | TORCH_VALUES | TORCH_MODULES.keys() | {"nn", "no_grad", "Tensor", "FloatTensor"},
    ("torch", "nn"): frozenset({"functional"}),
    _FUNCTIONAL_PATH: FUNCTIONAL,
    ("math",): MATH_FUNCTIONS | MATH_VALUES,
    **{("torch", name): members for name, members in TORCH_MODULES.items()},
    ("__future__",): frozenset({"annotations"}),
}
# Names for annotations, which are dropped.
_TYPING = frozenset({"typing", "typing_extensions", "collections"})


@dataclass
class Imports:
    """What the imports of a source bind."""

    paths: dict[str, Path] = field(
        default_factory=lambda: {"torch": ("torch",), "F": _FUNCTIONAL_PATH, "math": ("math",)}
    )
    lines: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """What imports that may not stand would have bound; nothing more is said about these names."""
    refusals: list[Refusal] = field(default_factory=list)

    def bind(self, name: str, path: Path, line: int) -> None:
        if self.paths.setdefault(name, path) != path:
            self.refusals.append(_ambiguous(name, line))
        self.lines.setdefault(name, line)


def resolve_imports(tree: ast.Module) -> Imports:
    """Takes the imports out of the tree and writes what they bound in full; says which ones may not stand."""
    imports = Imports()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            _read_import(node, imports)
        elif isinstance(node, ast.ImportFrom):
            _read_from_import(node, imports)
    imports.refusals += _find_rebound(tree, imports)
    _Rewriting(imports).visit(tree)
    return imports


def path_of(node: ast.expr) -> Path:
    """`a.b.c` as ("a", "b", "c"); empty where it is no such chain."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


def _read_import(node: ast.Import, imports: Imports) -> None:
    for alias in node.names:
        path = tuple(alias.name.split("."))
        if path[0] in _TYPING:
            continue
        if path not in _MODULES:
            imports.refusals.append(_forbidden(f"import {alias.name}", path[0], node.lineno))
            imports.refused.add(alias.asname or path[0])
        elif alias.asname:
            imports.bind(alias.asname, path, node.lineno)
        else:
            imports.bind(path[0], path[:1], node.lineno)


def _read_from_import(node: ast.ImportFrom, imports: Imports) -> None:
    module = "." * node.level + (node.module or "")
    path = tuple(module.split("."))
    if path[0] in _TYPING:
        return
    for alias in node.names:
        if alias.name not in _MEMBERS.get(path, ()):
            imports.refusals.append(_forbidden(f"from {module} import {alias.name}", path[0], node.lineno))
            imports.refused.add(alias.asname or alias.name)
        elif path != ("__future__",):
            imports.bind(alias.asname or alias.name, (*path, alias.name), node.lineno)


def _forbidden(what: str, root: str, line: int) -> Refusal:
    instead = INSTEAD.get(root, "torch, F and math are in scope without an import")
    shown = f"`{what[:80]}`" if root else "A relative import"
    return Refusal(RefusalCode.FORBIDDEN_IMPORT, f"{shown} is not available: leave it out, {instead}.", line)


def _ambiguous(name: str, line: int) -> Refusal:
    return Refusal(
        RefusalCode.FORBIDDEN_NAME,
        f"`{name}` is the name of an import and of something else: use another name for one of them.",
        line,
    )


def _find_rebound(tree: ast.Module, imports: Imports) -> Iterable[Refusal]:
    """Names that come of an import and are assigned as well: which one is meant, no rewriting can know."""
    bound = {
        name: node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.arg | ast.FunctionDef) and (name := _bound_name(node)) in imports.lines
    }
    return [_ambiguous(name, line) for name, line in bound.items() if name not in ("torch", "F", "math")]


def _bound_name(node: ast.Name | ast.arg | ast.FunctionDef) -> str | None:
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.FunctionDef):
        return node.name
    return node.id if isinstance(node.ctx, ast.Store) else None


class _Rewriting(ast.NodeTransformer):
    def __init__(self, imports: Imports) -> None:
        self.paths = imports.paths

    def visit_Import(self, node: ast.Import) -> ast.Pass:
        return ast.copy_location(ast.Pass(), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.Pass:
        return ast.copy_location(ast.Pass(), node)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Load) and node.id in self.paths:
            return _chain(self.paths[node.id], node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        path = path_of(node)
        if path and path[0] in self.paths and isinstance(node.ctx, ast.Load):
            return _chain((*self.paths[path[0]], *path[1:]), node)
        return self.generic_visit(node)


def _chain(path: Sequence[str], place: ast.expr) -> ast.expr:
    if tuple(path[:3]) == _FUNCTIONAL_PATH:
        path = ("F", *path[3:])
    chain: ast.expr = ast.copy_location(ast.Name(path[0], ast.Load()), place)
    for name in path[1:]:
        chain = ast.copy_location(ast.Attribute(chain, name, ast.Load()), place)
    return chain
