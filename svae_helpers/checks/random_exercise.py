"""An exercise whose answer is random: judged by p-values, named by what single calls look like.

    @random_exercise("4.2", probe)
    def sample(shape, spike_prob, spike_var):
        \"\"\"Independent draws from the prior.\"\"\"
        return ...  # a right answer, drawn with torch

    sample.mistakes(("sign lost", lambda s, p, v: sample.right(s, p, v).abs(), "what to say"))

`probe(call, seen, generator)` calls the learner's function many times through `call(*arguments)`
and notes what it saw: `seen.test(name, p, text)` gives a p-value (is it right?), `seen.fault(name,
text)` what needs no statistics, and `seen.look(name, numbers)` one number for each of several
calls (what does it look like?). A refused answer gets the name of the mistake that looks the same:
whose numbers, from the same probe, differ from the answer's by no more than both scatter by
themselves (a t-test; nothing is set by hand). Nothing looks the same: what was seen.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from .exercise import refuse_early
from .guard import laboratory
from .learner import Learner, Problem, Stop
from .mistakes import Check, Mistake
from .result import FAILED, PASSED, CheckResult, verdict
from .statistics import FAMILY, alike_p

SAME = 1e-7  # a mistake is lost by chance in fewer than this share of its features' comparisons
BY_NUMPY = (
    "The draws come from NumPy's (or Python's) generator, which `torch.manual_seed` "
    "does not reach and which knows nothing of the device: draw with torch."
)


class Unlike(Exception):
    """A mistake that differs from the learner's answer: no need to measure the rest."""


@dataclass
class Findings:
    """What a probe saw; `against` is the learner's, while a mistake is measured."""

    against: Findings | None = None
    tests: dict[str, tuple[float, str]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    looks: dict[str, Tensor] = field(default_factory=dict)
    between: set[str] = field(default_factory=set)
    problem: Problem | None = None
    changed: str | None = None
    uses_numpy: bool = False
    uses_torch: bool = False
    repeats: bool | None = None
    finite: bool = True
    complete: bool = False

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

        Args:
            between: they compare the calls, and say nothing about one draw that comes each time.
        """
        numbers = torch.as_tensor(numbers, dtype=torch.float64).detach()
        self.finite &= bool(numbers.isfinite().all())
        self.looks[name] = numbers.reshape(len(numbers), -1).nan_to_num(1e6, 1e6, -1e6).asinh()
        self.between |= {name} if between else set()
        if self.against is not None and self.against.alike(name, self) < SAME:
            raise Unlike

    def alike(self, name: str, other: Findings) -> float:
        """P-value for looking the same in one respect; one draw that comes each time is one row."""
        mine, theirs = self.looks.get(name), other.looks[name]
        if self.repeats and name in other.between:
            return 1.0
        if mine is None or mine.shape[1] != theirs.shape[1]:
            return 0.0
        return alike_p(mine[:1] if self.repeats else mine, theirs)

    def nearness(self, other: Findings) -> float:
        """P-value for looking the same in all that both have been looked at for."""
        shared = self.looks.keys() & other.looks.keys()
        return min((self.alike(name, other) for name in shared), default=1.0)

    def likeness(self, other: Findings) -> float:
        """The same; 0 where anything else differs, or the other was not seen to the end."""
        kinds = [(f.problem and f.problem.key, f.finite, f.faults.keys()) for f in (self, other)]
        return self.nearness(other) if other.complete and kinds[0] == kinds[1] else 0.0

    @property
    def failed(self) -> set[str]:
        """Names of the tests that a right answer does not fail."""
        level = FAMILY / max(len(self.tests), 1)
        return {name for name, (p, _) in self.tests.items() if not p >= level}

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        slips = self.repeats or self.faults or self.problem or self.changed or self.failed
        return self.finite and not slips

    def words(self) -> str:
        """The least likely p-value and the faults, a line each."""
        lines = []
        if self.failed:
            p, text = min(self.tests.values(), key=lambda test: test[0])
            shown = f"below {FAMILY:.0e}" if p < FAMILY else f"{p:.0e}"
            lines.append(f"What was seen: {text} (in a right answer by chance: {shown}).")
        return "".join(f"\n{line}" for line in (*lines, *self.faults.values()))


class Caller:
    """Calls the learner's function for a probe and keeps account of its side effects."""

    def __init__(self, learner: Learner, findings: Findings, right: Callable):
        self.learner, self.findings, self.right = learner, findings, right
        self.kinds: dict[Any, Any] = {}
        self.given: dict[str, Tensor] = {}

    def __call__(self, *arguments: Any, gradients: Sequence[str] = ()) -> Any:
        """Return the answer; with `gradients`, also the tensors it was given, by name.

        `given` keeps those of the last call. Ends the probe where there is no comparable answer.
        """
        key = tuple(a.shape if isinstance(a, Tensor) else repr(a) for a in arguments)
        if key not in self.kinds:  # of a right answer, which may be slow
            with torch.random.fork_rng(devices=[]):
                self.kinds[key] = self.right(*arguments)
        before, seen = torch.get_rng_state(), self.findings
        found, self.given = self.learner.run(arguments, self.kinds[key], tuple(gradients))
        seen.uses_torch |= not torch.equal(before, torch.get_rng_state())
        seen.uses_numpy |= found.uses_numpy
        seen.changed = seen.changed or found.changed
        if found.problem is not None:
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

    def __call__(self, answer: Callable) -> CheckResult:
        """Judge the learner's function; leave every global state as it was."""
        early = refuse_early(self, answer)
        if early is not None:
            return early
        with laboratory() as seed:
            return self._judge(self.examine(answer, seed))

    def examine(self, answer: Callable, seed: int, against: Findings | None = None) -> Findings:
        """Run the probe; end early, not `complete`, once something differs from `against`."""
        seen, learner = Findings(against), Learner(answer, self.parameters, watch=against is None)
        try:
            self.probe(Caller(learner, seen, self.right), seen, Generator().manual_seed(seed))
            seen.complete = True
        except Stop as stop:
            seen.problem, seen.complete = stop.problem, True
        except Unlike:
            return seen
        seen.uses_numpy |= not seen.uses_torch and _reaches_numpy(answer)
        return seen

    def _judge(self, seen: Findings) -> CheckResult:
        n, words = self.number, seen.words()
        if seen.uses_numpy:
            text, name = BY_NUMPY, "NumPy's generator"
        elif seen.passed:
            tests = f"{len(seen.tests)} statistical tests"
            return verdict(PASSED, n, f"`{self.__name__}` is right: {tests}.")
        elif (found := self._diagnose(seen)) is not None:
            text, name = f"{found.explanation}{words}", found.name
        elif seen.changed:
            text = f"Your function changes its argument `{seen.changed}` in place."
            name = "in-place change"
        elif seen.problem is not None:
            text, name = seen.problem.text, seen.problem.name
        elif not seen.finite:
            text, name = f"There is a NaN or an infinity in your answer.{words}", "NaN"
        elif seen.repeats:
            text = f"Two calls give the same answer: nothing is drawn.{words}"
            name = "nothing is drawn"
        else:
            flow = any(fault.startswith("gradients do not flow") for fault in seen.faults)
            text, name = words.strip(), "gradients do not flow" if flow else None
        return verdict(FAILED, n, text, name)

    def _diagnose(self, seen: Findings) -> Mistake | None:
        best, likeness = None, SAME
        for mistake, wrong in self.catalogue():
            known = self._measure(wrong, seen)
            p = seen.likeness(known) if bool(known.repeats) == bool(seen.repeats) else 0.0
            if p > likeness:
                best, likeness = mistake, p
        if best is not None:
            return best
        for m in self.known:
            if m.extreme(seen) if callable(m.extreme) else seen.failed == {m.extreme}:
                return m
        if seen.repeats and seen.likeness(self._measure(self.right, seen)) > SAME:
            text = "Two calls give the same draw: a seed is set inside. The caller sets the seed."
            return Mistake("fixed seed", (self.right,), text)
        return None

    def _measure(self, wrong: Callable, seen: Findings) -> Findings:
        """What the probe sees of a mistake, at least until it differs from what was seen.

        The mistake's seed has nothing to do with the learner's, so it is measured once.
        """
        known = self._measured.get(wrong)
        if known is None or not (known.complete or seen.nearness(known) < SAME):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(20)
                known = self._measured[wrong] = self.examine(wrong, 21, against=seen)
        return known


def random_exercise(
    number: str, probe: Callable[[Caller, Findings, Generator], None]
) -> Callable[[Callable], RandomExercise]:
    """Decorate a right answer of an exercise whose answer is random; it becomes its check.

    Args:
        number: as the notebook shows it, such as "4.2".
        probe: examines an answer, as described above.
    """
    return lambda right: RandomExercise(right, number, probe)


def _reaches_numpy(answer: Callable) -> bool:
    """Whether a function's names lead to NumPy's or Python's generators."""
    try:
        names = inspect.getclosurevars(answer)
    except (TypeError, ValueError):
        return False
    for thing in (*names.globals.values(), *names.nonlocals.values()):
        module = isinstance(thing, ModuleType) and thing.__name__.split(".")[0]
        generator = isinstance(thing, np.random.Generator | np.random.RandomState | random.Random)
        if generator or module in ("numpy", "random"):
            return True
    return bool({"numpy", "default_rng"} & {*answer.__code__.co_names})
