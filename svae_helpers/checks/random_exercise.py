"""An exercise whose answer is random: judged by p-values, named by what it does with known noise.

`@random_exercise("4.2", probe)` decorates a right answer, which draws with torch, and makes it the
check. `probe(call, seen, generator)` calls the learner's function many times by `call(*arguments)`
and notes p-values by `seen.test` and what needs no statistics by `seen.fault`. A refused answer is
diagnosed as an exact one is, on what it was called with: from the seed that the right answer and
every mistake start from too, then with noise that is known beforehand.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from .exercise import Case, Evidence, Exercise, no_derivative
from .known_noise import KnownNoise
from .learner import Learner, Problem, Stop
from .mistakes import PLAIN, Mistake, Reduction
from .one_change import Change, one_change
from .result import FAILED, PASSED, CheckResult, verdict
from .statistics import FAMILY
from .terms import pairs, wrong_factors

SEED, FEW = 20, 5  # draws of a kind in one call: more are those of a loop
BY_NUMPY = (
    "The draws come from NumPy's (or Python's) generator, which `torch.manual_seed` "
    "does not reach and which knows nothing of the device: draw with torch."
)
SEEDED = "Two calls give the same draw: a seed is set inside. The caller sets the seed."


def _by_seed(*_: object) -> contextlib.nullcontext:
    return contextlib.nullcontext()


class Way(NamedTuple):
    """A way to make draws comparable: noise, for the learner mirrored or not; is it for loops?"""

    noise: Callable
    mirrored: bool = False
    loops: tuple[bool, ...] = (True, False)


IMAGES_FIRST = functools.partial(KnownNoise, images_first=True)
FROM_START = functools.partial(KnownNoise, from_start=True)
WAYS = (
    *(Way(_by_seed), Way(KnownNoise), Way(KnownNoise, True), Way(IMAGES_FIRST, loops=(True,))),
    *(Way(FROM_START, mirrored, loops=(False,)) for mirrored in (False, True)),
)


@dataclass
class Findings:
    """What a probe saw."""

    tests: dict[str, tuple[float, str]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    problem: Problem | None = None
    uses_numpy: bool = False
    uses_torch: bool = False
    reseeds: bool = False
    repeats: bool | None = None
    finite: bool = True

    def test(self, name: str, p: float, text: str) -> None:
        """Note a p-value; `text` says what a small one means."""
        self.tests[name] = (p, text)

    def fault(self, name: str, text: str) -> None:
        """Note what is wrong beyond doubt; the name may be a known mistake's."""
        self.faults[name] = text

    def repeated(self, first: Tensor, second: Tensor) -> None:
        """Note whether two calls with the same arguments gave the same."""
        same = torch.allclose(first, second, rtol=1e-5, atol=1e-6, equal_nan=True)
        self.repeats = same and self.repeats is not False

    @property
    def failed(self) -> set[str]:
        """Names of the tests that a right answer does not fail."""
        level = FAMILY / max(len(self.tests), 1)
        return {name for name, (p, _) in self.tests.items() if not p >= level}

    @property
    def right(self) -> bool:
        """Whether nothing speaks against the answer."""
        slips = self.problem or self.repeats or self.faults or self.failed or self.uses_numpy
        return self.finite and not slips

    def words(self) -> str:
        """The least likely p-value, if calls are independent, and the faults, a line each."""
        told = ""
        if self.failed and not self.repeats:
            p, text = min(self.tests.values(), key=lambda test: test[0])
            shown = f"below {FAMILY:.0e}" if p < FAMILY else f"{p:.0e}"
            told = f"\nWhat was seen: {text} (in a right answer by chance: {shown})."
        return told + "".join(f"\n{text}" for text in self.faults.values())


class Caller:
    """Calls the learner's function for a probe and keeps account of its side effects.

    A probe sets `extreme` to what is far out in the calls that follow, such as "log_var"; None
    keeps them out of the diagnosis, where students may well differ.
    """

    def __init__(self, learner: Learner, findings: Findings, right: Callable):
        self.learner, self.findings, self.right = learner, findings, right
        self.kinds: dict[str, Any] = {}  # right answers, which may be slow
        self.given: dict[str, Tensor] = {}
        self.extreme: str | None = ""
        self.after = torch.empty(0)  # where the last call left torch's generator

    def __call__(self, *arguments: Any, gradients: Sequence[str] = ()) -> Any:
        """Return the answer; with `gradients`, also the tensors it was given, by name.

        `given` keeps those of the last call. Ends the probe where there is no comparable answer.
        """
        key = _plain(arguments)  # of which kind an answer is, these say
        if key not in self.kinds:
            with torch.random.fork_rng(devices=[]):
                self.kinds[key] = self.right(*arguments)
        before, seen = torch.get_rng_state(), self.findings
        case = Case(arguments, self.extreme, requires_grad=tuple(gradients))
        if self.extreme is not None and not any(_same(case, known) for known in seen.cases):
            seen.cases.append(case)
        found, self.given = self.learner.run(arguments, self.kinds[key], tuple(gradients))
        after = torch.get_rng_state()
        seen.uses_torch |= not torch.equal(before, after)
        seen.reseeds |= seen.uses_torch and torch.equal(after, self.after)
        self.after = after
        if found.problem is not None:
            seen.uses_numpy |= found.problem.name == "NumPy's generator"
            raise Stop(found.problem)
        seen.finite &= all(bool(part.isfinite().all()) for part in found.parts)
        answer = found.parts if isinstance(self.kinds[key], tuple) else found.parts[0]
        return (answer, self.given) if gradients else answer

    def times(self, calls: int, *arguments: Any) -> Tensor:
        """Call with the same arguments again and again: (calls, …), detached, in float64."""
        values = [self(*arguments).detach().double() for _ in range(calls)]
        self.findings.repeated(values[0], values[1])
        return torch.stack(values)


class RandomExercise(Exercise):
    """Judges a random answer when called; made by `random_exercise`."""

    draws = True

    def __init__(self, right: Callable, number: str, probe: Callable, *settings: Any):
        self._noise: Callable | None = None
        super().__init__(right, number, None, *settings)
        self.probe, self._formula = probe, self._repeatable(right)

    def mistakes(self, *entries: Mistake | tuple) -> None:
        """Register the known mistakes, the likeliest first."""
        super().mistakes(*entries)
        self.known = tuple(
            replace(m, variants=tuple(map(self._repeatable, m.variants))) for m in self.known
        )

    def _repeatable(self, function: Callable, mirrored: bool = False) -> Callable:
        """A function that draws the same each time, while an answer is diagnosed."""

        @functools.wraps(function)
        def run(*arguments: Any, **named: Any) -> Any:
            if (noise := self._noise) is None:
                return function(*arguments, **named)
            torch.default_generator.manual_seed(SEED)
            start = zlib.crc32(_plain(arguments).encode()) % 1009  # no call is like another
            with self._diagnosed_by(None), noise(start, mirrored):
                return function(*arguments, **named)

        return run

    @contextlib.contextmanager
    def _diagnosed_by(self, noise: Callable | None) -> Iterator[None]:
        before, self._noise = self._noise, noise
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # what was printed once is enough
                yield
        finally:
            self._noise = before

    def reference(self, *given: Any) -> Any:
        """The right answer, from torch's generator."""
        return self.reduction.right(self.right(*given))

    def draw_cases(self, seed: int) -> list[Case]:
        """What the probe calls a right answer with."""
        return self.probed(self.reference, seed).cases

    def probed(self, answer: Callable, seed: int) -> Findings:
        """Run the probe."""
        seen = Findings()
        caller = Caller(Learner(answer, self.parameters), seen, self.reference)
        try:
            self.probe(caller, seen, Generator().manual_seed(seed))
        except Stop as stop:
            seen.problem = stop.problem
        except RuntimeError as error:  # from the answer's graph, such as that of `//`
            seen.problem = no_derivative(error)
        seen.uses_numpy |= not seen.uses_torch and _reaches_numpy(answer)
        return seen

    def judge(self, answer: Callable, seed: int) -> CheckResult:
        """Say that it is right, or which mistake it makes, or else what was seen."""
        seen, n = self.probed(answer, seed), self.number
        if seen.right:
            text = f"`{self.__name__}` is right: {len(seen.tests)} statistical tests."
            return verdict(PASSED, n, text)
        words, problem = seen.words(), seen.problem
        if seen.uses_numpy:
            return verdict(FAILED, n, BY_NUMPY, "NumPy's generator")
        found = None if problem and problem.says_all else self._named(answer, seen)
        if isinstance(found, Mistake):
            return verdict(FAILED, n, f"{found.explanation}{words}", found.name)
        if problem is not None:
            name, text = problem.name, problem.text
        elif not seen.finite:
            name, text = "NaN", f"There is a NaN or an infinity in your answer.{words}"
        elif seen.repeats:
            name = "nothing is drawn"
            text = f"Two calls give the same answer: nothing is drawn.{words}"
        else:
            cut = any(fault.startswith("gradients do not flow") for fault in seen.faults)
            name, text = "gradients do not flow" if cut else None, words.strip()
        if found is not None:
            return verdict(FAILED, n, *found.told(f"\n{text}", name, ""))
        return verdict(FAILED, n, text, name)

    def _named(self, answer: Callable, seen: Findings) -> Mistake | Change | None:
        """What an answer does with the noise that the right one and every mistake have."""
        cases = self.draw_cases(SEED) if seen.problem else seen.cases
        evidence, ways, loop, uniform = {}, [], False, False
        for way in WAYS:
            if loop not in way.loops or (way.mirrored and not uniform):
                continue
            KnownNoise.most_draws.clear()  # known mistakes draw, too
            with self._diagnosed_by(way.noise):
                e = evidence[way] = self.examine(self._repeatable(answer, way.mirrored), cases)
                draws = KnownNoise.most_draws
                loop, uniform = max(draws.values(), default=0) > FEW, draws["uniform"] > 0
                if all(e.right):
                    continue
                found = self.single(e, loosely=False) or self.several(e, (wrong_factors,))
            if found is not None:
                return found
            if e.values_right(self):  # another noise shows no more of a wrong gradient
                ways = [way]
                break
        if seen.repeats and (seen.reseeds or any(all(e.right) for e in evidence.values())):
            return Mistake("fixed seed", (self.right,), SEEDED)
        for mistake in self.known:
            if mistake.name in seen.faults and seen.finite:
                return mistake
        searched = (KnownNoise, IMAGES_FIRST) if loop else (FROM_START,)
        wrong = [way for way, e in evidence.items() if e.steady and not all(e.right)]
        add = not ways  # where values are right, nothing is missing
        ways = ways or [way for way in wrong if way.noise in searched]
        for way in ways * add:
            with self._diagnosed_by(way.noise):
                if (found := self.several(evidence[way], (pairs,))) is not None:
                    return found
        for way, e in evidence.items():
            with self._diagnosed_by(way.noise):
                if not all(e.right) and (found := self.single(e)) is not None:
                    return found

        def passes(changed: Callable) -> bool:
            return any(self._passes(changed, way, evidence[way]) for way in ways)

        return one_change(answer, passes, add) if ways else None

    def _passes(self, changed: Callable, way: Way, evidence: Evidence) -> bool:
        with self._diagnosed_by(way.noise):
            likely = self.gives_right(self._repeatable(changed, way.mirrored), evidence)
        return likely and self.probed(changed, SEED).right


def random_exercise(
    number: str,
    probe: Callable[[Caller, Findings, Generator], None],
    gradients: Sequence[str] = (),
    reduction: Reduction = PLAIN,
    tolerance: float = 1e-4,
    unit: str = "nats",
) -> Callable[[Callable], RandomExercise]:
    """Decorate a right answer of an exercise that draws; it becomes the check of that number.

    Mistakes are compared in the `gradients` of these tensors too; for the rest see `exercise`.
    """
    settings = (probe, tuple(gradients), reduction, tolerance, unit)
    return lambda right: RandomExercise(right, number, *settings)


def _plain(arguments: tuple) -> str:
    """The numbers and shapes among the arguments."""
    return repr([a.shape if isinstance(a, Tensor) else a for a in arguments if not callable(a)])


def _same(one: Case, other: Case) -> bool:
    pairs = zip(one.arguments, other.arguments)
    alike = all(a is b if isinstance(a, Tensor) else a == b for a, b in pairs)
    return alike and one.requires_grad == other.requires_grad


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
