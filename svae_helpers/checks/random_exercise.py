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
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from .exercise import refuse_early
from .guard import laboratory
from .learner import Learner, Problem, Stop
from .mistakes import Mistake, explained
from .result import FAILED, PASSED, CheckResult, verdict
from .statistics import FAMILY, alike_p

SAME = 1e-7  # a mistake is lost by chance in fewer than this share of its features' comparisons


class Unlike(Exception):
    """A mistake that differs from the learner's answer: no need to measure the rest."""


@dataclass
class Findings:
    """What a probe saw; `against` is the learner's, while a mistake is measured."""

    tests: dict[str, tuple[float, str]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    looks: dict[str, Tensor] = field(default_factory=dict)
    problem: Problem | None = None
    changed: str | None = None
    uses_numpy: bool = False
    uses_torch: bool = False
    varies: bool | None = None
    finite: bool = True
    complete: bool = False
    against: Findings | None = None
    single: bool = False

    def test(self, name: str, p: float, text: str) -> None:
        """Note a p-value; `text` says what a small one means."""
        self.tests[name] = (p, text)

    def fault(self, name: str, text: str) -> None:
        """Note what is wrong beyond doubt, such as a gradient that is known exactly."""
        self.faults[name] = text

    def repeated(self, first: Tensor, second: Tensor) -> None:
        """Note whether two calls with the same arguments gave the same."""
        same = torch.allclose(first, second, rtol=1e-5, atol=1e-6, equal_nan=True)
        self.varies = bool(self.varies) or not same

    def look(self, name: str, numbers: Tensor | Sequence[float], between: bool = False) -> None:
        """Note what calls look like: one number a call, or one row of numbers a call.

        Args:
            between: they compare the calls, and say nothing about one draw that comes each time.
        """
        numbers = torch.as_tensor(numbers, dtype=torch.float64).detach()
        self.finite &= bool(numbers.isfinite().all())
        numbers = numbers.reshape(len(numbers), -1).nan_to_num(1e6, 1e6, -1e6).asinh()
        if between and self.single:
            return
        self.looks[name] = numbers
        if self.against is not None:
            other = self.against.looks.get(name)
            if other is None or alike(other, numbers, self.single) < SAME:
                raise Unlike

    @property
    def repeats(self) -> bool:
        return self.varies is False

    @property
    def failed(self) -> set[str]:
        """Names of the tests that a right answer does not fail."""
        level = FAMILY / max(len(self.tests), 1)
        return {name for name, (p, _) in self.tests.items() if not p >= level}

    @property
    def passed(self) -> bool:
        fine = self.finite and not self.repeats and not self.faults and self.problem is None
        return fine and not self.failed


def alike(a: Tensor, b: Tensor, single: bool = False) -> float:
    """Least p-value, over the columns, for rows of equal mean and scatter.

    Args:
        single: all rows of `a` are one and the same draw.
    """
    if a.shape[1] != b.shape[1]:
        return 0.0
    return alike_p(a[:1] if single else a, b)


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
        before = torch.get_rng_state()
        run, self.given = self.learner.run(arguments, self.kinds[key], tuple(gradients))
        self.findings.uses_torch |= not torch.equal(before, torch.get_rng_state())
        self.findings.uses_numpy |= run.uses_numpy
        self.findings.changed = self.findings.changed or run.changed
        if run.problem is not None:
            shapes = tuple(tuple(part.shape) for part in run.parts or ())
            key = (*run.problem.key, *shapes, self.learner.calls)  # in which call it came up
            raise Stop(Problem(key, run.problem.name, run.problem.text))
        self.findings.finite &= all(bool(part.isfinite().all()) for part in run.parts)
        answer = run.parts if isinstance(self.kinds[key], tuple) else run.parts[0]
        return (answer, self.given) if gradients else answer

    def times(self, calls: int, *arguments: Any) -> Tensor:
        """Call with the same arguments again and again: (calls, …), detached, in float64."""
        values = [self(*arguments).detach().double() for _ in range(calls)]
        self.findings.repeated(values[0], values[1])
        return torch.stack(values)


class RandomExercise:
    """Judges a random answer when called; made by `random_exercise`."""

    def __init__(self, right: Callable, number: str, probe: Callable):
        self.__name__, self.__module__ = right.__name__, right.__module__
        self.__doc__ = f"Check exercise {number}: {inspect.getdoc(right)}"
        self.parameters = tuple(inspect.signature(right).parameters)
        self.right = self.reference = right
        self.number, self.probe = number, probe
        self.known: tuple[Mistake, ...] = ()
        self._measured: dict[Callable, Findings] = {}

    def mistakes(self, *entries: tuple) -> None:
        """Register the known mistakes, the likeliest first."""
        self.known += explained(entries, self.number)

    def catalogue(self) -> list[tuple[Mistake, Callable]]:
        """Every mistake with each of its spellings."""
        return [(mistake, wrong) for mistake in self.known for wrong in mistake.variants]

    def __call__(self, answer: Callable) -> CheckResult:
        """Judge the learner's function; leave every global state as it was."""
        early = refuse_early(answer, self.number, self.__name__)
        if early is not None:
            return early
        with laboratory() as seed:
            return self._judge(self.examine(answer, seed))

    def examine(self, answer: Callable, seed: int, against: Findings | None = None) -> Findings:
        """Run the probe; end early, not `complete`, once something differs from `against`."""
        seen = Findings(against=against, single=against is not None and against.repeats)
        learner = Learner(answer, self.parameters, watch=against is None)
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
        n = self.number
        if seen.uses_numpy:
            text = (
                "The draws come from NumPy's (or Python's) generator, which `torch.manual_seed` "
                "does not reach and which knows nothing of the device: draw with torch."
            )
            return verdict(FAILED, n, text, "NumPy's generator")
        if seen.passed and not seen.changed:
            tests = f"{len(seen.tests)} statistical tests"
            return verdict(PASSED, n, f"`{self.__name__}` is right: {tests}.")
        found = self._diagnose(seen)
        if found is not None:
            text = f"{found.explanation}{self._what_was_seen(seen)}"
            return verdict(FAILED, n, text, found.name)
        if seen.changed:
            text = f"Your function changes its argument `{seen.changed}` in place."
            return verdict(FAILED, n, text, "in-place change")
        if seen.problem is not None:
            return verdict(FAILED, n, seen.problem.text, seen.problem.name)
        if not seen.finite:
            text = "There is a NaN or an infinity in your answer."
            return verdict(FAILED, n, f"{text}{self._what_was_seen(seen)}", "NaN")
        if seen.repeats:
            text = "Two calls give the same answer: nothing is drawn."
            return verdict(FAILED, n, f"{text}{self._what_was_seen(seen)}", "nothing is drawn")
        flow = any(name.startswith("gradients do not flow") for name in seen.faults)
        name = "gradients do not flow" if flow else None
        return verdict(FAILED, n, self._what_was_seen(seen).strip(), name)

    def _what_was_seen(self, seen: Findings) -> str:
        lines = []
        if seen.tests:
            p, text = min(seen.tests.values(), key=lambda test: test[0])
            if seen.failed:
                shown = f"below {FAMILY:.0e}" if p < FAMILY else f"{p:.0e}"
                lines.append(f"\nWhat was seen: {text} (in a right answer by chance: {shown}).")
        lines += [f"\n{text}" for text in seen.faults.values()]
        return "".join(lines)

    def _diagnose(self, seen: Findings) -> Mistake | None:
        best, likelihood = None, 0.0
        for mistake, wrong in self.catalogue():
            p = self._likeness(seen, wrong)
            if p > likelihood:
                best, likelihood = mistake, p
        for m in self.known if best is None else ():
            symptom = (
                m.extreme if callable(m.extreme) else lambda seen, m=m: seen.failed == {m.extreme}
            )
            if m.extreme and symptom(seen):
                return m
        if best is None and seen.repeats and self._likeness(seen, self.right, single=True) > 0:
            text = "Two calls give the same draw: a seed is set inside. The caller sets the seed."
            return Mistake("fixed seed", (self.right,), text)
        return best

    def _likeness(self, seen: Findings, wrong: Callable, single: bool = False) -> float:
        """P-value for looking the same; 0 where something differs.

        A mistake's seed is fixed and has nothing to do with a learner's, so what was measured once
        is kept, as far as the probe went.
        """
        known = None if single else self._measured.get(wrong)
        if known is None or not (known.complete or _differs(seen, known, single)):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(20)
                known = self.examine(wrong, 21, against=seen)
            if not single:
                self._measured[wrong] = known
        if not known.complete or known.uses_numpy or (known.repeats != seen.repeats and not single):
            return 0.0
        if (known.problem is None) != (seen.problem is None) or known.finite != seen.finite:
            return 0.0
        if known.problem is not None and known.problem.key != seen.problem.key:
            return 0.0
        if _differs(seen, known, single) or known.faults.keys() != seen.faults.keys():
            return 0.0
        shared = seen.looks.keys() & known.looks.keys()
        return min((alike(seen.looks[k], known.looks[k], single) for k in shared), default=1.0)


def _differs(seen: Findings, known: Findings, single: bool) -> bool:
    pairs = [(a, known.looks[k]) for k, a in seen.looks.items() if k in known.looks]
    return any(alike(a, b, single) < SAME for a, b in pairs)


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
    code = getattr(answer, "__code__", None)
    if not isinstance(code, CodeType):
        return False
    known = dict(getattr(answer, "__globals__", {}))
    cells = getattr(answer, "__closure__", None) or ()
    known.update((name, cell.cell_contents) for name, cell in zip(code.co_freevars, cells))
    names = set(code.co_names) | set(code.co_freevars)
    for name in names:
        thing = known.get(name)
        if isinstance(thing, np.random.Generator | np.random.RandomState | random.Random):
            return True
        if isinstance(thing, ModuleType) and thing.__name__.split(".")[0] in ("numpy", "random"):
            return True
    return bool(names & {"numpy", "default_rng"})
