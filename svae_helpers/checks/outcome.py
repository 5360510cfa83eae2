"""What a function did on a case: values, gradients, problems; and whether two of them agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from .learner import Run


class Case(NamedTuple):
    """Arguments of one call; `extreme` names what is far out in it, such as "logits"."""

    arguments: tuple
    extreme: str = ""
    gradient: bool = True


@dataclass(frozen=True)
class Outcome:
    """What one function did on one case: a run, and its gradients by argument name."""

    case: Case
    run: Run
    gradients: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """Everything that a function did on all cases, beside what was wanted."""

    outcomes: tuple[Outcome, ...]
    wanted: tuple[Outcome, ...]
    right: tuple[bool, ...]
    steady: bool = True

    def wrong_in(self) -> set[str]:
        """Names of the extremes in which the answer is wrong; "" stands for ordinary cases."""
        return {o.case.extreme for r, o in zip(self.right, self.outcomes) if not r}


def as_numbers(outcome: Outcome) -> Outcome:
    """The outcome without a complaint about its type or shape, where it can be read at all."""
    run = outcome.run
    return (
        outcome if run.parts is None else Outcome(outcome.case, Run(run.parts), outcome.gradients)
    )


def detached(run: Run) -> Run:
    parts = run.parts and tuple(p.detach() for p in run.parts)
    return Run(parts, run.problem, run.changed, run.uses_numpy)


def differentiate(parts: tuple[Tensor, ...], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Differentiate a fixed weighted sum of an answer's entries; zeros where nothing arrives."""
    zeros = {name: torch.zeros_like(t) for name, t in tensors.items()}
    parts = tuple(p for p in parts if p.requires_grad)
    if not tensors or not parts:
        return zeros
    weighted = (
        (p.double() * torch.linspace(0.7, 1.9, p.numel(), dtype=torch.float64).reshape(p.shape))
        for p in parts
    )
    total = sum(term.sum() for term in weighted)
    found = torch.autograd.grad(total, list(tensors.values()), allow_unused=True)
    return {n: zeros[n] if g is None else g for n, g in zip(tensors, found)}


def same_gradient(a: Tensor, b: Tensor) -> bool:
    """Whether two gradients agree, on the scale of the right one."""
    a, b = a.double(), b.double()
    scale = float(b.abs().nan_to_num().max()) if b.numel() else 0.0
    return torch.allclose(a, b, rtol=1e-3, atol=1e-4 + 1e-5 * scale, equal_nan=True)
