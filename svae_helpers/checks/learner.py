"""Run a learner's function on copies of its arguments, and say what stood in the way."""

from __future__ import annotations

import inspect
import io
import random
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stderr, redirect_stdout, suppress
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import guard

PRINTED = 2000  # characters of a first call's prints that are shown
NUMBERS = (bool, int, float, np.generic)
FLOATS, WHOLE = (torch.float32, torch.float64), (torch.int64, torch.int32, torch.bool)


class Problem(NamedTuple):
    """Why a run gave no comparable answer. Two problems with the same key are the same."""

    key: tuple
    name: str
    text: str


class Outcome(NamedTuple):
    """One call: its answer's parts (a tensor is one part, a tuple has several), or a problem.

    An answer of a wrong shape or type has both, where it can be read as numbers.
    """

    parts: tuple[Tensor, ...] | None = None
    problem: Problem | None = None
    changed: str | None = None
    uses_numpy: bool = False
    gradients: dict[str, Tensor] = {}


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
        self.calls, self.kept = 0, guard.snapshot() if watch else None  # not for one of our own
        kinds: dict[str, Any] = {}
        with suppress(TypeError, ValueError):
            kinds = {n: p.kind for n, p in inspect.signature(answer).parameters.items()}
        self.keywords = {n for n in parameters if kinds.get(n) is inspect.Parameter.KEYWORD_ONLY}

    def run(
        self, arguments: tuple, like: Any, requires_grad: tuple[str, ...] = ()
    ) -> tuple[Outcome, dict[str, Tensor]]:
        """Call the function on copies; return the outcome and the tensors it was given, by name.

        Args:
            arguments: of the call, in the order of the parameters.
            like: a right answer, for its kind and shape.
        """
        given = dict(zip(self.parameters, arguments))
        tensors = {
            name: a.detach().clone().requires_grad_(name in requires_grad)
            for name, a in given.items()
            if isinstance(a, Tensor)
        }
        copies = given | tensors
        named = {name: copies.pop(name) for name in self.keywords}
        watch = self.watch and self.calls < 8  # reading NumPy's state takes its time
        before = _numpy_fingerprint() if watch else None
        value, problem = self.call([*copies.values()], like, named)
        if problem is not None and problem.key[0] in ("exception", "time"):
            return Outcome(problem=problem), tensors
        uses_numpy = watch and _numpy_fingerprint() != before
        pairs = ((name, given[name], a.detach()) for name, a in tensors.items())
        changed = next((name for name, a, b in pairs if not torch.equal(a, b)), None)
        return Outcome(as_parts(value), problem, changed, uses_numpy), tensors

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
        dtype, page = torch.get_default_dtype(), _Page()
        limit = guard.time_limit() if self.watch else nullcontext()
        try:
            with redirect_stdout(page), redirect_stderr(page), torch.enable_grad(), limit:
                value = self.answer(*arguments, **(named or {}))
        except BaseException as error:
            return None, _describe_error(error, self.answer)
        finally:
            torch.set_default_dtype(dtype)
            guard.restore(self.kept)
            if self.calls == 1:
                sys.stdout.write(page.getvalue())
        return value, None if like is None else judge_type(value, like)


class _Page(io.StringIO):
    """A text stream that keeps one page."""

    def write(self, text: str) -> int:
        room = PRINTED - self.tell()
        if room >= 0:
            super().write(text if len(text) <= room else f"{text[:room]} … (cut)\n")
        return len(text)


def _numpy_fingerprint() -> tuple:
    state = np.random.get_state()
    return (state[2], state[3], state[1][:4].tobytes(), random.getstate()[1][-3:])


def as_parts(value: Any) -> tuple[Tensor, ...] | None:
    """Read an answer as tensors: a number is one of shape (), a tuple has several parts."""
    if isinstance(value, Tensor):
        return (value,)
    if isinstance(value, NUMBERS):
        return (torch.as_tensor(value, dtype=torch.float64),)
    if isinstance(value, (tuple, list)) and value:
        parts = [as_parts(part) for part in value]
        return None if None in parts else tuple(t for part in parts for t in part)
    return None


def differentiate(parts: tuple[Tensor, ...], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Differentiate a fixed weighted sum of an answer's entries; zeros where nothing arrives."""
    weighted = [
        (p.double() * torch.linspace(0.7, 1.9, p.numel(), dtype=torch.float64).reshape(p.shape))
        for p in parts
        if p.requires_grad
    ]
    if not tensors or not weighted:
        return {name: torch.zeros_like(t) for name, t in tensors.items()}
    total, sources = sum(term.sum() for term in weighted), list(tensors.values())
    found = torch.autograd.grad(total, sources, materialize_grads=True)
    return dict(zip(tensors, found))


def same_gradient(a: Tensor, b: Tensor) -> bool:
    """Whether two gradients agree, on the scale of the right one."""
    a, b = a.double(), b.double()
    scale = float(b.abs().nan_to_num().max()) if b.numel() else 0.0
    return torch.allclose(a, b, rtol=1e-3, atol=1e-4 + 1e-5 * scale, equal_nan=True)


def judge_type(value: Any, like: Any) -> Problem | None:
    """What stands in the way of comparing an answer with a right one of a kind and shape."""
    name, wanted = "wrong type", f"; wanted {_describe(like)}."
    if value is None:
        name, text = "missing return", f"Your function returns nothing{wanted}"
    elif isinstance(like, tuple):
        if isinstance(value, (tuple, list)) and len(value) == len(like):
            return next(filter(None, map(judge_type, value, like)), None)
        text = f"Your function returns {_describe(value)}{wanted}"
    elif isinstance(like, Tensor) and isinstance(value, np.ndarray | np.generic):
        text = f"Your function returns NumPy's numbers, which keep no gradients{wanted}"
    elif not isinstance(value, Tensor if isinstance(like, Tensor) else (Tensor, *NUMBERS)):
        text = f"Your function returns {_describe(value)}{wanted}"
        text += " `.item()` and `float` cut the gradient." if isinstance(value, float) else ""
    elif (mine := as_parts(value)[0].shape) != (shape := as_parts(like)[0].shape):
        name, text = "wrong shape", f"Your answer has shape {tuple(mine)}; wanted {tuple(shape)}."
    elif _is_boolean(value) != _is_boolean(like):
        text = f"Your answer holds {'True and False' if _is_boolean(value) else 'numbers'}{wanted}"
    elif isinstance(value, Tensor) and value.dtype not in _dtypes(like):
        text = f"Your answer has dtype {value.dtype}{wanted}"
    else:
        return None
    return Problem((text,), name, text)


def _dtypes(like: Any) -> tuple[torch.dtype, ...]:
    whole = isinstance(like, int) or (isinstance(like, Tensor) and not like.is_floating_point())
    return FLOATS + WHOLE if whole else FLOATS


def _is_boolean(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.dtype == torch.bool
    return isinstance(value, bool | np.bool_)


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
    lines = (f" in the line `{f.line}`" for f in frames if f.name == name and f.line)
    line, kind = next(lines, ""), type(error).__name__
    about = (str(error).strip().splitlines() or [""])[0][:300]
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
