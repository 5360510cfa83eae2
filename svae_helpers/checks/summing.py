"""How terms are summed up to an answer, and every way in which that goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .mistakes import Reduction
from .mistakes import mistake as M


def per_image(what: str) -> Reduction:
    """Terms of shape (B, D) are summed over the last axis: (B,)."""
    mistakes = (
        M(f"mean over {what}", lambda t: t.mean(1)),
        M("batch summed", lambda t: t.sum()),
        M("batch averaged", lambda t: t.sum(1).mean()),
        M("mean over everything", lambda t: t.mean()),
        M(f"{what} not summed", lambda t: t),
        M("wrong axis", lambda t: t.sum(0)),
    )
    return Reduction(lambda t: t.sum(1), mistakes)


def _left_beta(exercise: Any, evidence: Any) -> bool:
    """Whether one β ≠ 1 in front of the KL explains every value."""
    betas = []
    for o in evidence.outcomes:
        if o.run.parts is None or o.run.parts[0].shape != ():
            return False
        if not o.case.extreme:
            terms = exercise.right(*o.case.arguments)
            cross_entropy, kl = (float(t.double().sum(1).mean()) for t in terms)
            betas.append((float(o.run.parts[0]) - cross_entropy) / kl)
    beta = torch.tensor(betas)
    return bool(abs(beta.mean() - 1) > 1e-2 and beta.std() < 1e-3 * beta.mean().abs())


def weigh(cross_entropy: Callable, kl: Callable) -> Callable:
    """A loss from how each of its two terms is reduced."""
    return lambda terms: cross_entropy(terms[0]) + kl(terms[1])


def _right(t: Tensor) -> Tensor:
    return t.sum(1).mean()


LOSS = Reduction(
    weigh(_right, _right),
    (
        M(
            "mean over pixels",
            weigh(torch.mean, _right),
            weigh(lambda b: b.mean(1).sum(), torch.sum),
        ),
        M("mean over latents", weigh(_right, torch.mean)),
        M("mean over everything", weigh(torch.mean, torch.mean)),
        M("batch summed", weigh(torch.sum, torch.sum)),
        M(
            "batch summed in one term",
            weigh(torch.sum, _right),
            weigh(_right, torch.sum),
            weigh(torch.sum, torch.mean),
        ),
        M("batch not averaged", weigh(lambda b: b.sum(1), lambda k: k.sum(1))),
        M("KL subtracted", weigh(_right, lambda k: -_right(k))),
        M("sign", lambda terms: -LOSS.right(terms)),
        M("log-likelihood added", weigh(lambda b: -_right(b), _right)),
        M("KL forgotten", weigh(_right, lambda k: 0 * k.sum())),
        M("reconstruction forgotten", weigh(lambda b: 0 * b.nan_to_num().sum(), _right)),
        M("KL detached", weigh(_right, lambda k: _right(k).detach())),
        M("reconstruction detached", weigh(lambda b: _right(b).detach(), _right)),
        M(
            "a β left in",
            weigh(_right, lambda k: 3.7 * _right(k)),
            extreme=_left_beta,
        ),
    ),
)
