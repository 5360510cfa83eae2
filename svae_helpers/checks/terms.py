"""Answers that are sums of named terms: which one is missing, flipped, doubled or detached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from .learner import as_parts
from .mistakes import Mistake, texts_of
from .outcome import Evidence, differentiate

SAID = {  # by coefficient: the mistake's name, and what is said about the term
    0.0: ("forgotten", "is missing"),
    -1.0: ("with the wrong sign", "is added with the wrong sign"),
    2.0: ("counted twice", "is counted twice"),
    0.5: ("halved", "is halved"),
}


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
    return dict(zip([n for n, here in zip(names, live) if here], factors))


def scaled(exercise: Any, factors: dict[str, float], reduce: Callable) -> Callable:
    """The answer with a factor in front of each term, reduced in some way."""

    def answer(*arguments: Any) -> Any:
        terms = exercise.terms(*arguments).items()
        return reduce(exercise.reduction.combine([factors.get(n, 1.0) * t for n, t in terms]))

    return answer


def wrong_factors(exercise: Any, evidence: Evidence) -> Iterator[tuple[Mistake, Callable]]:
    """Mistakes that multiply terms: under the right reduction, then under each known wrong one."""
    ordinary = [o for o in evidence.outcomes if not o.case.extreme]
    reductions = [(None, exercise.reduction.right)]
    reductions += [(m, f) for m in exercise.reduction.mistakes for f in m.variants]
    names = list(exercise.terms(*ordinary[0].case.arguments))
    for reduction, reduce in reductions:
        alone = [scaled(exercise, {m: float(m == n) for m in names}, reduce) for n in names]
        try:
            columns = [torch.cat([_flat(f(*o.case.arguments)) for o in ordinary]) for f in alone]
            factors = fit(names, columns, torch.cat([o.run.parts[0].flatten() for o in ordinary]))
        except (RuntimeError, IndexError):
            continue
        if factors is None or len(_shown(factors)) == 1:  # on everything: see `relation`
            continue
        found = _said(exercise, factors, _multiplied)
        found += [reduction] if reduction else []
        yield together(found), scaled(exercise, factors, reduce)


def detached_terms(exercise: Any, evidence: Evidence) -> Mistake | None:
    """Which terms carry no gradient, where the values are right."""
    names, columns, targets = [], [], []
    for o in evidence.outcomes:
        if not o.gradients:
            continue
        tensors = {
            n: a.detach().double().requires_grad_(n in exercise.differentiable)
            for n, a in zip(exercise.parameters, o.case.arguments)
            if isinstance(a, Tensor) and a.is_floating_point()
        }
        given = [tensors.get(n, a) for n, a in zip(exercise.parameters, o.case.arguments)]
        names = list(exercise.terms(*given))
        rows = []
        for name in names:
            alone = [t if n == name else t.detach() for n, t in exercise.terms(*given).items()]
            value = as_parts(exercise.reduction.right(exercise.reduction.combine(alone)))
            wanted = {n: tensors[n] for n in o.gradients}
            rows.append(torch.cat([g.flatten() for g in differentiate(value, wanted).values()]))
        columns.append(torch.stack(rows))
        targets.append(torch.cat([g.flatten() for g in o.gradients.values()]))
    factors = columns and fit(names, list(torch.cat(columns, dim=1)), torch.cat(targets))
    if not factors or set(factors.values()) != {0.0, 1.0}:
        return None
    return together(_said(exercise, factors, _detached))


def _shown(factors: dict[str, float]) -> set[str]:
    return {f"{c:.3g}" for c in factors.values()}


def _flat(value: Any) -> Tensor:
    return as_parts(value)[0].flatten()


def _said(exercise: Any, factors: dict[str, float], say: Callable) -> list[Mistake]:
    """Mistakes for the wrong factors; one where a whole group, "KL: …: …", has the same."""
    wrong: dict[float, list[str]] = {}
    factors = {name: float(f"{c:.3g}") for name, c in factors.items()}
    for name, c in factors.items():
        parts = name.split(": ")
        starts = [": ".join(parts[:k]) for k in range(1, len(parts) + 1)]
        alike = (s for s in starts if {d for n, d in factors.items() if n.startswith(s)} == {c})
        short = next(alike).split(": ")[-1]
        if c != 1.0 and short not in wrong.setdefault(c, []):
            wrong[c].append(short)
    found = []
    for c, names in wrong.items():
        label, text = say(c)
        listed, many = ", ".join(f"`{name}`" for name in names), len(names) > 1
        rest = ": mind the brackets of a factor" if many and c == 2.0 else ""
        said = f"The term{'s' * many} {listed} {text.replace('is', 'are', many)}{rest}."
        name = f"{', '.join(names)} {label}"
        found.append(Mistake(name, (), texts_of(exercise.number).get(name, said)))
    return found


def _multiplied(c: float) -> tuple[str, str]:
    return SAID.get(c, ("times a factor", f"is counted {c:.3g} times"))


def _detached(c: float) -> tuple[str, str]:
    return "detached", "is detached: the values are right, the gradients are not"


def together(found: list[Mistake]) -> Mistake:
    """Several mistakes as one."""
    if len(found) == 1:
        return found[0]
    words = " And: ".join(mistake.explanation for mistake in found)
    several = {2: "Two", 3: "Three"}.get(len(found), "Several")
    text = f"{several} mistakes at once give your numbers. {words}"
    return Mistake(", and ".join(m.name for m in found), (), text)
