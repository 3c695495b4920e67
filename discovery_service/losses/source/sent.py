"""Whether what is stored of a source is what was sent, word for word, but for what changes nothing that is computed.

Covered: comments, layout, docstrings, annotations, imports, asserts. All else counts as rewritten, and whoever stores
the rewritten text has to show that both compute the same.
"""

import ast

from discovery_service.losses.source.check import CheckedSource
from discovery_service.losses.source.parsing import parse_source


def is_rewritten(sent: str, checked: CheckedSource) -> bool:
    return _bare(parse_source(sent)) != _bare(ast.parse(checked.text))


def _bare(tree: ast.Module) -> str:
    return ast.dump(_Bare().visit(tree))


class _Bare(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return None if node.value is None else self.visit(ast.Assign([node.target], node.value))

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        del node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        del node

    def visit_Assert(self, node: ast.Assert) -> None:
        del node

    def visit_Pass(self, node: ast.Pass) -> None:
        del node
