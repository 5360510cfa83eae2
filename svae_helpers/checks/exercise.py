"""An exercise with one right answer: compare values and gradients, then name the mistake.

`@exercise("4.1", cases, gradients=["z"])` decorates the right answer, which is given float64
tensors, and makes it the check: it runs a learner's function beside the right one on every case.
Where it is wrong, each mistake is run too, alone and in pairs; the one that gives the learner's
numbers everywhere names it. Nothing gives them: the one place to change, or a counter-example.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from .learner import Learner, Outcome, Problem
from .mistakes import PLAIN, Mistake, Reduction, Terms, composed, explained
from .one_change import one_change
from .report import counter_example, symptom
from .result import FAILED, PASSED, Check, CheckResult, verdict
from .terms import detached_terms, pairs, together, with_a_gradient_cut, wrong_factors


class Case(NamedTuple):
    """Arguments of one call; `extreme` names what is far out in it, such as "logits".

    Gradients are compared if `gradient`; tensors named in `requires_grad` need them in any case.
    """

    arguments: tuple
    extreme: str = ""
    gradient: bool = True
    requires_grad: tuple[str, ...] = ()


class Evidence(NamedTuple):
    """Everything that a function did, case by case, beside what was wanted."""

    cases: Sequence[Case]
    outcomes: Sequence[Outcome]
    wanted: Sequence[Outcome]
    likes: Sequence[Any]
    right: Sequence[bool]
    steady: bool = True

    def values_right(self, exercise: Any) -> bool:
        """Whether at most gradients are wrong, or the manners."""
        pairs = zip(self.outcomes, self.wanted)
        return all(exercise.same(o, w, gradients=False) for o, w in pairs)

    def says_all(self) -> bool:
        """Whether the answer never ends, or meddles with what is not its own."""
        return any(o.problem and o.problem.says_all for o in self.outcomes)

    def wrong_in(self) -> set[str]:
        """Names of the extremes in which the answer is wrong; "" stands for ordinary cases."""
        return {case.extreme for case, right in zip(self.cases, self.right) if not right}


class Exercise(Check):
    """Judges an answer when called; made by `exercise`."""

    draws = False  # then the errors of two mistakes do not add up

    def __init__(self, formula: Callable, number: str, *settings: Any):
        super().__init__(formula, number)
        self.cases, self.differentiable, reduction, self.tolerance, self.unit = settings
        self.reduction = reduction._replace(mistakes=explained(reduction.mistakes, number))
        self._formula, self._inner = formula, None

    def right(self, *arguments: Any) -> Any:
        """The right terms, before the reduction; in a pair of mistakes, what the other computes."""
        inner, self._inner = self._inner, None  # `inner` may call this too
        value = (inner or self._formula)(*arguments)
        self._inner = inner
        return self.reduction.combine(list(value.values())) if isinstance(value, Terms) else value

    def nested(self, outer: Callable, inner: Callable, arguments: tuple) -> Any:
        """What `outer` gives where `right` is replaced by `inner`."""
        self._inner = inner
        try:
            return outer(*arguments)
        finally:
            self._inner = None

    def terms(self, *arguments: Any) -> Terms:
        """The right answer's named terms; none where it has no such."""
        value = self._formula(*arguments)
        return value if isinstance(value, Terms) else Terms()

    def reference(self, *given: Any) -> Any:
        """The right answer as a learner would write it, in float64."""
        doubled = [a.double() if torch.is_tensor(a) and a.is_floating_point() else a for a in given]
        return self.reduction.right(self.right(*doubled))

    def catalogue(self) -> Iterator[tuple[Mistake, Callable]]:
        """Every mistake with each of its spellings, as complete answers."""
        for m, wrong in super().catalogue():
            whole = hasattr(wrong, "whole")
            yield m, wrong if whole else composed(self.reduction.right, wrong)
        for m in self.reduction.mistakes:
            yield from ((m, composed(wrong, self.right)) for wrong in m.variants)

    def draw_cases(self, seed: int) -> list[Case]:
        """The cases of one check."""
        drawn = self.cases(torch.Generator().manual_seed(seed))
        return [case if isinstance(case, Case) else Case(tuple(case)) for case in drawn]

    def examine(self, answer: Callable, cases: Sequence[Case]) -> Evidence:
        """Run a function on every case, and the first one twice."""
        learner, outcomes = Learner(answer, self.parameters), []
        reference = Learner(self.reference, self.parameters, watch=False)
        likes = [self.reference(*case.arguments) for case in cases]
        wanted = [self.outcome(reference, case, like) for case, like in zip(cases, likes)]
        for case, like in zip(cases, likes):
            outcomes.append(self.outcome(learner, case, like))
            if outcomes[-1].problem and outcomes[-1].problem.name == "no end":
                return Evidence(cases, outcomes, wanted, likes, [False] * len(outcomes))
        right = [o.problem is None and self.same(o, w) for o, w in zip(outcomes, wanted)]
        again = self.outcome(learner, cases[0], likes[0], gradients=False)
        steady = self.same(again, outcomes[0], gradients=False)
        return Evidence(cases, outcomes, wanted, likes, right, steady)

    def outcome(self, learner: Learner, case: Case, like: Any, gradients: bool = True) -> Outcome:
        """What a function does on a case: its value by itself, then its gradients.

        `like` is a right answer, for its kind and shape.
        """
        found, _ = learner.run(case.arguments, like, case.requires_grad)
        if found.problem is None and gradients and case.gradient and self.differentiable:
            again, tensors = learner.run(case.arguments, like, self.differentiable)
            if again.problem is not None:
                return found._replace(parts=None, problem=again.problem)
            try:
                slopes = differentiate(again.parts, {n: tensors[n] for n in self.differentiable})
                found = found._replace(gradients=slopes)
            except RuntimeError as error:
                return Outcome(problem=no_derivative(error))
        return found._replace(parts=found.parts and tuple(p.detach() for p in found.parts))

    def same(self, a: Outcome, b: Outcome, gradients: bool = True) -> bool:
        """Whether two outcomes agree, at the accuracy of float32; of what type does not matter."""
        if a.parts is None or b.parts is None:
            return a.parts is b.parts and a.problem.key == b.problem.key
        if len(a.parts) != len(b.parts) or not all(map(self.close, a.parts, b.parts)):
            return False
        for name in a.gradients.keys() & b.gradients.keys() if gradients else ():
            x, y = a.gradients[name].double(), b.gradients[name].double()
            atol = 1e-4 + 1e-5 * float(y.abs().nan_to_num().max())
            if not torch.allclose(x, y, rtol=1e-3, atol=atol, equal_nan=True):
                return False
        return True

    def close(self, a: Tensor, b: Tensor) -> bool:
        """Whether two values agree in shape and at the accuracy of float32."""
        return a.shape == b.shape and torch.allclose(
            a.double(), b.double(), rtol=3e-5, atol=self.tolerance, equal_nan=True
        )

    def judge(self, answer: Callable, seed: int) -> CheckResult:
        """Say that it is right, or which mistake it makes, or else what it does."""
        n, evidence = self.number, self.examine(answer, self.draw_cases(seed))
        if all(evidence.right) and evidence.steady:
            rest = ", gradients too." if self.differentiable else "."
            text = f"`{self.__name__}` is right: {len(evidence.cases)} cases{rest}"
            return verdict(PASSED, n, text)
        example, details = counter_example(self, evidence)
        said = evidence.says_all()
        found = None if said else self.single(evidence) or self.several(evidence)
        if found is not None:
            return verdict(FAILED, n, f"{found.explanation}{example}", found.name, details)
        text, name = symptom(self, evidence, example)
        if evidence.steady and not said:
            add = not evidence.values_right(self)
            change = one_change(answer, lambda changed: self.gives_right(changed, evidence), add)
            if change is not None:
                return verdict(FAILED, n, *change.told(example or f"\n{text}", name, details))
        return verdict(FAILED, n, text, name, details)

    def gives_right(self, answer: Callable, evidence: Evidence) -> bool:
        """Whether another answer is right on the cases; the first wrong one of them comes first."""
        cases, _, wanted, likes, right, _ = evidence
        learner = Learner(answer, self.parameters, watch=False)

        def passes(k: int, gradients: bool = True) -> bool:
            found = self.outcome(learner, cases[k], likes[k], gradients)
            return found.problem is None and self.same(found, wanted[k], gradients)

        order = sorted(range(len(cases)), key=right.__getitem__)
        return passes(order[0], gradients=False) and all(map(passes, order))

    def _cut_off(self, wrong: Callable, evidence: Evidence) -> str:
        """Say what no gradient reaches, where the mistake by itself would let one through."""
        learner = Learner(wrong, self.parameters, watch=False)
        both = zip(evidence.cases, evidence.likes)
        theirs = [self.outcome(learner, case, like).gradients for case, like in both]
        found = [(o.gradients, g) for o, g in zip(evidence.outcomes, theirs) if o.gradients and g]
        through = [n for n in self.differentiable if any(g[n].any() for _, g in found)]
        cut = [n for n in through if not any(mine[n].any() for mine, _ in found)]
        return f" And no gradient reaches `{'` or `'.join(cut)}`." if cut else ""

    def gives_the_same(self, wrong: Callable, evidence: Evidence, gradients: bool) -> bool:
        """Whether a mistake does on every case what the answer does."""
        learner = Learner(wrong, self.parameters, watch=False)
        rows = zip(evidence.cases, evidence.likes, evidence.outcomes)
        return all(
            self.same(o, self.outcome(learner, case, like, gradients), gradients)
            for case, like, o in rows
        )

    def single(self, evidence: Evidence, loosely: bool = True) -> Mistake | None:
        """The known mistake that gives the answer's numbers, or that its extremes show.

        One that gives the gradients too comes first. `loosely`, values alone count where they are
        wrong: a name does not hang on the spelling, and a gradient may differ between spellings.
        """
        values_right = evidence.values_right(self)
        entries = self.catalogue() if evidence.steady else ()
        hits = [(m, f) for m, f in entries if self.gives_the_same(f, evidence, values_right)]
        right = evidence._replace(outcomes=evidence.wanted)
        hits = [(m, f) for m, f in hits if not self.gives_the_same(f, right, True)]  # not seen here
        exact = [m for m, f in hits if values_right or self.gives_the_same(f, evidence, True)]
        if exact:
            return exact[0] if len({m.name for m in exact}) == 1 else None  # or it is not told
        for found, wrong in hits:
            for m, f in with_a_gradient_cut(self, evidence, wrong):
                if self.gives_the_same(f, evidence, True):
                    return together([m, found])
        if hits and loosely:
            found, wrong = hits[0]
            return replace(found, explanation=found.explanation + self._cut_off(wrong, evidence))
        where = evidence.wrong_in()
        for m in self.known + self.reduction.mistakes:
            named_by_case = evidence.steady and not values_right and where == {m.extreme} != {""}
            if m.extreme(self, evidence) if callable(m.extreme) else named_by_case:
                return m
        return None

    def several(
        self, evidence: Evidence, searches: Sequence[Callable] = (wrong_factors, pairs)
    ) -> Mistake | None:
        """Terms with wrong factors or without gradients, or two known mistakes at once."""
        if not evidence.steady or any(o.parts is None for o in evidence.outcomes):
            return None
        if evidence.values_right(self):
            return detached_terms(self, evidence)
        for search in searches:
            for found, wrong in search(self, evidence):
                if self.gives_the_same(wrong, evidence, gradients=False):
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
    """Decorate the right answer of an exercise, which becomes the check of that number.

    `cases` yields the arguments of each call, away from convenient points, from a generator;
    `gradients` names the tensors whose gradients are compared; `reduction` turns the function's
    terms into the answer; `tolerance` is absolute, for values near 0 (relative it is 3e-5).
    """
    settings = (number, cases, tuple(gradients), reduction, tolerance, unit)
    return lambda formula: Exercise(formula, *settings)


def no_derivative(error: RuntimeError) -> Problem:
    """What is said of an answer through which torch cannot differentiate."""
    text = f"Your answer cannot be differentiated: {str(error).splitlines()[0]}"
    return Problem(("backward",), "gradients do not flow", text)


def differentiate(parts: tuple[Tensor, ...], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Differentiate a fixed weighted sum of an answer's entries; zeros where nothing arrives."""
    weighted = [
        (p.double() * torch.linspace(0.7, 1.9, p.numel(), dtype=torch.float64).reshape(p.shape))
        for p in parts
        if p.requires_grad
    ]
    if not tensors or not weighted:
        return {name: torch.zeros_like(t) for name, t in tensors.items()}
    total, sources = sum(term.sum() for term in weighted), list(tensors.values())
    found = torch.autograd.grad(total, sources, materialize_grads=True)
    return dict(zip(tensors, found))
