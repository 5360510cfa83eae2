"""Question of notebook 03: how dear a nat must be for a code to fall silent."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from .question import question
from .small_vae import digits


@functools.cache
def _worths() -> Tensor:
    """Nats of likelihood that the first nat of each latent is worth, the best first.

    A decoder whose logits are nearly those of the mean image is linear, and the likelihood
    quadratic: the worths are the eigenvalues of the pixels' covariance, each pixel divided by the
    standard deviation √(y(1 − y)) that a Bernoulli of its mean y has.
    """
    x = digits()[0]
    y = x.mean(0)
    x, y = x[:, y > 0], y[y > 0]
    return torch.linalg.eigvalsh(((x - y) / (y * (1 - y)).sqrt()).T.cov(correction=0)).flip(0)


@question(
    "3.6",
    factor=2,
    too_low="At this price the first nats of the code still gain more than they cost.",
    too_high="No nat of this code gains as much: it is silent long before.",
)
def silent_from() -> float:
    """The β from which on a code of the digits is silent."""
    return float(_worths()[0])


def _average() -> float:
    first = _worths()[:2]  # at β = 1 a latent gains (λ − 1) / 2 nats for a KL of log(λ) / 2
    return float((first - 1).sum() / first.log().sum())


silent_from.mistakes(
    (
        "the average nat",
        _average,
        "That is what a nat is worth on average. The first nats of a code tell the most, and at "
        "a higher price they are what is left.",
    ),
    (
        "one for one",
        lambda: 1.0,
        "At β = 1 the code carries several nats: each gains more than the one that it costs.",
    ),
    (
        "the hidden β",
        lambda: 784.0,
        "784 is the β of a mean over pixels. The code is silent there, but from a far lower β on.",
    ),
)
