"""Several mistakes at once: wrong factors of named terms, terms detached, pairs of mistakes."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from .learner import Learner, Outcome, as_parts
from .mistakes import Mistake, Terms, composed, texts_of
from .report import gradients_of

SAID = {  # by coefficient: the mistake's name, and what is said about the term
    0.0: ("forgotten", "is missing"),
    -1.0: ("with the wrong sign", "is added with the wrong sign"),
    2.0: ("counted twice", "is counted twice"),
    0.5: ("halved", "is halved"),
}
PLAIN = {1.0, *SAID, 3.0, 4.0, 0.25}  # another factor of a small term may stand for what it is not
DETACHED = {0.0: ("detached", "is detached: the values are right, the gradients are not")}


def fit(names: list[str], columns: list[Tensor], target: Tensor) -> dict[str, float] | None:
    """The factors with which columns add up to the target, by name; none for columns of zeros."""
    table, target = torch.stack(columns, dim=1).double(), target.double()
    live = table.abs().amax(dim=0) > 1e-9
    if not (table.isfinite().all() and target.isfinite().all() and live.any()):
        return None
    table = table[:, live]
    found = torch.linalg.lstsq(table, target).solution
    off = not torch.allclose(table @ found, target, rtol=1e-4, atol=5e-4)
    if off or len(target) < 2 * table.shape[1]:
        return None
    nice = [1.0, *SAID]
    factors = [next((r for r in nice if abs(r - c) < 2e-4), float(c)) for c in found]
    return dict(zip(itertools.compress(names, live), factors))


def scaled(exercise: Any, factors: dict, reduce: Callable, gradients: bool = False) -> Callable:
    """The answer with a factor on each term, or on its gradients alone, reduced in some way."""

    def answer(*arguments: Any) -> Any:
        terms = [(t, factors.get(n, 1.0)) for n, t in exercise.terms(*arguments).items()]
        detached = [(1 - c) * t.detach() if gradients else 0.0 for t, c in terms]
        return reduce(exercise.reduction.combine([c * t + d for (t, c), d in zip(terms, detached)]))

    return answer


def wrong_factors(exercise: Any, evidence: Any) -> Iterator[tuple[Mistake, Callable]]:
    """Mistakes that multiply terms: under the right reduction, then under each known wrong one."""
    pairs = zip(evidence.cases, evidence.outcomes)
    ordinary = [(case.arguments, o.parts[0].flatten()) for case, o in pairs if not case.extreme]
    terms = [exercise.terms(*arguments) for arguments, _ in ordinary]
    if not any(terms):
        return
    target = torch.cat([value for _, value in ordinary])
    alone = {name: [_alone(exercise, name, each) for each in terms] for name in terms[0]}
    reductions = [([], exercise.reduction.right)]
    reductions += [([m], f) for m in exercise.reduction.mistakes for f in m.variants]
    for reduction, reduce in reductions:
        try:
            columns = [
                torch.cat([as_parts(reduce(one))[0].flatten() for one in ones])
                for ones in alone.values()
            ]
            factors = fit(list(alone), columns, target)
        except (RuntimeError, IndexError):
            continue
        rounded = {name: float(f"{c:.3g}") for name, c in (factors or {}).items()}
        found = _said(exercise, rounded, SAID)
        alike = not exercise.draws and len(set(rounded.values())) == 1
        if found and not alike:  # one factor on everything: see `relation`
            yield together(found + reduction), scaled(exercise, factors, reduce)


def _alone(exercise: Any, name: str, terms: Terms) -> Any:
    """What a reduction takes, of one term alone."""
    parts = [t if n == name else torch.zeros_like(t) for n, t in terms.items()]
    return exercise.reduction.combine([part.detach() for part in parts])


def detached_terms(exercise: Any, evidence: Any) -> Mistake | None:
    """Which terms carry no gradient, where the values are right."""
    names = list(exercise.terms(*evidence.cases[0].arguments))
    rows = zip(evidence.cases, evidence.likes, evidence.outcomes)
    rows = [(case, like) for case, like, o in rows if o.gradients]
    if not names or not rows:
        return None
    if len(gradients_of(evidence)[2]) == 1:  # one argument that is cut off says more
        return None

    def flat(outcomes: Iterable[Outcome]) -> Tensor:
        return torch.cat([g.flatten() for o in outcomes for g in o.gradients.values()])

    columns = []
    for name in names:
        one = {n: float(n == name) for n in names}
        alone = scaled(exercise, one, exercise.reduction.right, gradients=True)
        learner = Learner(alone, exercise.parameters, watch=False)
        columns.append(flat(exercise.outcome(learner, case, like) for case, like in rows))
    factors = fit(names, columns, flat(evidence.outcomes)) or {}
    detached = set(factors.values()) == {0.0, 1.0}
    return together(_said(exercise, factors, DETACHED)) if detached else None


def _said(exercise: Any, factors: dict[str, float], words: dict) -> list[Mistake]:
    """Mistakes for the wrong factors; one where a whole group, "KL: …: …", has the same.

    None at all where a part of a group has an odd factor that is negative, or not alone wrong.
    """
    wrong: dict[float, list[str]] = {}
    odd = False
    for name, c in factors.items():
        parts = name.split(": ")
        starts = [": ".join(parts[:k]) for k in range(1, len(parts) + 1)]
        alike = (s for s in starts if {d for n, d in factors.items() if n.startswith(s)} == {c})
        group = next(alike)
        odd |= ": " in group and c not in PLAIN
        short = group.split(": ")[-1]
        if c != 1.0 and short not in wrong.setdefault(c, []):
            wrong[c].append(short)
    if odd and (min(wrong) < 0 or sum(map(len, wrong.values())) > 1):
        return []
    found = []
    for c, names in wrong.items():
        label, text = words.get(c, ("times a factor", f"is counted {c:.3g} times"))
        name, many = f"{', '.join(names)} {label}", len(names) > 1
        listed = ", ".join(f"`{name}`" for name in names)
        rest = ": mind the brackets of a factor" if many and c == 2.0 else ""
        said = f"The term{'s' * many} {listed} {text.replace('is', 'are', many)}{rest}."
        found.append(Mistake(name, (), texts_of(exercise.number).get(name, said)))
    return found


def pairs(exercise: Any, evidence: Any) -> Iterator[tuple[Mistake, Callable]]:
    """Two known mistakes that begin as the answer does: one in the other, or their errors added."""
    arguments, answer = evidence.cases[0].arguments, evidence.outcomes[0].parts[0].double()
    largest = float(answer.abs().max())

    def alike(value: Any) -> bool:
        (t, *_) = as_parts(value)
        same = t.shape == answer.shape and float((t - answer).abs().max()) < 1e-3 * (1 + largest)
        return same and exercise.close(t, answer)

    def begins(value: Callable) -> bool:
        with suppress(Exception), torch.no_grad():
            return alike(value())
        return False

    right, like = exercise.reduction.right, as_parts(evidence.likes[0])[0]
    terms = exercise.right(*arguments)

    def shows(value: Callable) -> bool:
        """Whether a mistake makes a difference here: in some noise, what is shared does not."""
        with suppress(Exception), torch.no_grad():
            return not exercise.close(as_parts(value())[0], like)
        return False

    inner = [(m, f) for m in exercise.known for f in m.variants if not hasattr(f, "whole")]
    inner = [(m, f) for m, f in inner if shows(lambda f=f: right(f(*arguments)))]
    reductions = [(m, f) for m in exercise.reduction.mistakes for f in m.variants]
    reductions = [(m, f) for m, f in reductions if shows(lambda f=f: f(terms))]
    for a, f in inner:
        with suppress(Exception), torch.no_grad():
            terms = f(*arguments)
        for b, g in reductions:
            if begins(lambda g=g, terms=terms: g(terms)):
                yield together([a, b]), composed(g, f)
    outer = [(m, f) for m, f in inner if _calls_right(exercise, f, arguments)]
    for (a, f), (b, g) in itertools.product(outer, inner):
        whole = composed(right, f)
        if a is not b and begins(lambda h=whole, g=g: exercise.nested(h, g, arguments)):
            yield together([a, b]), lambda *x, g=g, h=whole: exercise.nested(h, g, x)
    if not exercise.draws:
        yield from _added(exercise, arguments, answer)


def _added(exercise: Any, arguments: tuple, answer: Tensor) -> Iterator[tuple[Mistake, Callable]]:
    right, singles = as_parts(exercise.reference(*arguments))[0].double(), []
    for mistake, wrong in exercise.catalogue():
        with suppress(Exception):
            found = as_parts(wrong(*arguments))[0].double()
            if found.shape == right.shape == answer.shape:
                singles.append((mistake, wrong, found))
    if not singles:
        return
    errors = torch.stack([(found - right).flatten() for *_, found in singles])  # (n, numbers)
    off = (errors[:, None] + errors - (answer - right).flatten()).abs()
    alike = (off <= 2e-4 + 6e-5 * answer.abs().flatten()).all(-1).triu(1)
    for i, k in alike.nonzero().tolist():
        (a, f, _), (b, g, _) = singles[i], singles[k]
        yield together([a, b]), lambda *x, f=f, g=g: f(*x) + g(*x) - exercise.reference(*x)


def with_a_gradient_cut(
    exercise: Any, evidence: Any, wrong: Callable
) -> Iterator[tuple[Mistake, Callable]]:
    """A mistake together with each known one that has the right values, and wrong gradients."""
    arguments, like = evidence.cases[0].arguments, evidence.likes[0]
    for a, f in ((m, f) for m in exercise.known for f in m.variants if not hasattr(f, "whole")):
        same = False
        with suppress(Exception), torch.no_grad():
            same = exercise.close(exercise.reduction.right(f(*arguments)), like)
        if same:
            yield a, lambda *x, f=f: exercise.nested(wrong, f, x)


def _calls_right(exercise: Any, wrong: Callable, arguments: tuple) -> bool:
    calls: list[tuple] = []
    with suppress(Exception):
        exercise.nested(wrong, lambda *x: calls.append(x), arguments)
    return bool(calls)


def together(found: list[Mistake]) -> Mistake:
    """Several mistakes as one."""
    if len(found) == 1:
        return found[0]
    words = " And: ".join(mistake.explanation for mistake in found)
    several = {2: "Two", 3: "Three"}.get(len(found), "Several")
    text = f"{several} mistakes at once give your numbers. {words}"
    return Mistake(", and ".join(m.name for m in found), (), text)
