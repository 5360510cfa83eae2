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
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from .guard import laboratory
from .learner import Learner, Problem, Run, as_parts
from .mistakes import PLAIN, Mistake, Reduction, Terms, explained
from .outcome import Case, Evidence, Outcome, as_numbers, detached, differentiate, same_gradient
from .report import counter_example, gradient_fault, relation, show_case, side_effect, stuck
from .result import FAILED, NOT_ATTEMPTED, PASSED, CheckResult, verdict
from .stub import is_stub
from .terms import detached_terms, together, wrong_factors

NOT_YET = "Not attempted yet: replace the body of the function, then run this cell again."


class Exercise:
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
        self.__name__, self.__module__ = formula.__name__, formula.__module__
        self.__doc__ = f"Check exercise {number}: {inspect.getdoc(formula)}"
        self.number, self.cases, self.differentiable = number, cases, tuple(gradients)
        self.parameters = tuple(inspect.signature(formula).parameters)
        self.tolerance, self.unit = tolerance, unit
        self.reduction = reduction._replace(mistakes=explained(reduction.mistakes, number))
        self.known: tuple[Mistake, ...] = ()
        self._formula, self._inner = formula, None

    def right(self, *arguments: Any) -> Any:
        """The right terms, before the reduction; in a pair of mistakes, what the other computes."""
        inner, self._inner = self._inner, None
        try:
            value = (inner or self._formula)(*arguments)
        finally:
            self._inner = inner
        return self.reduction.combine(list(value.values())) if isinstance(value, Terms) else value

    def terms(self, *arguments: Any) -> Terms:
        """The right answer's named terms; none where it has no such."""
        value = self._formula(*arguments)
        return value if isinstance(value, Terms) else Terms()

    def reference(self, *arguments: Any) -> Any:
        """The right answer as a learner would write it."""
        return self.reduction.right(self.right(*arguments))

    def mistakes(self, *entries: tuple) -> None:
        """Register the known mistakes, the likeliest first."""
        self.known += explained(entries, self.number)

    def catalogue(self) -> Iterator[tuple[Mistake, Callable]]:
        """Every mistake with each of its spellings, as complete answers."""
        for mistake in self.known:
            for wrong in mistake.variants:
                yield mistake, self._reduced(wrong)
        for mistake in self.reduction.mistakes:
            for wrong in mistake.variants:
                yield mistake, lambda *a, f=wrong: f(self.right(*a))

    def pairs(self, case: Case, value: Tensor) -> Iterator[tuple[Mistake, Mistake, Callable]]:
        """Pairs of mistakes that give `value` in a case: in a sum, in a reduction, nested."""
        singles = []
        for mistake, wrong in self.catalogue():
            with contextlib.suppress(Exception):
                v = as_parts(wrong(*case.arguments))[0].double()
                singles.append((mistake, wrong, v)) if v.shape == value.shape else None
        right = as_parts(self.reference(*case.arguments))[0].double()
        if singles and right.shape == value.shape:
            gaps = torch.stack([(v - right).flatten() for _, _, v in singles])
            rest = (value.double() - right).flatten()
            off = (gaps[:, None] + gaps - rest).abs() < 2e-4 + 6e-5 * value.double().abs().flatten()
            for a, b in off.all(dim=2).triu(1).nonzero().tolist():
                yield singles[a][0], singles[b][0], self._added(singles[a][1], singles[b][1])
        known = [(m, w) for m in self.known for w in m.variants if not getattr(w, "whole", False)]
        for (a, f), b in itertools.product(known, self.reduction.mistakes):
            for g in b.variants:
                yield a, b, lambda *x, f=f, g=g: g(f(*x))
        outer = [(m, w) for m, w in known if self._calls_right(w, case)]
        for (a, f), (b, g) in itertools.product(outer, known):
            if a is not b:
                yield a, b, lambda *x, f=f, g=g: self.reduction.right(self._nested(f, g, x))

    def _added(self, f: Callable, g: Callable) -> Callable:
        return lambda *x: f(*x) + g(*x) - self.reference(*x)

    def _calls_right(self, wrong: Callable, case: Case) -> bool:
        called = []

        def formula(*arguments: Any) -> Any:
            called.append(True)
            return self._formula(*arguments)

        with contextlib.suppress(Exception):
            self._nested(wrong, formula, case.arguments)
        return bool(called)

    def _reduced(self, wrong: Callable) -> Callable:
        if getattr(wrong, "whole", False):
            return wrong
        return lambda *arguments: self.reduction.right(wrong(*arguments))

    def _nested(self, outer: Callable, inner: Callable, arguments: tuple) -> Any:
        self._inner = inner
        try:
            return outer(*arguments)
        finally:
            self._inner = None

    def __call__(self, answer: Callable) -> CheckResult:
        """Judge the learner's function; leave every global state as it was."""
        early = refuse_early(answer, self.number, self.__name__)
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
        learner = Learner(answer, self.parameters)
        wanted = tuple(self._wanted(case) for case in cases)
        outcomes = []
        for case in cases:
            outcomes.append(self._outcome(learner, case))
            problem = outcomes[-1].run.problem
            if problem is not None and problem.key == ("time",):
                return Evidence(tuple(outcomes), wanted, (False,) * len(outcomes))
        right = tuple(self.same(o, w) for o, w in zip(outcomes, wanted))
        again = self._outcome(learner, cases[0], gradients=False)
        steady = self.same(again, outcomes[0], gradients=False)
        return Evidence(tuple(outcomes), wanted, right, steady)

    def _wanted(self, case: Case) -> Outcome:
        names = self.differentiable if case.gradient else ()
        tensors = {
            n: a.detach().double().requires_grad_(n in names)
            for n, a in zip(self.parameters, case.arguments)
            if isinstance(a, Tensor) and a.is_floating_point()
        }
        value = self.reference(
            *(tensors.get(n, a) for n, a in zip(self.parameters, case.arguments))
        )
        parts = as_parts(value)
        found = differentiate(parts, {n: tensors[n] for n in names})
        return Outcome(case, Run(tuple(p.detach() for p in parts)), found)

    def _outcome(self, learner: Learner, case: Case, gradients: bool = True) -> Outcome:
        like = self.reference(*case.arguments)
        run, _ = learner.run(case.arguments, like)
        if run.problem is not None or not (self.differentiable and case.gradient and gradients):
            return Outcome(case, detached(run))
        again, tensors = learner.run(case.arguments, like, self.differentiable)
        if again.problem is not None:
            return Outcome(case, Run(None, again.problem, run.changed, run.uses_numpy))
        try:
            found = differentiate(again.parts, {n: tensors[n] for n in self.differentiable})
        except RuntimeError as error:
            text = f"Your answer cannot be differentiated: {str(error).splitlines()[0]}"
            problem = Problem(("backward",), "gradients do not flow", text)
            return Outcome(case, Run(problem=problem))
        return Outcome(case, detached(run), found)

    def same(self, a: Outcome, b: Outcome, gradients: bool = True) -> bool:
        """Whether two outcomes agree, at the accuracy of float32."""
        if a.run.parts is None or b.run.parts is None:
            keys = [o.run.problem and o.run.problem.key for o in (a, b)]
            return a.run.parts is b.run.parts and keys[0] == keys[1]
        if len(a.run.parts) != len(b.run.parts):
            return False
        if gradients and (a.run.problem or b.run.problem):  # a wrong type is not right
            return False
        close = all(map(self.close, a.run.parts, b.run.parts))
        both = a.gradients.keys() & b.gradients.keys() if gradients else ()
        return close and all(same_gradient(a.gradients[n], b.gradients[n]) for n in both)

    def close(self, a: Tensor, b: Tensor) -> bool:
        """Whether two values agree in shape and at the accuracy of float32."""
        return a.shape == b.shape and torch.allclose(
            a.double(), b.double(), rtol=3e-5, atol=self.tolerance, equal_nan=True
        )

    def _judge(self, evidence: Evidence) -> CheckResult:
        n, outcomes = self.number, evidence.outcomes
        if all(evidence.right) and evidence.steady:
            slip = side_effect(outcomes)
            if slip is not None:
                return verdict(FAILED, n, *slip)
            rest = ", gradients too." if self.differentiable else "."
            return verdict(PASSED, n, f"`{self.__name__}` is right: {len(outcomes)} cases{rest}")
        example, details = counter_example(self, evidence)
        found = self._diagnose(evidence)
        if found is not None:
            return verdict(FAILED, n, f"{found.explanation}{example}", found.name, details)
        problem = next((o.run.problem for o in outcomes if o.run.problem), None)
        slip = side_effect(outcomes)
        if slip is None and problem is not None:
            where = show_case(self.parameters, outcomes)
            slip = (f"{problem.text}{where}", problem.name)
        if slip is None and not evidence.steady:
            text = "Two calls with the same arguments give different answers; nothing is random."
            slip = (text, "random where nothing is")
        if slip is None and not example:
            slip = gradient_fault(self.differentiable, evidence)
        if slip is None:
            text, name = relation(evidence, self.unit)
            slip = (f"{text}{example}", name)
        return verdict(FAILED, n, *slip, details)

    def _gives(self, wrong: Callable, outcome: Outcome) -> bool:
        """Whether a function gives the first part of an outcome's value; quick."""
        with torch.no_grad(), contextlib.suppress(Exception):
            return self.close(outcome.run.parts[0], as_parts(wrong(*outcome.case.arguments))[0])
        return False

    def _diagnose(self, evidence: Evidence) -> Mistake | None:
        # Values alone where they are wrong: a mistake's name does not hang on how it is spelled,
        # and a gradient may differ between spellings. Gradients too where the values are right.
        pairs = zip(evidence.outcomes, evidence.wanted)
        values_right = all(self.same(o, w, gradients=False) for o, w in pairs)

        def gives_the_same(wrong: Callable) -> bool:
            learner = Learner(wrong, self.parameters, watch=False)
            return all(
                self.same(
                    as_numbers(o),
                    as_numbers(self._outcome(learner, o.case, values_right)),
                    values_right,
                )
                for o in evidence.outcomes
            )

        if evidence.steady:
            for mistake, wrong in self.catalogue():
                if gives_the_same(wrong):
                    return mistake
        where = evidence.wrong_in()
        for mistake in self.known + self.reduction.mistakes:
            if callable(mistake.extreme) and mistake.extreme(self, evidence):
                return mistake
            if evidence.steady and {mistake.extreme} == where and where != {""}:
                return mistake
        first = evidence.outcomes[0]
        readable = all(o.run.parts is not None for o in evidence.outcomes)
        with_terms = readable and bool(self.terms(*first.case.arguments))
        if values_right and with_terms and len(stuck(self.differentiable, evidence)) != 1:
            return detached_terms(self, evidence)
        if not evidence.steady or values_right or not readable:
            return None
        combined = wrong_factors(self, evidence) if with_terms else ()
        pairs = self.pairs(first.case, first.run.parts[0].double())
        both = ((together([a, b]), wrong) for a, b, wrong in pairs)
        for found, wrong in itertools.chain(combined, both):
            if self._gives(wrong, first) and gives_the_same(wrong):
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


def refuse_early(answer: object, number: str, name: str) -> CheckResult | None:
    """Return a verdict where nothing needs to be run: not a function, or still a stub."""
    if not callable(answer):
        text = (
            f"Hand over the function itself, `checks.{name}({name})`, without calling it; "
            f"this is a {type(answer).__name__}."
        )
        return verdict(FAILED, number, text, "not a function")
    return verdict(NOT_ATTEMPTED, number, NOT_YET) if is_stub(answer) else None
