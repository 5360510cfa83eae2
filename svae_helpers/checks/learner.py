"""Run a learner's function on copies of its arguments, and say what stood in the way."""

import inspect
import io
import random
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import nullcontext, redirect_stderr, redirect_stdout, suppress
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import guard

PRINTED = 2000  # characters of a first call's prints that are shown
NUMBERS, BOOLEAN = (bool, int, float, np.generic), (bool, np.bool_, torch.bool)
FLOATS, WHOLE = (torch.float32, torch.float64), (torch.int64, torch.int32, torch.bool)


class Problem(NamedTuple):
    """Why a run gave no comparable answer. Two problems with the same key are the same."""

    key: tuple
    name: str
    text: str

    @property
    def says_all(self) -> bool:
        """Whether nothing is to be diagnosed beyond it."""
        return self.key[0] in ("time", "side effect")


class Outcome(NamedTuple):
    """One call: its answer's parts (a tensor is one part, a tuple has several), or a problem.

    An answer of a wrong shape or type, or with a side effect, has both.
    """

    parts: tuple[Tensor, ...] | None = None
    problem: Problem | None = None
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

    def run(self, arguments: tuple, like: Any, requires_grad: tuple = ()) -> tuple[Outcome, dict]:
        """Call the function on copies; return the outcome and the tensors it was given, by name.

        `like` is a right answer, for its kind and shape.
        """
        given = dict(zip(self.parameters, arguments))
        tensors = {
            name: a.detach().clone().requires_grad_(name in requires_grad)
            for name, a in given.items()
            if isinstance(a, Tensor)
        }
        positional = given | tensors
        named = {name: positional.pop(name) for name in self.keywords}
        before = _numpy_fingerprint() if self.watch else None
        value, problem = self.call(positional.values(), like, **named)
        if problem is not None and problem.key[0] in ("exception", "time"):
            return Outcome(problem=problem), tensors
        changed = [n for n, a in tensors.items() if not torch.equal(given[n], a.detach())]
        if changed:
            text = (
                f"Your function changes its argument `{changed[0]}` in place; it is still needed "
                "outside. Operations whose name ends in `_`, `+=` and index assignment do that."
            )
            problem = Problem(("side effect",), "in-place change", text)
        elif self.watch and _numpy_fingerprint() != before:
            text = "Your function uses NumPy's or Python's generator; nothing is random here."
            problem = Problem(("side effect",), "NumPy's generator", text)
        return Outcome(as_parts(value), problem), tensors

    def call(self, arguments: Iterable, like: Any = None, /, **named: Any) -> tuple:
        """Call the function and undo what it meddled with; return its value and a problem.

        `arguments` are handed over by position, `named` by name; the value is to be `like` this.
        """
        self.calls += 1
        page, limit = _Page(), guard.time_limit() if self.watch else nullcontext()
        try:
            with redirect_stdout(page), redirect_stderr(page), torch.enable_grad(), limit:
                value = self.answer(*arguments, **named)
        except BaseException as error:
            return None, _describe_error(error, self.answer)
        finally:
            if self.watch:
                guard.restore(self.kept)
            if self.calls == 1 and self.watch:
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
    elif isinstance(value, Tensor) and value.dtype not in FLOATS + WHOLE * _is_whole(like):
        text = f"Your answer has dtype {value.dtype}{wanted}"
    else:
        return None
    return Problem((text,), name, text)


def _is_whole(value: Any) -> bool:
    return not value.is_floating_point() if isinstance(value, Tensor) else isinstance(value, int)


def _is_boolean(value: Any) -> bool:
    return (value.dtype if isinstance(value, Tensor) else type(value)) in BOOLEAN


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
        text = f"Your function was still running after {guard.SECONDS:g} s{line}, and was stopped."
        return Problem(("time",), "no end", f"{text} Does every loop end?")
    text = f"Your function raises {kind}{line}: {about}"
    if isinstance(error, NotImplementedError):
        text = "Your function still raises NotImplementedError: take that line out."
    elif isinstance(error, SystemExit | KeyboardInterrupt | GeneratorExit):
        text = f"Your function ends the program{line} ({kind}); it should return its answer."
    return Problem(("exception", kind, about[:24]), "an exception", text)
