"""Run a learner's function: safely, on copies, with everything that can go wrong given a name."""

from __future__ import annotations

import contextlib
import inspect
import io
import random
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Problem:
    """A run that gave no comparable answer. Two problems with the same key are the same."""

    key: tuple
    name: str
    text: str


@dataclass(frozen=True)
class Run:
    """One call: its answer, or the problem that stood in its way (a wrong shape has both)."""

    value: Tensor | None = None
    problem: Problem | None = None
    changed: str | None = None
    uses_numpy: bool = False


@contextlib.contextmanager
def laboratory() -> Iterator[int]:
    """Yield a seed; give back every global generator, the gradient mode and the warnings."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    default_dtype = torch.get_default_dtype()
    try:
        with (
            torch.random.fork_rng(devices=[]),
            torch.inference_mode(False),
            torch.enable_grad(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            seed = int(torch.randint(2**62, ()))
            torch.manual_seed(seed + 1)
            yield seed
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        torch.set_default_dtype(default_dtype)


class Learner:
    """A learner's function behind one door: `run(arguments, shape)` never raises.

    Arguments are copied before each call, so that a change in place is seen and does no harm.
    What the function prints is shown on its first call only.
    """

    def __init__(self, answer: Callable, parameters: tuple[str, ...], watch: bool = True):
        self.answer = answer
        self.parameters = parameters
        self.watch = watch  # for NumPy's generator
        self.calls = 0
        self.keywords = _keyword_only(answer, parameters)

    def run(
        self,
        arguments: tuple,
        shape: tuple[int, ...],
        requires_grad: tuple[str, ...] = (),
        integers: bool = False,
    ) -> tuple[Run, dict[str, Tensor]]:
        """Call the function; return the run and the tensors it was given, by name."""
        given = {
            name: a.detach().clone().requires_grad_(name in requires_grad)
            if isinstance(a, Tensor)
            else a
            for name, a in zip(self.parameters, arguments)
        }
        tensors = {name: a for name, a in given.items() if isinstance(a, Tensor)}
        self.calls += 1
        watch = self.watch and self.calls <= 8  # reading NumPy's state takes its time
        before = _numpy_fingerprint() if watch else None
        quiet = contextlib.nullcontext() if self.calls == 1 else _silence()
        try:
            with quiet, torch.enable_grad():
                value = self.answer(
                    *(a for name, a in given.items() if name not in self.keywords),
                    **{name: a for name, a in given.items() if name in self.keywords},
                )
        except Exception as error:
            problem = Problem(
                ("exception", type(error).__name__, str(error)[:24]),
                "an exception",
                _describe_error(error, self.answer),
            )
            return Run(problem=problem), tensors
        uses_numpy = watch and _numpy_fingerprint() != before
        changed = next(
            (
                name
                for name, a in zip(self.parameters, arguments)
                if isinstance(a, Tensor) and not _same(a, given[name])
            ),
            None,
        )
        problem = _judge_type(value, shape, integers)
        kept = value if problem is None or problem.key == ("shape",) else None
        return Run(kept, problem, changed, uses_numpy), tensors


def _keyword_only(answer: Callable, parameters: tuple[str, ...]) -> set[str]:
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):
        return set()
    kinds = {name: p.kind for name, p in signature.parameters.items()}
    return {n for n in parameters if kinds.get(n) is inspect.Parameter.KEYWORD_ONLY}


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _numpy_fingerprint() -> tuple:
    state = np.random.get_state()
    return (state[2], state[3], state[1][:4].tobytes(), random.getstate()[1][-3:])


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and bool(torch.equal(a, b.detach()))


def _judge_type(value: Any, shape: tuple[int, ...], integers: bool) -> Problem | None:
    wanted = f"a tensor of shape {tuple(shape)}" if shape else "a tensor with a single number in it"
    if value is None:
        text = f"Your function returns nothing. Is its `return` missing? Wanted: {wanted}."
        return Problem(("none",), "missing return", text)
    if isinstance(value, (np.ndarray, np.generic)):
        text = (
            "Your function returns a NumPy array. NumPy keeps no gradients; stay in torch. "
            f"Wanted: {wanted}."
        )
        return Problem(("type", "ndarray"), "wrong type", text)
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        hint = " `.item()` and `float` cut the gradient." if isinstance(value, float) else ""
        text = f"Your function returns a {kind}, wanted {wanted}.{hint}"
        return Problem(("type", kind), "wrong type", text)
    allowed = (torch.float32, torch.float64) + ((torch.int64, torch.int32) if integers else ())
    if tuple(value.shape) != tuple(shape):
        text = f"Your answer has shape {tuple(value.shape)}, wanted {tuple(shape)}."
        return Problem(("shape",), "wrong shape", text)
    if value.dtype not in allowed:
        text = f"Your answer has dtype {value.dtype}, wanted float32."
        return Problem(("dtype", str(value.dtype)), "wrong type", text)
    return None


def _describe_error(error: Exception, answer: Callable) -> str:
    name = getattr(getattr(answer, "__code__", None), "co_name", None)
    line = next(
        (
            f" in the line `{frame.line.strip()}`"
            for frame in reversed(traceback.extract_tb(error.__traceback__))
            if frame.name == name and frame.line
        ),
        "",
    )
    if isinstance(error, NotImplementedError):
        return "Your function still raises NotImplementedError: take that line out."
    text = str(error).strip().splitlines()
    return f"Your function raises {type(error).__name__}{line}: {text[0][:200] if text else ''}"
