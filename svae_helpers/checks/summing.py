"""How terms are summed up to an answer, and every way in which that goes wrong."""

from __future__ import annotations

from collections.abc import Callable

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


def weigh(cross_entropy: Callable, kl: Callable) -> Callable:
    """A loss from how each of its two terms is reduced."""
    return lambda terms: cross_entropy(terms[0]) + kl(terms[1])


def _right(t: Tensor) -> Tensor:
    return t.sum(1).mean()


LOSS = Reduction(  # of cross-entropy (B, P) and KL (B, D)
    weigh(_right, _right),
    (
        M("mean over pixels", weigh(torch.mean, _right)),
        M("mean over pixels", weigh(lambda b: b.mean(1).sum(), torch.sum)),
        M("mean over latents", weigh(_right, torch.mean)),
        M("mean over everything", weigh(torch.mean, torch.mean)),
        M("batch summed", weigh(torch.sum, torch.sum)),
        M("batch summed in one term", weigh(torch.sum, _right)),
        M("batch summed in one term", weigh(_right, torch.sum)),
        M("batch not averaged", weigh(lambda b: b.sum(1), lambda k: k.sum(1))),
        M("sign", lambda terms: -LOSS.right(terms)),
    ),
    lambda terms: (sum(terms[:2]), sum(terms[2:])),  # the first two are the cross-entropy's
)
