"""Find the one place of a learner's code that keeps it from being right.

Every statement and expression in the function's body is replaced in turn: left out, given another
operator, function, number, axis or name, or wrapped in another. The first change with which the
whole check passes is the mistake, whatever a catalogue knows of it.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import math
import time
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, NamedTuple

import torch

from . import guard

SECONDS, TRIED = 2.0, 300  # at most; the number decides, but for code that is slow itself
ALIKE = (  # functions that are taken for each other
    "sum mean prod amax amin logsumexp median",
    "log log10 log2",
    "exp exp2 expm1 softplus square sigmoid",
    "sigmoid tanh softmax relu logsigmoid",
    "rand randn",
    "rand_like randn_like",
    "sample rsample",
    "maximum logaddexp minimum",
    "softmax log_softmax",
    "binary_cross_entropy binary_cross_entropy_with_logits",
    "Normal Laplace",
    "std var",
    "logits probs",
    "any all sum",
)
OPERATORS = ((ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.Gt, ast.Lt), (ast.GtE, ast.LtE))
INSTEAD = {a: b for pair in OPERATORS for a, b in (pair, pair[::-1])}
NUMBERS = (0, 1, -1, 2, 0.5)
WRAPPED = ("-e", "exp(e)", "log(e)", "e ** 2", "sqrt(e)", "0.5 * e", "2 * e", "1 - e", "1 / e")
WRAPPED += ("abs(e)", "e - 1", "e + 1", "e.sum(-1)", "e.mean(0)", "e.sum(0)", "e.mean()", "e.sum()")


class Change(NamedTuple):
    """What stands in a line, and with what the function is right."""

    was: str
    better: str
    line: str

    def told(self, seen: str, symptom: str | None, details: str) -> tuple[str, str, str, str]:
        """What a verdict says: the place, the mistake's name, and folded what belongs there."""
        whole = self.was == self.line
        place = f"the line `{self.line}`" if whole else f"`{self.was}` in the line `{self.line}`"
        text = f"All is right but one place: look at {place}."
        change = f"{self.was} for {self.better}"
        name = symptom or (change if len(change) <= 60 and "\n" not in change else "one place")
        change = f"Your function passes with\n{self.better}\nin place of\n{self.was}\n{details}"
        return f"{text}{seen}", name, change.strip(), "What belongs there"


class _Spot:
    """An expression or a statement, and where it hangs."""

    def __init__(self, parent: ast.AST, field: str, index: int | None, node: ast.AST):
        self.parent, self.field, self.index, self.node, self.size = parent, field, index, node, 1

    def put(self, *nodes: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, *nodes)
        else:
            getattr(self.parent, self.field)[self.index : self.index + self.size] = nodes
            self.size = len(nodes)


def one_change(
    answer: Callable, is_right: Callable[[Callable], bool], add: bool = True
) -> Change | None:
    """Return the change with which `is_right(function)`; None where there is no such, or no source.

    The search is cut off after `TRIED` functions, or `SECONDS`.

    Args:
        add: whether a change may put something in, which mends no gradient that is cut off.
    """
    function = inspect.unwrap(answer)
    try:
        lines, space = inspect.findsource(function)[0], inspect.getclosurevars(function).nonlocals
        tree = _definition("".join(lines), function.__code__)
        tree.args.defaults, tree.args.kw_defaults = [], [None] * len(tree.args.kwonlyargs)
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    known, end = function.__code__.co_varnames, time.monotonic() + SECONDS
    space = {**function.__globals__, "exp": _exp, "log": _log, "sqrt": _sqrt, **space}
    with contextlib.suppress(guard.TimeIsUp), guard.time_limit(2 * SECONDS):
        for tried, (spot, instead) in enumerate(_changes(tree, known, add)):
            if tried >= TRIED or time.monotonic() > end:
                break
            spot.put(*instead)
            right = is_right(_made(tree, space, function))
            spot.put(spot.node)
            if right:
                line = lines[spot.node.lineno - 1].strip()
                better = "\n".join(map(ast.unparse, instead))
                return Change(ast.unparse(spot.node).splitlines()[0], better, line)
    return None


def _definition(source: str, code: CodeType) -> ast.FunctionDef:
    """A function's `def`, undecorated, or one that does as its lambda."""
    inside = max((line, column) for line, _, column, _ in code.co_positions() if column)
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name, arguments, body) if name == code.co_name:
                lines = node.lineno, *(d.lineno for d in node.decorator_list)
                if code.co_firstlineno not in lines:
                    continue
            case ast.Lambda(arguments, value) if code.co_name == "<lambda>":
                end = value.end_lineno, value.end_col_offset
                if not (value.lineno, value.col_offset) <= inside <= end:
                    continue
                body = [ast.Return(value)]
            case _:
                continue
        return ast.copy_location(ast.FunctionDef("changed", arguments, body, []), node)
    raise ValueError("no such function")


def _made(tree: ast.FunctionDef, space: dict, like: Callable) -> Callable:
    space, module = dict(space), ast.Module([tree], [])
    try:
        exec(compile(ast.fix_missing_locations(module), "<changed>", "exec"), space)
    except (SyntaxError, TypeError, ValueError):
        return like
    made = space[tree.name]
    made.__defaults__, made.__kwdefaults__ = like.__defaults__, like.__kwdefaults__
    return made


def _changes(body: ast.FunctionDef, known: tuple[str, ...], add: bool) -> Iterator[tuple]:
    """Every change of one expression or statement, the likelier kinds first."""
    spots = list(_spots(body, ast.expr, ("func", "annotation", "returns")))
    for spot in _spots(body, ast.stmt):
        yield from ((spot, instead) for instead in _rewritten(spot))
    for spot in spots:
        yield from ((spot, [instead]) for instead in _replaced(spot.node, known))
    for spot in spots * add:
        yield from ((spot, [_form(text, spot.node)]) for text in WRAPPED)


def _spots(body: ast.FunctionDef, kind: type, without: tuple[str, ...] = ()) -> Iterator[_Spot]:
    for parent in ast.walk(body):
        for field, value in ast.iter_fields(parent):
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                stored = isinstance(getattr(node, "ctx", None), ast.Store)
                plain = not isinstance(node, ast.Slice | ast.Starred) and not stored
                if isinstance(node, kind) and plain and field not in without:
                    yield _Spot(parent, field, index, node)


def _rewritten(spot: _Spot) -> Iterator[list[ast.stmt]]:
    """What may have been meant by a statement: a sum for its last term, a return after a loop."""
    match spot.node:
        case ast.Assign([ast.Name() as name], value) if isinstance(spot.parent, ast.For):
            yield [ast.AugAssign(name, ast.Add(), value)]
        case ast.AugAssign(name, ast.Add() | ast.Sub() as op, value):
            yield [ast.AugAssign(name, INSTEAD[type(op)](), value)]
        case ast.For(_, _, [*rest, ast.Return() as last]) as loop if rest:
            yield [ast.For(loop.target, loop.iter, rest, []), last]


def _replaced(node: ast.expr, known: tuple[str, ...]) -> Iterator[ast.expr]:
    """What may have been meant in place of an expression, at its own size or smaller."""
    match node:
        case ast.Name(name) if name in known:
            yield from (ast.Name(other, ast.Load()) for other in known if other != name)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            others = (*NUMBERS, value / 2, 2 * value, value**2, abs(value) ** 0.5, -value)
            yield from (ast.Constant(other) for other in dict.fromkeys(others) if other != value)
        case ast.Constant("none" | "sum" | "mean" as value):
            yield from (ast.Constant(w) for w in ("none", "sum", "mean") if w != value)
        case ast.UnaryOp(op, operand):
            yield operand
            if isinstance(operand, ast.BinOp):  # −(a + b) for −a + b
                yield ast.BinOp(ast.UnaryOp(op, operand.left), operand.op, operand.right)
        case ast.BinOp(left, op, right):
            if type(op) in INSTEAD:
                yield ast.BinOp(left, INSTEAD[type(op)](), right)
            yield from (left, right)
            if not isinstance(op, ast.Add | ast.Mult):
                yield ast.BinOp(right, op, left)
            if isinstance(left, ast.BinOp):  # a · (b + c) for a · b + c, and the like
                yield ast.BinOp(left.left, left.op, ast.BinOp(left.right, op, right))
            if isinstance(right, ast.BinOp):
                yield ast.BinOp(ast.BinOp(left, op, right.left), right.op, right.right)
            if isinstance(left, ast.BinOp) and isinstance(right, ast.BinOp):
                inside = ast.BinOp(left.right, op, right.left)  # a + (1 − b) · c for a + 1 − b · c
                yield ast.BinOp(left.left, left.op, ast.BinOp(inside, right.op, right.right))
            match node:  # f(½ · x) for ½ · f(x)
                case ast.BinOp(ast.Call(func, [inner], []), _, _):
                    yield ast.Call(func, [ast.BinOp(inner, op, right)], [])
                case ast.BinOp(_, _, ast.Call(func, [inner], [])):
                    yield ast.Call(func, [ast.BinOp(left, op, inner)], [])
                case ast.BinOp(_, _, ast.Call(ast.Attribute(inner, name), [], [])):
                    whole = ast.BinOp(left, op, inner)
                    yield ast.Call(ast.Attribute(whole, name, ast.Load()), [], [])
            if isinstance(left, ast.UnaryOp):
                yield ast.UnaryOp(left.op, ast.BinOp(left.operand, op, right))
        case ast.Compare(left, [op], [right]) if type(op) in INSTEAD:
            yield ast.Compare(left, [INSTEAD[type(op)]()], [right])
        case ast.Subscript():
            yield node.value
        case ast.Call():
            yield from _called(node)


def _called(node: ast.Call) -> Iterator[ast.expr]:
    """What may have been meant by a call: its argument, another function, other arguments."""
    func, args = node.func, node.args
    if isinstance(func, ast.Attribute):
        yield func.value
        yield from (
            ast.Call(ast.Attribute(func.value, name, ast.Load()), args, node.keywords)
            for name in _alike(func.attr)
        )
    elif isinstance(func, ast.Name):
        yield from (ast.Call(ast.Name(n, ast.Load()), args, node.keywords) for n in _alike(func.id))
    yield from (a for a in args if not isinstance(a, ast.Starred))
    if len(args) > 1:
        yield ast.Call(func, [args[1], args[0], *args[2:]], node.keywords)
    for k, keyword in enumerate(node.keywords):
        rest = node.keywords[:k] + node.keywords[k + 1 :]
        yield ast.Call(func, args, rest)
        for other in _alike(keyword.arg or ""):
            yield ast.Call(func, args, [*rest, ast.keyword(other, keyword.value)])
    if not node.keywords and len(args) < 2:
        yield from (ast.Call(func, [*args, ast.Constant(axis)], []) for axis in (0, 1, -1))


def _alike(name: str) -> list[str]:
    return [o for names in map(str.split, ALIKE) if name in names for o in names if o != name]


def _form(text: str, e: ast.expr) -> ast.expr:
    """An expression, with another in the place of its name `e`."""

    class Fill(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return e if node.id == "e" else node

    return Fill().visit(ast.parse(text, mode="eval").body)


def _exp(x: Any) -> Any:
    return x.exp() if isinstance(x, torch.Tensor) else math.exp(x)


def _log(x: Any) -> Any:
    return x.log() if isinstance(x, torch.Tensor) else math.log(x)


def _sqrt(x: Any) -> Any:
    return x.sqrt() if isinstance(x, torch.Tensor) else math.sqrt(x)
