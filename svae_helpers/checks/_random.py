"""Exercises whose answer is random: judged by statistics, named by features.

A probe calls the learner's function many times and hands back p-values (is it right?) and
features (what does it look like?). A refused answer gets the name of the catalogued mistake whose
features, measured by the same probe, lie nearest.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType, ModuleType

import numpy as np
import torch
from torch import Tensor

from ._exact import refuse_early
from ._learner import Learner, Problem, laboratory
from ._result import FAILED, PASSED, CheckResult, verdict
from ._statistics import FAMILY


class Unlike(Exception):
    """A catalogued mistake that differs from the learner's answer: no need to measure the rest."""


class Stop(Exception):
    """A call that gave no comparable answer: the probe ends here."""

    def __init__(self, problem: Problem):
        self.problem = problem


@dataclass
class Findings:
    """What a probe saw.

    Attributes:
        tests: p-value and what it speaks of, by name.
        faults: what needs no statistics, such as a gradient that is exactly known.
        features: value and tolerance by name; two functions that agree in all look the same.
        repeats: whether two calls gave the same draw.
        against: the learner's findings, while a catalogued mistake is measured.
    """

    tests: dict[str, tuple[float, str]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    features: dict[str, tuple[float, float]] = field(default_factory=dict)
    problem: Problem | None = None
    repeats: bool = False
    changed: str | None = None
    uses_numpy: bool = False
    uses_torch: bool = False
    against: Findings | None = None
    complete: bool = False

    def test(self, name: str, p: float, text: str) -> None:
        """Note a p-value; `text` completes the sentence "Your draws fail a test: …"."""
        self.tests[name] = (p, text)

    def feature(self, name: str, value: float, tolerance: float = 0.2) -> None:
        """Note a feature, squashed so that large numbers compare by their ratio."""
        value = math.asinh(value) if math.isfinite(value) else 99.0
        self.features[name] = (value, tolerance)
        if self.against is not None:
            other = self.against.features.get(name)
            if other is None or not abs(other[0] - value) <= tolerance:
                raise Unlike

    def get(self, name: str) -> float:
        """Return a feature before squashing, NaN where the probe did not get that far."""
        value = self.features.get(name, (math.nan, 0.0))[0]
        return math.sinh(value) if value < 90 else math.nan

    @property
    def passed(self) -> bool:
        level = FAMILY / max(len(self.tests), 1)
        fine = not self.repeats and not self.faults and self.problem is None
        return fine and all(p >= level for p, _ in self.tests.values())


@dataclass(frozen=True)
class RandomMisconception:
    """A mistake in a random answer.

    `symptom` recognises it from the findings where it leaves the features at chance; symptoms
    come before features.
    """

    name: str
    wrong: Callable | tuple[Callable, ...]
    explanation: str
    symptom: Callable[[Findings], bool] | None = None

    @property
    def variants(self) -> tuple[Callable, ...]:
        return self.wrong if isinstance(self.wrong, tuple) else (self.wrong,)


class Caller:
    """Calls the learner's function for a probe and keeps account of its side effects."""

    def __init__(self, learner: Learner, findings: Findings):
        self.learner = learner
        self.findings = findings

    def __call__(
        self, arguments: tuple, shape: tuple[int, ...], requires_grad: tuple[str, ...] = ()
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the answer and the tensors it was given; stop the probe where there is none."""
        before = torch.get_rng_state()
        run, tensors = self.learner.run(arguments, shape, requires_grad)
        self.findings.uses_torch |= not torch.equal(before, torch.get_rng_state())
        self.findings.uses_numpy |= run.uses_numpy
        self.findings.changed = self.findings.changed or run.changed
        if run.problem is not None:
            key, problem = run.problem.key, run.problem
            if run.value is not None:
                key = ("shape", tuple(run.value.shape))
            raise Stop(Problem(key, problem.name, problem.text))
        return run.value, tensors


@dataclass(frozen=True)
class RandomExercise:
    """One exercise whose answer is random; `probe(call, findings, generator)` examines it."""

    name: str
    number: str
    parameters: tuple[str, ...]
    reference: Callable
    probe: Callable[[Caller, Findings, torch.Generator], None]
    misconceptions: tuple[RandomMisconception, ...]

    def check(self, answer: Callable) -> CheckResult:
        """Judge the learner's function; leave every global generator as it was."""
        early = refuse_early(answer, self.number, self.name)
        if early is not None:
            return early
        with laboratory() as seed:
            return self._judge(answer, self.examine(answer, seed))

    def examine(self, answer: Callable, seed: int, against: Findings | None = None) -> Findings:
        """Run the probe, with inputs from `seed` and draws from torch's global generator.

        Ends early, not `complete`, as soon as a feature differs from that of `against`.
        """
        findings = Findings(against=against)
        call = Caller(Learner(answer, self.parameters), findings)
        try:
            self.probe(call, findings, torch.Generator().manual_seed(seed))
            findings.complete = True
        except Stop as stop:
            findings.problem = stop.problem
            findings.complete = True
        except Unlike:
            return findings
        findings.uses_numpy |= not findings.uses_torch and _reaches_numpy(answer)
        return findings

    def _judge(self, answer: Callable, findings: Findings) -> CheckResult:
        number = self.number
        if findings.uses_numpy:
            text = (
                "The draws come from NumPy's (or Python's) generator, which `torch.manual_seed` "
                "does not reach and which knows nothing of the device: draw with torch."
            )
            return verdict(FAILED, number, text, "NumPy's generator")
        if findings.passed:
            if findings.changed:
                text = f"Your function changes its argument `{findings.changed}` in place."
                return verdict(FAILED, number, text, "in-place change")
            tests = len(findings.tests)
            return verdict(PASSED, number, f"`{self.name}` is right: {tests} statistical tests.")
        found = self._diagnose(findings)
        seen = self._what_was_seen(findings)
        if found is not None:
            return verdict(FAILED, number, f"{found.explanation}{seen}", found.name)
        if findings.changed:
            text = f"Your function changes its argument `{findings.changed}` in place."
            return verdict(FAILED, number, text, "in-place change")
        if findings.problem is not None:
            return verdict(FAILED, number, findings.problem.text, findings.problem.name)
        if findings.repeats:
            text = (
                "Two calls give the same draw. Is a seed set inside the function, or nothing "
                "drawn at all? The caller sets the seed."
            )
            return verdict(FAILED, number, text, "fixed seed")
        flow = next((n for n in findings.faults if n.startswith("gradients do not flow")), None)
        name = "gradients do not flow" if flow else None
        if any(value == 99.0 for value, _ in findings.features.values()):
            name = "NaN"
            seen = " There is a NaN or an infinity in your answer." + seen
        return verdict(FAILED, number, seen.strip(), name)

    def _what_was_seen(self, findings: Findings) -> str:
        if findings.faults:
            return " " + next(iter(findings.faults.values()))
        if not findings.tests:
            return ""
        p, text = min(findings.tests.values(), key=lambda test: test[0])
        if p >= FAMILY / len(findings.tests):
            return ""
        shown = f"below {FAMILY:.0e}" if p < FAMILY else f"{p:.0e}"
        return f" What was seen: {text} (by chance in a right answer: {shown})."

    def _diagnose(self, findings: Findings) -> RandomMisconception | None:
        for entry in self.misconceptions:
            if entry.symptom is not None and entry.symptom(findings):
                return entry
        nearest, least = None, 1.0
        for entry in self.misconceptions:
            for wrong in entry.variants:
                other = self._fingerprint(wrong, findings)
                distance = _distance(findings, other)
                if distance < least and not other.uses_numpy:  # its draws look right
                    nearest, least = entry, distance
        return nearest

    def _fingerprint(self, wrong: Callable, findings: Findings) -> Findings:
        """Measure a catalogued mistake, as far as it looks like the learner's answer.

        Its seeds are fixed and have nothing to do with a learner's, so what was measured is kept.
        """
        known = _FINGERPRINTS.get(wrong)
        reached = known is not None and (known.complete or not findings.features)
        if reached or (known is not None and 1 < _distance(findings, known) < math.inf):
            return known
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(20)
            known = _FINGERPRINTS[wrong] = self.examine(wrong, 21, against=findings)
        return known


_FINGERPRINTS: dict[Callable, Findings] = {}


def _distance(a: Findings, b: Findings) -> float:
    """Return the largest difference in units of the tolerance; infinite for unlike findings."""
    shared = a.features.keys() & b.features.keys()
    pairs = [(a.features[name], b.features[name][0]) for name in shared]
    distance = max((abs(v - other) / tolerance for (v, tolerance), other in pairs), default=0.0)
    if not b.complete:
        return distance if distance > 1 else math.inf
    if (a.problem is None) != (b.problem is None) or a.repeats != b.repeats:
        return math.inf
    if a.problem is not None and b.problem is not None:
        return 0.0 if a.problem.key == b.problem.key else math.inf
    return distance


def _reaches_numpy(answer: Callable) -> bool:
    """Whether a function's names lead to NumPy's or Python's generators."""
    code = getattr(answer, "__code__", None)
    if not isinstance(code, CodeType):
        return False
    known = dict(getattr(answer, "__globals__", {}))
    cells = getattr(answer, "__closure__", None) or ()
    for name, cell in zip(code.co_freevars, cells):
        known[name] = cell.cell_contents
    names = set(code.co_names) | set(code.co_freevars)
    for name in names:
        thing = known.get(name)
        if isinstance(thing, np.random.Generator | np.random.RandomState | random.Random):
            return True
        if isinstance(thing, ModuleType) and thing.__name__.split(".")[0] in ("numpy", "random"):
            return True
    return bool(names & {"numpy", "default_rng"})
