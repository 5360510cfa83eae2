"""Checks of notebook 05: the draws that a KL needs, and the least KL of a Gaussian posterior."""

import math

import torch
from torch.distributions import Normal

from .mathematics import spike_and_slab
from .question import question

LATENTS, ERROR = 20, 0.1
ADD = "Variances add over 20 latents, and K divides the sum: 20 s² / K, with s about 1.5 nats."


def _moments(mu: float, sigma: float) -> tuple[float, float]:
    """Mean, the KL, and variance of log q − log p under q = N(mu, sigma²), by a sum on a grid."""
    q = Normal(torch.tensor(mu, dtype=torch.float64), sigma)
    z = q.loc + q.scale * torch.linspace(-8, 8, 4001, dtype=torch.float64)
    weight, terms = q.log_prob(z).softmax(0), q.log_prob(z) - spike_and_slab(z, 0.8, 0.05)
    mean = float((weight * terms).sum())
    return mean, float((weight * terms**2).sum()) - mean**2


def _variance() -> float:
    return _moments(0.8, 0.5)[1]


@question("5.2", factor=2, unit="draws", too_low=ADD, too_high=ADD)
def predicted_kl_draws() -> float:
    """Draws K for a standard error of 0.1 nats in the KL of 20 such latents (Eq. 5.3)."""
    return LATENTS * _variance() / ERROR**2


predicted_kl_draws.mistakes(
    ("one latent's", lambda: _variance() / ERROR**2, "About what one latent needs. " + ADD),
    (
        "the square forgotten",
        lambda: math.sqrt(LATENTS * _variance()) / ERROR,
        "The error falls with √K: a tenth of it takes a hundred times the draws.",
    ),
    ("errors added", lambda: LATENTS**2 * _variance() / ERROR**2, "Errors partly cancel. " + ADD),
)


@question(
    "5.4",
    factor=2,
    unit="nats",
    too_low="No single Gaussian is spike and slab at once, and 20 latents pay for that.",
    too_high="q may choose its width, and a narrow one costs far less than a nat per latent.",
)
def predicted_floor() -> float:
    """The KL of 20 latents that a Gaussian posterior cannot get below."""
    return LATENTS * min(_moments(0.0, k / 400)[0] for k in range(40, 201, 2))


predicted_floor.mistakes(
    ("free", lambda: 0.0, "A KL of 0 needs q = p, and no single Gaussian is this mixture."),
    ("one latent's", lambda: predicted_floor.right() / LATENTS, "About one latent's; here are 20."),
    (
        "q = N(0, 1)",
        lambda: LATENTS * _moments(0.0, 1.0)[0],
        "About what q = N(0, 1) pays, which a dense VAE has for nothing. A narrower q pays less.",
    ),
)
