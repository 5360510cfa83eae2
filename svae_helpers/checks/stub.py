"""Tell a stub from an attempt: by bytecode, then by source where there is one."""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import textwrap
from types import CodeType

_BODIES = ("...", "'words'", "return None", "return ...", "'words'; return None")
_RAISED = ("", "()", "('words')")
_STUBS = [f"def f():\n {body}" for body in _BODIES]
_STUBS += [f"def f():\n {doc}raise NotImplementedError{a}" for doc in ("", "'';") for a in _RAISED]


def _bytecode(code: CodeType) -> tuple:
    names = [i.opname for i in dis.get_instructions(code)]
    return tuple(name for name in names if name != "NOP"), code.co_names


def _compiled(source: str) -> CodeType:
    scope: dict = {}
    exec(source, scope)
    return scope["f"].__code__


_EMPTY = {_bytecode(_compiled(source)) for source in _STUBS}


def is_stub(answer: object) -> bool:
    """Whether the function's body is still the empty one that the exercise hands out.

    A body of only a docstring, comments, `...`, `pass`, `return None` or
    `raise NotImplementedError` is a stub. The bytecode decides that nothing is computed; the
    source, where there is one, tells a stub from code that can never be reached.
    """
    code = _code_of(answer)
    if code is None or _bytecode(code) not in _EMPTY:
        return False
    try:
        tree = ast.parse(textwrap.dedent("".join(inspect.getsourcelines(code)[0])))
    except (OSError, TypeError, SyntaxError, IndexError, ValueError):
        return _returns_nothing(code)
    found = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == code.co_name)
    body = next((node.body for node in found), None)
    return _returns_nothing(code) if body is None else all(map(_is_empty, body))


def _code_of(answer: object) -> CodeType | None:
    while isinstance(answer, functools.partial):
        answer = answer.func
    answer = inspect.unwrap(answer) if callable(answer) else answer
    answer = getattr(answer, "__func__", answer)
    if not hasattr(answer, "__code__"):
        call = getattr(type(answer), "forward", None) or vars(type(answer)).get("__call__")
        answer = getattr(call, "__func__", call)
    return getattr(answer, "__code__", None)


def _returns_nothing(code: CodeType) -> bool:
    """Whether what a trivial function may return is None or dots: no number, no constant."""
    return all(c is None or c is ... or isinstance(c, str) for c in code.co_consts)


def _is_empty(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr | ast.Return):
        value = statement.value
        plain = value is None or (isinstance(value, ast.Constant) and value.value in (None, ...))
        word = isinstance(statement, ast.Expr) and isinstance(getattr(value, "value", 0), str)
        return plain or word
    return isinstance(statement, ast.Pass | ast.Raise)
