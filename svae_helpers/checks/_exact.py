"""Exercises with one right answer: compare values and gradients, then name the mistake.

A check runs the learner's function on a list of cases, beside a reference in float64. Where it is
wrong, every catalogued mistake is run on the same cases; the one that gives the learner's numbers
in all of them names the mistake. Nothing in the catalogue: a counter-example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from ._learner import Learner, Problem, Run, laboratory
from ._result import FAILED, NOT_ATTEMPTED, PASSED, CheckResult, verdict
from ._stub import is_stub

NOT_YET = "Not attempted yet: replace the body of the function, then run this cell again."


@dataclass(frozen=True)
class Case:
    """Arguments of one call. `extreme` marks a tail or a limit; `gradient`: test it there too."""

    arguments: tuple
    extreme: bool = False
    gradient: bool = True


@dataclass(frozen=True)
class Outcome:
    """What one function did on one case: a run, and its gradients by argument name."""

    case: Case
    run: Run
    gradients: dict[str, Tensor | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """Everything that a function did on all cases, beside what was wanted."""

    outcomes: tuple[Outcome, ...]
    wanted: tuple[Outcome, ...]
    right: tuple[bool, ...]
    changes_from_call_to_call: bool

    def wrong_only_in_extremes(self) -> bool:
        """Right in every ordinary case, wrong in a tail or limit: underflow, clamps, 0 log 0."""
        ordinary = [r for r, o in zip(self.right, self.outcomes) if not o.case.extreme]
        return all(ordinary) and not all(self.right)


@dataclass(frozen=True)
class Misconception:
    """A mistake: its short name, what computes it, and what to tell the learner.

    `wrong` may be several functions that spell the same misunderstanding. `symptom` recognises
    the mistake where its exact numbers depend on a detail (how small the clamp is, which draw).
    """

    name: str
    wrong: Callable | tuple[Callable, ...]
    explanation: str
    symptom: Callable[[Evidence], bool] | None = None

    @property
    def variants(self) -> tuple[Callable, ...]:
        return self.wrong if isinstance(self.wrong, tuple) else (self.wrong,)


@dataclass(frozen=True)
class Exercise:
    """One exercise with one right answer.

    Attributes:
        number: as the notebook shows it, such as "4.1".
        parameters: names of the learner's arguments, in order.
        reference: the right answer; is given float64 tensors.
        cases: draws the arguments of every call, away from convenient points.
        differentiable: names of the tensors whose gradients are compared.
        layout: how an output index picks from the inputs: "element", "row", "column" or "all".
        integers: whether an integer tensor is a right answer too.
    """

    name: str
    number: str
    parameters: tuple[str, ...]
    reference: Callable
    cases: Callable[[Generator], Sequence[Case]]
    misconceptions: tuple[Misconception, ...]
    differentiable: tuple[str, ...] = ()
    layout: str = "row"
    unit: str = "nats"
    integers: bool = False
    absolute: float = 1e-4
    relative: float = 3e-5

    def check(self, answer: Callable) -> CheckResult:
        """Judge the learner's function; leave every global generator as it was."""
        early = refuse_early(answer, self.number, self.name)
        if early is not None:
            return early
        with laboratory() as seed:
            cases = list(self.cases(torch.Generator().manual_seed(seed)))
            evidence = self.examine(answer, cases)
            return self._judge(evidence, cases)

    def examine(self, answer: Callable, cases: Sequence[Case]) -> Evidence:
        """Run a function on every case, and the first one twice."""
        learner = Learner(answer, self.parameters)
        wanted = tuple(self._outcome(None, case) for case in cases)
        outcomes = tuple(
            self._outcome(learner, case, w.run.value.shape) for case, w in zip(cases, wanted)
        )
        right = tuple(self._same(o, w) for o, w in zip(outcomes, wanted))
        again = self._outcome(learner, cases[0], wanted[0].run.value.shape)
        changes = not self._same_run(again.run, outcomes[0].run)
        return Evidence(outcomes, wanted, right, changes)

    def _outcome(
        self, learner: Learner | None, case: Case, shape: tuple = (), gradients: bool = True
    ) -> Outcome:
        if learner is None:
            arguments = tuple(
                a.detach().double() if isinstance(a, Tensor) else a for a in case.arguments
            )
            names = self.differentiable if case.gradient else ()
            tensors = {
                name: a.clone().requires_grad_(name in names)
                for name, a in zip(self.parameters, arguments)
                if isinstance(a, Tensor)
            }
            given = [tensors.get(n, a) for n, a in zip(self.parameters, arguments)]
            value = self.reference(*given)
            gradients = _gradients(value, {n: tensors[n] for n in names})
            return Outcome(case, Run(value.detach()), gradients)
        run, _ = learner.run(case.arguments, shape, integers=self.integers)
        differentiable = self.differentiable and case.gradient and gradients
        if run.problem is not None or not differentiable:
            return Outcome(case, _detached(run))
        again, tensors = learner.run(case.arguments, shape, self.differentiable)
        if again.problem is not None:
            return Outcome(case, Run(None, again.problem, run.changed, run.uses_numpy))
        run = Run(run.value, None, run.changed, run.uses_numpy)
        names = {n: tensors[n] for n in self.differentiable}
        try:
            found = _gradients(again.value, names)
        except RuntimeError as error:
            text = f"Your answer cannot be differentiated: {str(error).splitlines()[0]}"
            problem = Problem(("backward",), "gradients do not flow", text)
            return Outcome(case, Run(problem=problem))
        return Outcome(case, _detached(run), found)

    def _close(self, a: Tensor, b: Tensor) -> bool:
        if a.shape != b.shape:
            return False
        a, b = a.double(), b.double()
        return torch.allclose(a, b, rtol=self.relative, atol=self.absolute, equal_nan=True)

    def _same_run(self, a: Run, b: Run) -> bool:
        if a.problem is not None or b.problem is not None:
            keys = [r.problem.key if r.problem is not None else None for r in (a, b)]
            if keys[0] != keys[1]:
                return False
        if a.value is None or b.value is None:
            return a.value is b.value
        return self._close(a.value, b.value)

    def _same(self, a: Outcome, b: Outcome) -> bool:
        if not self._same_run(a.run, b.run):
            return False
        pairs = [(a.gradients.get(n), b.gradients.get(n)) for n in self.differentiable]
        return all(_same_gradient(g, h) for g, h in pairs)

    def _judge(self, evidence: Evidence, cases: Sequence[Case]) -> CheckResult:
        number = self.number
        numpy_used = any(o.run.uses_numpy for o in evidence.outcomes)
        if all(evidence.right) and not evidence.changes_from_call_to_call:
            side_effect = _side_effects(number, evidence.outcomes, numpy_used)
            if side_effect is not None:
                return side_effect
            text = f"`{self.name}` is right: {len(cases)} cases"
            text += ", gradients too." if self.differentiable else "."
            return verdict(PASSED, number, text)
        found = self._diagnose(evidence, cases)
        if found is not None:
            example = self._counter_example(evidence)
            return verdict(FAILED, number, f"{example}{found.explanation}", found.name)
        side_effect = _side_effects(number, evidence.outcomes, numpy_used)
        if side_effect is not None:
            return side_effect
        problem = next((o.run.problem for o in evidence.outcomes if o.run.problem), None)
        if problem is not None:
            return verdict(FAILED, number, problem.text + self._where(evidence), problem.name)
        if evidence.changes_from_call_to_call:
            text = "Two calls with the same arguments give different answers; nothing is random."
            return verdict(FAILED, number, text, "random where nothing is")
        return self._unknown(evidence)

    def _diagnose(self, evidence: Evidence, cases: Sequence[Case]) -> Misconception | None:
        # Values alone where they are wrong: a mistake's name does not hang on how it is spelled,
        # and a gradient may differ between spellings. Gradients too where the values are right.
        values_right = all(
            self._same_run(o.run, w.run) for o, w in zip(evidence.outcomes, evidence.wanted)
        )
        same = self._same if values_right else lambda a, b: self._same_run(a.run, b.run)
        if not evidence.changes_from_call_to_call:
            for entry in self.misconceptions:
                for wrong in entry.variants:
                    learner = Learner(wrong, self.parameters, watch=False)
                    if all(
                        same(o, self._outcome(learner, case, w.run.value.shape, values_right))
                        for o, w, case in zip(evidence.outcomes, evidence.wanted, cases)
                    ):
                        return entry
        symptoms = (e for e in self.misconceptions if e.symptom and e.symptom(evidence))
        return next(symptoms, None)

    def _worst(self, evidence: Evidence) -> tuple[Outcome, Outcome, tuple[int, ...]] | None:
        """Return the most telling wrong case: ordinary before extreme, and where in the answer."""
        pairs = [
            (o, w)
            for o, w in zip(evidence.outcomes, evidence.wanted)
            if o.run.value is not None
            and o.run.value.shape == w.run.value.shape
            and not self._close(o.run.value, w.run.value)
        ]
        if not pairs:
            return None
        outcome, wanted = min(pairs, key=lambda pair: pair[0].case.extreme)
        difference = (outcome.run.value.double() - wanted.run.value).abs()
        difference = difference.nan_to_num(torch.inf, torch.inf, torch.inf)
        flat = int(difference.flatten().argmax())
        index = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), difference.shape))
        return outcome, wanted, index

    def _counter_example(self, evidence: Evidence) -> str:
        worst = self._worst(evidence)
        if worst is None:
            return ""
        outcome, wanted, index = worst
        mine = float(outcome.run.value[index])
        right = float(wanted.run.value[index])
        text = f"At {self._inputs(outcome.case, index)} your value is {mine:.5g}, "
        return text + f"the right one is {right:.5g}. "

    def _inputs(self, case: Case, index: tuple[int, ...]) -> str:
        shown = []
        for name, a in zip(self.parameters, case.arguments):
            if isinstance(a, Tensor):
                if self.layout == "element" and index:
                    a = a[index]
                elif self.layout == "row" and index:
                    a = a[index[0]]
                elif self.layout == "column" and index:
                    a = a[:, index[0]]
                shown.append(f"{name} = {show(a)}")
            elif not callable(a):
                shown.append(f"{name} = {a:.4g}" if isinstance(a, float) else f"{name} = {a}")
        return ", ".join(shown)

    def _where(self, evidence: Evidence) -> str:
        bad = next(o for o in evidence.outcomes if o.run.problem)
        shapes = [
            f"{name} {tuple(a.shape)}"
            for name, a in zip(self.parameters, bad.case.arguments)
            if isinstance(a, Tensor)
        ]
        return f" (Seen with the shapes {', '.join(shapes)}.)"

    def _unknown(self, evidence: Evidence) -> CheckResult:
        example = self._counter_example(evidence)
        if example:
            values = [o.run.value for o in evidence.outcomes]
            if any(v.double().isnan().any() for v in values):
                text = example + "There is a NaN in your answer."
                return verdict(FAILED, self.number, text, "NaN")
            return verdict(FAILED, self.number, example + self._simple_relation(evidence))
        bad = next(i for i, right in enumerate(evidence.right) if not right)
        mine, right = evidence.outcomes[bad].gradients, evidence.wanted[bad].gradients
        stuck = [n for n in self.differentiable if _is_zero(mine[n]) and not _is_zero(right[n])]
        if stuck:
            text = (
                f"The values are right, but gradients do not flow to `{'` or `'.join(stuck)}`. "
                "`.detach()`, `.item()`, `.data`, NumPy, `torch.tensor(...)` of a tensor and "
                "`torch.no_grad()` all cut them."
            )
            return verdict(FAILED, self.number, text, "gradients do not flow")
        name = next(n for n in self.differentiable if not _same_gradient(mine[n], right[n]))
        got, want = mine[name].double(), right[name]
        where = (got - want).abs().nan_to_num(torch.inf).flatten().argmax()
        got, want = float(got.flatten()[where]), float(want.flatten()[where])
        kind = "NaN" if got != got else "wrong gradient"
        text = (
            f"The values are right, but the gradient with respect to `{name}` is not: one entry "
            f"is {got:.5g}, the right one is {want:.5g}. Is a part of the sum detached?"
        )
        return verdict(FAILED, self.number, text, kind)

    def _simple_relation(self, evidence: Evidence) -> str:
        pairs = [
            (o.run.value.double().flatten(), w.run.value.flatten())
            for o, w in zip(evidence.outcomes, evidence.wanted)
            if not o.case.extreme
        ]
        mine = torch.cat([m for m, _ in pairs])
        right = torch.cat([r for _, r in pairs])
        offset = mine - right
        if offset.isfinite().all() and offset.std() < 1e-3 * (1e-3 + offset.abs().mean()):
            o = float(offset.mean())
            way = "high" if o > 0 else "low"
            return f"It is {abs(o):.4g} {self.unit} too {way} everywhere."
        ratio = (mine / right)[right.abs() > 1e-2]
        if ratio.numel() > 1 and ratio.std() < 1e-3 * ratio.mean().abs():
            return f"It is {float(ratio.mean()):.4g} times the right value everywhere."
        return "No single factor or offset explains the difference."


def refuse_early(answer: object, number: str, name: str) -> CheckResult | None:
    """Return a verdict where nothing needs to be run: not a function, or still a stub."""
    if answer is None or not callable(answer):
        text = (
            f"Hand over the function itself, `checks.{name}({name})`, without calling it; "
            f"this is a {type(answer).__name__}."
        )
        return verdict(FAILED, number, text, "not a function")
    return verdict(NOT_ATTEMPTED, number, NOT_YET) if is_stub(answer) else None


def show(a: Tensor) -> str:
    """Write a small tensor in full, a large one by its first numbers and its shape."""
    numbers = [f"{float(v):.4g}" for v in a.flatten()[:6]]
    if a.dim() == 0:
        return numbers[0]
    rest = f", …] of shape {tuple(a.shape)}" if a.numel() > 6 or a.dim() > 1 else "]"
    return "[" + ", ".join(numbers) + rest


def _side_effects(number: str, outcomes: Sequence[Outcome], numpy: bool) -> CheckResult | None:
    changed = next((o.run.changed for o in outcomes if o.run.changed), None)
    if changed is not None:
        text = (
            f"Your function changes its argument `{changed}` in place, and whoever handed it over "
            "still needs it. Operations whose name ends in `_`, `+=` and index assignment do that."
        )
        return verdict(FAILED, number, text, "in-place change")
    if numpy:
        text = "Your function uses NumPy's or Python's global generator; nothing is random here."
        return verdict(FAILED, number, text, "NumPy's generator")
    return None


def _detached(run: Run) -> Run:
    value = None if run.value is None else run.value.detach()
    return Run(value, run.problem, run.changed, run.uses_numpy)


def _gradients(value: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor | None]:
    """Differentiate a fixed weighted sum of the answer's entries with respect to each tensor."""
    if not tensors or not value.requires_grad:
        return dict.fromkeys(tensors)
    weights = torch.linspace(0.7, 1.9, max(value.numel(), 1), dtype=torch.float64)
    total = (value.double() * weights[: value.numel()].reshape(value.shape)).sum()
    found = torch.autograd.grad(total, list(tensors.values()), allow_unused=True)
    return dict(zip(tensors, found))


def _is_zero(gradient: Tensor | None) -> bool:
    return gradient is None or not gradient.any()


def _same_gradient(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return _is_zero(a) and _is_zero(b)
    a, b = a.double(), b.double()
    scale = float(b.abs().nan_to_num().max()) if b.numel() else 0.0
    return torch.allclose(a, b, rtol=1e-3, atol=1e-4 + 1e-5 * scale, equal_nan=True)
