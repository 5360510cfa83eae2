"""An exercise with one right answer: compare values and gradients, then name the mistake.

    @exercise("4.1", cases, gradients=["z"])
    def log_prob(z, spike_prob, spike_var):
        \"\"\"log p per latent, in z's shape and in nats.\"\"\"
        return ...  # the right answer, given float64 tensors

    log_prob.mistakes(
        ("spike and slab swapped", lambda z, p, v: log_prob.right(z, 1 - p, v), "what to say"),
    )

`log_prob(answer)` is the check: it runs the learner's function beside the right one on every case.
Where it is wrong, each mistake is run too, alone and in pairs; the one that gives the learner's
numbers everywhere names it. Nothing gives them: a counter-example.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from .guard import laboratory
from .learner import Learner, Outcome, Problem, as_parts, differentiate, same_gradient
from .mistakes import PLAIN, Check, Mistake, Reduction, Terms, explained
from .report import counter_example, side_effect, stuck, symptom
from .result import FAILED, NOT_ATTEMPTED, PASSED, CheckResult, verdict
from .stub import is_stub
from .terms import detached_terms, pairs, wrong_factors

NOT_YET = "Not attempted yet: replace the body of the function, then run this cell again."


class Case(NamedTuple):
    """Arguments of one call; `extreme` names what is far out in it, such as "logits"."""

    arguments: tuple
    extreme: str = ""
    gradient: bool = True


class Evidence(NamedTuple):
    """Everything that a function did, case by case, beside what was wanted."""

    cases: Sequence[Case]
    outcomes: Sequence[Outcome]
    wanted: Sequence[Outcome]
    right: Sequence[bool]
    steady: bool = True

    def wrong_in(self) -> set[str]:
        """Names of the extremes in which the answer is wrong; "" stands for ordinary cases."""
        return {case.extreme for case, right in zip(self.cases, self.right) if not right}


class Exercise(Check):
    """Judges an answer when called; made by `exercise`."""

    def __init__(
        self,
        formula: Callable,
        number: str,
        cases: Callable[[Generator], Iterable[tuple | Case]],
        gradients: Sequence[str],
        reduction: Reduction,
        tolerance: float,
        unit: str,
    ):
        super().__init__(formula, number)
        self.cases, self.differentiable = cases, tuple(gradients)
        self.tolerance, self.unit = tolerance, unit
        self.reduction = reduction._replace(mistakes=explained(reduction.mistakes, number))
        self._formula, self._inner = formula, None

    def right(self, *arguments: Any) -> Any:
        """The right terms, before the reduction; in a pair of mistakes, what the other computes."""
        inner, self._inner = self._inner, None
        try:
            value = (inner or self._formula)(*arguments)
        finally:
            self._inner = inner
        return self.reduction.combine(list(value.values())) if isinstance(value, Terms) else value

    def nested(self, outer: Callable, inner: Callable) -> Callable:
        """The answer of `outer` where `right` is replaced by `inner`."""

        def answer(*arguments: Any) -> Any:
            self._inner = inner
            try:
                return outer(*arguments)
            finally:
                self._inner = None

        return answer

    def terms(self, *arguments: Any) -> Terms:
        """The right answer's named terms; none where it has no such."""
        value = self._formula(*arguments)
        return value if isinstance(value, Terms) else Terms()

    def reference(self, *arguments: Any) -> Any:
        """The right answer as a learner would write it."""
        return self.reduction.right(self.right(*arguments))

    def catalogue(self) -> Iterator[tuple[Mistake, Callable]]:
        """Every mistake with each of its spellings, as complete answers."""
        for mistake, wrong in super().catalogue():
            if not getattr(wrong, "whole", False):
                yield mistake, lambda *a, f=wrong: self.reduction.right(f(*a))
            else:
                yield mistake, wrong
        for mistake in self.reduction.mistakes:
            for wrong in mistake.variants:
                yield mistake, lambda *a, f=wrong: f(self.right(*a))

    def __call__(self, answer: Callable) -> CheckResult:
        """Judge the learner's function; leave every global state as it was."""
        early = refuse_early(self, answer)
        if early is not None:
            return early
        with laboratory() as seed:
            return self._judge(self.examine(answer, self.draw_cases(seed)))

    def draw_cases(self, seed: int) -> list[Case]:
        """The cases of one check."""
        drawn = self.cases(torch.Generator().manual_seed(seed))
        return [case if isinstance(case, Case) else Case(tuple(case)) for case in drawn]

    def examine(self, answer: Callable, cases: Sequence[Case]) -> Evidence:
        """Run a function on every case, and the first one twice."""
        learner, outcomes = Learner(answer, self.parameters), []
        wanted = [self._wanted(case) for case in cases]
        for case in cases:
            outcomes.append(self.outcome(learner, case))
            problem = outcomes[-1].problem
            if problem is not None and problem.key == ("time",):
                return Evidence(cases, outcomes, wanted, [False] * len(outcomes))
        right = [o.problem is None and self.same(o, w) for o, w in zip(outcomes, wanted)]
        again = self.outcome(learner, cases[0], gradients=False)
        steady = self.same(again, outcomes[0], gradients=False)
        return Evidence(cases, outcomes, wanted, right, steady)

    def doubled(self, case: Case) -> tuple[list, dict[str, Tensor]]:
        """A case's arguments in float64, and by name those that gradients are taken of."""
        given = {
            n: a.detach().double() if isinstance(a, Tensor) and a.is_floating_point() else a
            for n, a in zip(self.parameters, case.arguments)
        }
        names = self.differentiable if case.gradient else ()
        return list(given.values()), {n: given[n].requires_grad_() for n in names}

    def _wanted(self, case: Case) -> Outcome:
        arguments, tensors = self.doubled(case)
        parts = as_parts(self.reference(*arguments))
        gradients = differentiate(parts, tensors)
        return Outcome(tuple(p.detach() for p in parts), gradients=gradients)

    def outcome(self, learner: Learner, case: Case, gradients: bool = True) -> Outcome:
        """What a function does on a case: its value by itself, then its gradients."""
        like = self.reference(*case.arguments)
        found, _ = learner.run(case.arguments, like)
        if found.problem is None and gradients and case.gradient and self.differentiable:
            again, tensors = learner.run(case.arguments, like, self.differentiable)
            if again.problem is not None:
                return found._replace(parts=None, problem=again.problem)
            tensors = {n: tensors[n] for n in self.differentiable}
            try:
                found = found._replace(gradients=differentiate(again.parts, tensors))
            except RuntimeError as error:
                text = f"Your answer cannot be differentiated: {str(error).splitlines()[0]}"
                return Outcome(problem=Problem(("backward",), "gradients do not flow", text))
        return found._replace(parts=found.parts and tuple(p.detach() for p in found.parts))

    def same(self, a: Outcome, b: Outcome, gradients: bool = True) -> bool:
        """Whether two outcomes agree, at the accuracy of float32; of what type does not matter."""
        if a.parts is None or b.parts is None:
            return a.parts is b.parts and a.problem.key == b.problem.key
        if len(a.parts) != len(b.parts) or not all(map(self.close, a.parts, b.parts)):
            return False
        both = a.gradients.keys() & b.gradients.keys() if gradients else ()
        return all(same_gradient(a.gradients[n], b.gradients[n]) for n in both)

    def close(self, a: Tensor, b: Tensor) -> bool:
        """Whether two values agree in shape and at the accuracy of float32."""
        return a.shape == b.shape and torch.allclose(
            a.double(), b.double(), rtol=3e-5, atol=self.tolerance, equal_nan=True
        )

    def _judge(self, evidence: Evidence) -> CheckResult:
        n = self.number
        if all(evidence.right) and evidence.steady:
            slip = side_effect(evidence)
            if slip is not None:
                return verdict(FAILED, n, *slip)
            rest = ", gradients too." if self.differentiable else "."
            text = f"`{self.__name__}` is right: {len(evidence.cases)} cases{rest}"
            return verdict(PASSED, n, text)
        example, details = counter_example(self, evidence)
        found = self._diagnose(evidence)
        if found is not None:
            return verdict(FAILED, n, f"{found.explanation}{example}", found.name, details)
        return verdict(FAILED, n, *symptom(self, evidence, example), details)

    def _diagnose(self, evidence: Evidence) -> Mistake | None:
        # Values alone where they are wrong: a mistake's name does not hang on how it is spelled,
        # and a gradient may differ between spellings. Gradients too where the values are right.
        cases, outcomes, wanted, _, steady = evidence
        values_right = all(self.same(o, w, gradients=False) for o, w in zip(outcomes, wanted))

        def gives_the_same(wrong: Callable) -> bool:
            learner = Learner(wrong, self.parameters, watch=False)
            theirs = (self.outcome(learner, case, values_right) for case in cases)
            return all(self.same(o, t, values_right) for o, t in zip(outcomes, theirs))

        def begins_the_same(wrong: Callable) -> bool:
            with torch.no_grad(), contextlib.suppress(Exception):
                return self.close(outcomes[0].parts[0], as_parts(wrong(*cases[0].arguments))[0])
            return False

        if steady:
            for mistake, wrong in self.catalogue():
                if gives_the_same(wrong):
                    return mistake
        where = evidence.wrong_in()
        for mistake in self.known + self.reduction.mistakes:
            if callable(mistake.extreme):
                recognised = mistake.extreme(self, evidence)
            else:
                recognised = steady and mistake.extreme and where == {mistake.extreme}
            if recognised:
                return mistake
        readable = all(o.parts is not None for o in outcomes)
        has_terms = readable and bool(self.terms(*cases[0].arguments))
        if values_right and has_terms and len(stuck(evidence)) != 1:
            return detached_terms(self, evidence)
        if not steady or values_right or not readable:
            return None
        for combine in (wrong_factors, pairs) if has_terms else (pairs,):
            for found, wrong in combine(self, evidence):
                if begins_the_same(wrong) and gives_the_same(wrong):
                    return found
        return None


def exercise(
    number: str,
    cases: Callable[[Generator], Iterable[tuple | Case]],
    gradients: Sequence[str] = (),
    reduction: Reduction = PLAIN,
    tolerance: float = 1e-4,
    unit: str = "nats",
) -> Callable[[Callable], Exercise]:
    """Decorate the right answer of an exercise, which becomes its check.

    Args:
        number: as the notebook shows it, such as "4.1".
        cases: yields the arguments of each call, away from convenient points, from a generator.
        gradients: names of the tensors whose gradients are compared.
        reduction: what turns the decorated function's terms into the answer.
        tolerance: absolute, for values near 0; relative it is 3e-5.
        unit: of the answer, as in "0.2 nats too low everywhere"; may be empty.
    """
    settings = (number, cases, gradients, reduction, tolerance, unit)
    return lambda formula: Exercise(formula, *settings)


def refuse_early(check: Check, answer: object) -> CheckResult | None:
    """Return a verdict where nothing needs to be run: not a function, or still a stub."""
    if not callable(answer):
        text = (
            f"Hand over the function itself, `checks.{check.__name__}({check.__name__})`, "
            f"without calling it; this is a {type(answer).__name__}."
        )
        return verdict(FAILED, check.number, text, "not a function")
    return verdict(NOT_ATTEMPTED, check.number, NOT_YET) if is_stub(answer) else None
