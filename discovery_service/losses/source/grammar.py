"""The parts of Python that the loss language has, and for those it lacks what to write instead."""

import ast
from collections.abc import Mapping

from discovery_service.losses.refusals import RefusalCode

ALLOWED: tuple[type[ast.AST], ...] = (
    *(ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.FunctionDef, ast.Return, ast.If, ast.For, ast.With),
    *(ast.Pass, ast.Assert),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.keyword, ast.Attribute, ast.Subscript),
    *(ast.Slice, ast.Name, ast.Constant, ast.Tuple, ast.List, ast.Lambda, ast.ListComp, ast.GeneratorExp),
    *(ast.comprehension, ast.arguments, ast.arg, ast.expr_context),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult),
    *(ast.BitAnd, ast.BitOr, ast.BitXor, ast.unaryop, ast.boolop, ast.cmpop),
)


STARRED_PARAMETERS = "Parameters with * or ** are not available: name each parameter."


def _syntax(what: str, instead: str) -> tuple[RefusalCode, str]:
    return RefusalCode.FORBIDDEN_SYNTAX, f"{what} is no part of the loss language: {instead}."


_PLAIN = _syntax("An asynchronous or generating function", "write a plain def with return")
_STATE = (
    RefusalCode.STATE,
    "A loss keeps nothing between calls: compute the value from this batch and hold it in a local variable.",
)
_STRING = RefusalCode.FORBIDDEN_STRING, "Strings with values in them are not available: leave the text out."
_MAPPING = _syntax("A dict or set", "use local variables or a tuple")
_TRY = _syntax("try", "keep values in range by torch.clamp instead of catching errors")
_SHIFT = _syntax("A bit shift", "multiply or divide by a number")

EXPLANATIONS: Mapping[type[ast.AST], tuple[RefusalCode, str]] = {
    ast.ClassDef: _syntax("A class", "write one function at the top level, with what it needs as parameters"),
    ast.AsyncFunctionDef: _PLAIN,
    ast.AsyncFor: _PLAIN,
    ast.AsyncWith: _PLAIN,
    ast.Await: _PLAIN,
    ast.Yield: _PLAIN,
    ast.YieldFrom: _PLAIN,
    ast.While: _syntax("while", "write a for loop over range() of a small number, or an operation on whole tensors"),
    ast.Break: _syntax("break", "choose the number of repetitions beforehand"),
    ast.Continue: _syntax("continue", "write the condition as an if around the rest of the loop"),
    ast.Try: _TRY,
    ast.TryStar: _TRY,
    ast.Raise: _syntax("raise", "leave it out, or bound the values by torch.clamp"),
    ast.Match: _syntax("match", "use torch.where, or if on settings"),
    ast.Delete: _syntax("del", "leave it out"),
    ast.NamedExpr: _syntax("An assignment with :=", "assign on a line of its own"),
    ast.Starred: _syntax("An argument or target with *", "name each one"),
    ast.Dict: _MAPPING,
    ast.DictComp: _MAPPING,
    ast.Set: _MAPPING,
    ast.SetComp: _MAPPING,
    ast.LShift: _SHIFT,
    ast.RShift: _SHIFT,
    ast.Global: _STATE,
    ast.Nonlocal: _STATE,
    ast.JoinedStr: _STRING,
    ast.FormattedValue: _STRING,
}
