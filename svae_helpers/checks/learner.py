"""Run a learner's function on copies of its arguments, and say what stood in the way."""

from __future__ import annotations

import contextlib
import inspect
import io
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import guard

PRINTED = 2000  # characters of a first call's prints that are shown


@dataclass(frozen=True)
class Problem:
    """Why a run gave no comparable answer. Two problems with the same key are the same."""

    key: tuple
    name: str
    text: str


@dataclass(frozen=True)
class Run:
    """One call: its answer's parts (a tensor is one part, a tuple has several), or a problem.

    An answer of a wrong shape or type has both, where it can be read as numbers.
    """

    parts: tuple[Tensor, ...] | None = None
    problem: Problem | None = None
    changed: str | None = None
    uses_numpy: bool = False


class Stop(Exception):
    """Ends a check early: something stands in the way of judging the rest."""

    def __init__(self, problem: Problem):
        self.problem = problem


class Learner:
    """A learner's function behind one door: `run` and `call` never raise.

    What the function prints is shown on its first call only, and never more than a page of it.
    """

    def __init__(self, answer: Callable, parameters: tuple[str, ...], watch: bool = True):
        self.answer, self.parameters, self.watch = answer, parameters, watch
        self.calls, self.kept = 0, guard.snapshot() if watch else None
        self.keywords = _keyword_only(answer, parameters)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        if not self.watch:  # one of our own
            yield
            return
        with _shown(self.calls == 1), guard.time_limit():
            yield

    def run(
        self, arguments: tuple, like: Any, requires_grad: tuple[str, ...] = ()
    ) -> tuple[Run, dict[str, Tensor]]:
        """Call the function on copies; return the run and the tensors it was given, by name.

        Args:
            arguments: of the call, in the order of the parameters.
            like: a right answer, for its kind and shape.
        """
        given = {
            name: a.detach().clone().requires_grad_(name in requires_grad)
            if isinstance(a, Tensor)
            else a
            for name, a in zip(self.parameters, arguments)
        }
        tensors = {name: a for name, a in given.items() if isinstance(a, Tensor)}
        positional = [a for name, a in given.items() if name not in self.keywords]
        watch = self.watch and self.calls < 8  # reading NumPy's state takes its time
        before = _numpy_fingerprint() if watch else None
        value, problem = self.call(positional, like, {n: given[n] for n in self.keywords})
        if problem is not None and problem.key[0] in ("exception", "time"):
            return Run(problem=problem), tensors
        uses_numpy = watch and _numpy_fingerprint() != before
        pairs = ((n, a) for n, a in zip(self.parameters, arguments) if isinstance(a, Tensor))
        changed = next((name for name, a in pairs if not _same(a, given[name])), None)
        return Run(as_parts(value), problem, changed, uses_numpy), tensors

    def call(
        self, arguments: Sequence, like: Any = None, named: dict[str, Any] | None = None
    ) -> tuple[Any, Problem | None]:
        """Call the function and undo what it meddled with; return its value and a problem.

        Args:
            arguments: handed over by position.
            like: a right answer, whose kind and shape the value is held against.
            named: handed over by name.
        """
        self.calls += 1
        dtype = torch.get_default_dtype()
        try:
            with self._watched(), torch.enable_grad():
                value = self.answer(*arguments, **(named or {}))
        except BaseException as error:
            return None, _describe_error(error, self.answer)
        finally:
            torch.set_default_dtype(dtype)
            if self.watch:
                guard.restore(self.kept)
        return value, None if like is None else judge_type(value, like)


class _Page(io.StringIO):
    """A text stream that keeps one page."""

    def write(self, text: str) -> int:
        if self.tell() <= PRINTED:
            super().write(text[: PRINTED + 1])
        return len(text)


@contextlib.contextmanager
def _shown(first: bool) -> Iterator[None]:
    page = _Page()
    try:
        with contextlib.redirect_stdout(page), contextlib.redirect_stderr(page):
            yield
    finally:
        text = page.getvalue()
        if first and text:
            end = "" if len(text) <= PRINTED else " … (cut)\n"
            sys.stdout.write(text[:PRINTED] + end)


def _keyword_only(answer: Callable, parameters: tuple[str, ...]) -> set[str]:
    try:
        kinds = {name: p.kind for name, p in inspect.signature(answer).parameters.items()}
    except (TypeError, ValueError):
        return set()
    return {n for n in parameters if kinds.get(n) is inspect.Parameter.KEYWORD_ONLY}


def _numpy_fingerprint() -> tuple:
    state = np.random.get_state()
    return (state[2], state[3], state[1][:4].tobytes(), random.getstate()[1][-3:])


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a, b.detach())


def as_parts(value: Any) -> tuple[Tensor, ...] | None:
    """Read an answer as tensors: a number is one of shape (), a tuple has several parts."""
    if isinstance(value, Tensor):
        return (value,)
    if isinstance(value, (bool, int, float, np.generic)):
        return (torch.as_tensor(value, dtype=torch.float64),)
    if isinstance(value, (tuple, list)) and value:
        parts = [as_parts(part) for part in value]
        return None if None in parts else tuple(t for part in parts for t in part)
    return None


def judge_type(value: Any, like: Any) -> Problem | None:
    """What stands in the way of comparing an answer with a right one of a kind and shape."""
    wanted = _describe(like)
    if value is None:
        return Problem(
            ("none",), "missing return", f"Your function returns nothing; wanted {wanted}."
        )
    if isinstance(like, tuple):
        if not isinstance(value, (tuple, list)) or len(value) != len(like):
            text = f"Your function returns {_describe(value)}; wanted {wanted}."
            return Problem(("type", _describe(value)), "wrong type", text)
        problems = (judge_type(v, part) for v, part in zip(value, like))
        return next((p for p in problems if p is not None), None)
    if isinstance(value, np.ndarray | np.generic) and isinstance(like, Tensor):
        text = f"Your function returns NumPy's numbers, which keep no gradients; wanted {wanted}."
        return Problem(("type", "numpy"), "wrong type", text)
    number = isinstance(value, (bool, int, float, np.generic))
    if not isinstance(value, Tensor) and (isinstance(like, Tensor) or not number):
        hint = " `.item()` and `float` cut the gradient." if isinstance(value, float) else ""
        text = f"Your function returns {_describe(value)}; wanted {wanted}.{hint}"
        return Problem(("type", type(value).__name__), "wrong type", text)
    mine, shape = as_parts(value)[0], as_parts(like)[0].shape
    if mine.shape != shape:
        text = f"Your answer has shape {tuple(mine.shape)}; wanted {tuple(shape)}."
        return Problem(("shape",), "wrong shape", text)
    if _is_boolean(value) != _is_boolean(like):
        kind = "True and False" if _is_boolean(value) else "numbers"
        text = f"Your answer holds {kind}; wanted {wanted}."
        return Problem(("type", "bool"), "wrong type", text)
    if isinstance(value, Tensor) and value.dtype not in _allowed(like):
        text = f"Your answer has dtype {value.dtype}; wanted {wanted}."
        return Problem(("type", str(value.dtype)), "wrong type", text)
    return None


def _allowed(like: Any) -> tuple[torch.dtype, ...]:
    if _is_boolean(like):
        return (torch.bool,)
    floats = (torch.float32, torch.float64)
    whole = not isinstance(like, float) and not as_parts(like)[0].is_floating_point()
    return (*floats, torch.int64, torch.int32) if whole or isinstance(like, int) else floats


def _is_boolean(value: Any) -> bool:
    return (
        value.dtype == torch.bool
        if isinstance(value, Tensor)
        else isinstance(value, bool | np.bool_)
    )


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        kind = "booleans" if _is_boolean(value) else str(value.dtype).removeprefix("torch.")
        return f"a tensor of shape {tuple(value.shape)}, {kind.replace('float64', 'float32')}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)} ({', '.join(map(_describe, value))})"
    names = {"bool": "True or False", "int": "a whole number", "float": "a number"}
    return names.get(type(value).__name__, f"a {type(value).__name__}")


def _describe_error(error: BaseException, answer: Callable) -> Problem:
    name = getattr(getattr(answer, "__code__", None), "co_name", None)
    frames = reversed(traceback.extract_tb(error.__traceback__))
    line = next(
        (f" in the line `{f.line.strip()}`" for f in frames if f.name == name and f.line), ""
    )
    kind, about = type(error).__name__, (str(error).strip().splitlines() or [""])[0][:300]
    if isinstance(error, guard.TimeIsUp):
        text = (
            f"Your function was still running after {guard.SECONDS:g} s{line}, and was stopped. "
            "Does every loop end?"
        )
        return Problem(("time",), "no end", text)
    if isinstance(error, NotImplementedError):
        text = "Your function still raises NotImplementedError: take that line out."
    elif isinstance(error, SystemExit | KeyboardInterrupt | GeneratorExit):
        text = f"Your function ends the program{line} ({kind}); it should return its answer."
    else:
        text = f"Your function raises {kind}{line}: {about}"
    return Problem(("exception", kind, about[:24]), "an exception", text)
