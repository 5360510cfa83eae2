"""An exercise whose answer is random: judged by p-values, named by what single calls look like.

`@random_exercise("4.2", probe)` decorates a right answer, which draws with torch, and makes it the
check. `probe(call, seen, generator)` calls the learner's function many times by `call(*arguments)`
and notes p-values by `seen.test` (is it right?), what needs no statistics by `seen.fault`, and one
number for each of several calls by `seen.look` (what does it look like?). A refused answer gets
the name of the mistake that looks the same: whose numbers, from the same probe, differ from the
answer's by no more than both scatter by themselves (a t-test; nothing is set by hand).
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from .learner import Learner, Problem, Stop
from .mistakes import Mistake
from .result import FAILED, PASSED, Check, CheckResult, verdict
from .statistics import FAMILY, alike_p

UNLIKE = Problem(("unlike",), "", "a mistake differs, and the rest need not be measured")
SAME = 1e-7  # a mistake is lost by chance in fewer than this share of its features' comparisons
BY_NUMPY = (
    "The draws come from NumPy's (or Python's) generator, which `torch.manual_seed` "
    "does not reach and which knows nothing of the device: draw with torch."
)


@dataclass
class Findings:
    """What a probe saw; `against` is the learner's, while a mistake is measured."""

    against: Findings | None = None
    tests: dict[str, tuple[float, str]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    looks: dict[str, Tensor] = field(default_factory=dict)
    between: set[str] = field(default_factory=set)
    kinds: dict[tuple, Any] = field(default_factory=dict)
    problem: Problem | None = None
    uses_numpy: bool = False
    uses_torch: bool = False
    repeats: bool | None = None
    finite: bool = True

    def test(self, name: str, p: float, text: str) -> None:
        """Note a p-value; `text` says what a small one means."""
        self.tests[name] = (p, text)

    def fault(self, name: str, text: str) -> None:
        """Note what is wrong beyond doubt, such as a gradient that is known exactly."""
        self.faults[name] = text

    def repeated(self, first: Tensor, second: Tensor) -> None:
        """Note whether two calls with the same arguments gave the same."""
        same = torch.allclose(first, second, rtol=1e-5, atol=1e-6, equal_nan=True)
        self.repeats = same and self.repeats is not False

    def look(self, name: str, numbers: Tensor | Sequence[float], between: bool = False) -> None:
        """Note what calls look like: one number a call, or one row of numbers a call.

        Numbers `between` calls compare them; they say nothing of one draw that comes each time.
        """
        numbers = torch.as_tensor(numbers, dtype=torch.float64).detach()
        self.finite &= bool(numbers.isfinite().all())
        self.looks[name] = numbers.reshape(len(numbers), -1).nan_to_num(1e6, 1e6, -1e6).asinh()
        self.between |= {name} if between else set()
        if self.against is not None and self.against.alike(name, self) < SAME:
            raise Stop(UNLIKE)

    def alike(self, name: str, other: Findings) -> float:
        """P-value for looking the same in one respect; one draw that comes each time is one row."""
        mine, theirs = self.looks.get(name), other.looks[name]
        if self.repeats and name in other.between:
            return 1.0
        if mine is None or mine.shape[1] != theirs.shape[1]:
            return 0.0
        return alike_p(mine[:1] if self.repeats else mine, theirs)

    def nearness(self, other: Findings) -> float:
        """P-value for looking the same in all that was looked at in both."""
        return min((self.alike(k, other) for k in self.looks if k in other.looks), default=1.0)

    @property
    def kind(self) -> tuple:
        """All in which two answers have to be the same before numbers are compared."""
        key = self.problem and self.problem.key
        return key, self.faults.keys(), self.finite, bool(self.repeats)

    @property
    def failed(self) -> set[str]:
        """Names of the tests that a right answer does not fail."""
        level = FAMILY / max(len(self.tests), 1)
        return {name for name, (p, _) in self.tests.items() if not p >= level}

    def words(self) -> str:
        """The least likely p-value, if calls are independent, and the faults, a line each."""
        told = ""
        if self.failed and not self.repeats:
            p, text = min(self.tests.values(), key=lambda test: test[0])
            shown = f"below {FAMILY:.0e}" if p < FAMILY else f"{p:.0e}"
            told = f"\nWhat was seen: {text} (in a right answer by chance: {shown})."
        return told + "".join(f"\n{text}" for text in self.faults.values())


class Caller:
    """Calls the learner's function for a probe and keeps account of its side effects."""

    def __init__(self, learner: Learner, findings: Findings, right: Callable):
        self.learner, self.findings, self.right = learner, findings, right
        self.kinds = (findings.against or findings).kinds  # right answers, which may be slow
        self.given: dict[str, Tensor] = {}

    def __call__(self, *arguments: Any, gradients: Sequence[str] = ()) -> Any:
        """Return the answer; with `gradients`, also the tensors it was given, by name.

        `given` keeps those of the last call. Ends the probe where there is no comparable answer.
        """
        plain = [a for a in arguments if not callable(a)]  # of which kind an answer is, these say
        key = tuple(a.shape if isinstance(a, Tensor) else repr(a) for a in plain)
        if key not in self.kinds:
            with torch.random.fork_rng(devices=[]):
                self.kinds[key] = self.right(*arguments)
        before, seen = torch.get_rng_state(), self.findings
        found, self.given = self.learner.run(arguments, self.kinds[key], tuple(gradients))
        seen.uses_torch |= not torch.equal(before, torch.get_rng_state())
        if found.problem is not None:
            seen.uses_numpy |= found.problem.name == "NumPy's generator"
            shapes = tuple(part.shape for part in found.parts or ())
            came_up = (*found.problem.key, *shapes, self.learner.calls)  # and in which call
            raise Stop(found.problem._replace(key=came_up))
        seen.finite &= all(bool(part.isfinite().all()) for part in found.parts)
        answer = found.parts if isinstance(self.kinds[key], tuple) else found.parts[0]
        return (answer, self.given) if gradients else answer

    def times(self, calls: int, *arguments: Any) -> Tensor:
        """Call with the same arguments again and again: (calls, …), detached, in float64."""
        values = [self(*arguments).detach().double() for _ in range(calls)]
        self.findings.repeated(values[0], values[1])
        return torch.stack(values)


class RandomExercise(Check):
    """Judges a random answer when called; made by `random_exercise`."""

    def __init__(self, right: Callable, number: str, probe: Callable):
        super().__init__(right, number)
        self.right = self.reference = right
        self.probe = probe
        self._measured: dict[Callable, Findings] = {}

    def examine(self, answer: Callable, seed: int, against: Findings | None = None) -> Findings:
        """Run the probe; end once something differs from what it is measured `against`."""
        seen, learner = Findings(against), Learner(answer, self.parameters, watch=against is None)
        try:
            self.probe(Caller(learner, seen, self.right), seen, Generator().manual_seed(seed))
        except Stop as stop:
            seen.problem = stop.problem
        seen.uses_numpy |= not seen.uses_torch and _reaches_numpy(answer)
        return seen

    def judge(self, answer: Callable, seed: int) -> CheckResult:
        """Say that it is right, or which mistake it makes, or else what was seen."""
        seen = self.examine(answer, seed)
        words, name = seen.words(), None
        slips = seen.problem or seen.repeats or seen.faults or seen.failed
        if seen.uses_numpy:
            text, name = BY_NUMPY, "NumPy's generator"
        elif seen.finite and not slips:
            text = f"`{self.__name__}` is right: {len(seen.tests)} statistical tests."
            return verdict(PASSED, self.number, text)
        elif (found := self._diagnose(seen)) is not None:
            text, name = f"{found.explanation}{words}", found.name
        elif seen.problem is not None:
            text, name = seen.problem.text, seen.problem.name
        elif not seen.finite:
            text, name = f"There is a NaN or an infinity in your answer.{words}", "NaN"
        elif seen.repeats:
            text = f"Two calls give the same answer: nothing is drawn.{words}"
            name = "nothing is drawn"
        else:
            text = words.strip()
            if any(fault.startswith("gradients do not flow") for fault in seen.faults):
                name = "gradients do not flow"
        return verdict(FAILED, self.number, text, name)

    def _diagnose(self, seen: Findings) -> Mistake | None:
        measured = ((m, self._measure(wrong, seen)) for m, wrong in self.catalogue())
        near = [(seen.nearness(known), m) for m, known in measured if known.kind == seen.kind]
        p, best = max(near, key=lambda entry: entry[0], default=(0.0, None))
        if p > SAME:
            return best
        for m in self.known:
            if m.extreme(seen) if callable(m.extreme) else seen.failed == {m.extreme}:
                return m
        known = self._measure(self.right, seen) if seen.repeats else None
        if known and known.kind[:-1] == seen.kind[:-1] and seen.nearness(known) > SAME:
            text = "Two calls give the same draw: a seed is set inside. The caller sets the seed."
            return Mistake("fixed seed", (self.right,), text)
        return None

    def _measure(self, wrong: Callable, seen: Findings) -> Findings:
        """What the probe sees of a mistake, at least until it differs from what was seen.

        The mistake's seed has nothing to do with the learner's, so it is measured once.
        """
        known = self._measured.get(wrong)
        if known is None or (known.problem is UNLIKE and seen.nearness(known) >= SAME):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(20)
                known = self._measured[wrong] = self.examine(wrong, 21, against=seen)
        return known


def random_exercise(
    number: str, probe: Callable[[Caller, Findings, Generator], None]
) -> Callable[[Callable], RandomExercise]:
    """Decorate a right answer of an exercise that draws; it becomes the check of that number."""
    return lambda right: RandomExercise(right, number, probe)


def _reaches_numpy(answer: Callable) -> bool:
    """Whether a function's names lead to NumPy's or Python's generators."""
    try:
        names = inspect.getclosurevars(answer)
    except (TypeError, ValueError):
        return False
    things = [*names.globals.values(), *names.nonlocals.values()]
    kinds = (np.random.Generator, np.random.RandomState, random.Random)
    return bool({"numpy", "default_rng"} & {*answer.__code__.co_names}) or any(
        isinstance(a, kinds) or any(a is module for module in (np, np.random, random))
        for a in things
    )
