"""Checks of notebook 08: the closed-form KL of a gated posterior."""

from collections.abc import Callable, Iterator
from math import log, log1p

import torch
from torch import Generator, Tensor
from torch.special import xlogy

from .common_mistakes import GAUSSIAN_KL, lift, per_image
from .draws import draw_posterior, narrow_posterior
from .exercise import Case, exercise
from .mathematics import kl_standard, kl_terms
from .mistakes import Terms
from .mistakes import mistake as M


def _gate_terms(on: Tensor, slab_prob: float) -> dict[str, Tensor]:
    """KL between the gates' Bernoulli distributions, per latent, finite at 0 and 1."""
    off = 1 - on
    return {
        "gates' KL: γ log γ": xlogy(on, on),
        "gates' KL: γ log α": -on * log(slab_prob),
        "gates' KL: (1 − γ) log(1 − γ)": xlogy(off, off),
        "gates' KL: (1 − γ) log(1 − α)": -off * log1p(-slab_prob),
    }


def _gate(on: Tensor, slab_prob: float) -> Tensor:
    return sum(_gate_terms(on, slab_prob).values())


def _other(g: Tensor, a: float) -> Tensor:
    return (1 - g) * log(a) + g * log(1 - a)


def _naive_gate(g: Tensor, a: Tensor) -> Tensor:
    return g * (g / a).log() + (1 - g) * ((1 - g) / (1 - a)).log()


def _cases(g: Generator) -> Iterator[Case]:
    def draw(B: int, D: int, slab_prob: float, q: Callable = draw_posterior) -> tuple:
        gates = 0.04 + 0.92 * torch.rand(B, D, generator=g)
        return (gates, *q(g, B, D), slab_prob)

    for B, D, slab_prob in ((4, 6, 0.2), (5, 5, 0.37), (9, 20, 0.85), (1, 4, 0.1), (6, 1, 0.3)):
        yield Case(draw(B, D, slab_prob))
    yield Case(draw(5, 4, 0.2, narrow_posterior), extreme="log_var")
    closed = draw(4, 5, 0.2)
    closed[0][0], closed[0][1], closed[0][2, ::2] = 0.0, 1.0, 1.0
    yield Case(closed, extreme="gate_prob", gradient=False)


@exercise("8.1", _cases, ["gate_prob", "mu", "log_var"], per_image("latents"))
def gated_kl(gate_prob: Tensor, mu: Tensor, log_var: Tensor, slab_prob: float) -> Terms:
    """`(gate_prob, mu, log_var, slab_prob) -> (B,)`, in nats; gates of 0 or 1 in value only."""
    gaussian = kl_terms(mu, log_var, gate_prob, "Gaussian KL")
    return Terms(_gate_terms(gate_prob, slab_prob) | gaussian)


def _kl(gaussian: Callable) -> Callable:
    """Build the KL from γ and the right Gaussian KL to the Gaussian part."""
    return lambda g, m, v, a: _gate(g, a) + gaussian(g, kl_standard(m, v))


right = gated_kl.right
gated_kl.mistakes(
    M("0 log 0", lambda g, m, v, a: _naive_gate(g, a) + g * kl_standard(m, v), extreme="gate_prob"),
    ("Gaussian KL not weighted by the gate", _kl(lambda g, kl: kl)),
    ("Gaussian KL weighted by the closed gate", _kl(lambda g, kl: (1 - g) * kl)),
    ("Gaussian KL weighted by the prior", lambda g, m, v, a: _gate(g, a) + a * kl_standard(m, v)),
    ("hard gate", _kl(lambda g, kl: (g > 0.5) * kl)),
    ("hard gate", lambda g, m, v, a: _gate((g > 0.5).to(g), a) + (g > 0.5) * kl_standard(m, v)),
    ("both terms weighted by the gate", lambda g, m, v, a: g * (_gate(g, a) + kl_standard(m, v))),
    ("gate inside the Gaussian KL", lambda g, m, v, a: _gate(g, a) + kl_standard(g * m, v)),
    ("μ gated too", lambda g, m, v, a: right(g, g * m, v, a)),
    ("log α in both terms", lambda g, m, v, a: right(g, m, v, a) - (1 - g) * log(a / (1 - a))),
    ("prior's logarithms unweighted", lambda *x: right(*x) - _other(*x[::3])),
    ("sigmoid of a probability", lambda g, m, v, a: right(g.sigmoid(), m, v, a)),
    ("slab_prob forgotten", lambda g, m, v, a: right(g, m, v, 0.5)),
    ("slab_prob taken for the spike's", lambda g, m, v, a: right(g, m, v, 1 - a)),
    ("gates' KL the wrong way round", lambda g, m, v, a: _naive_gate(a, g) + g * kl_standard(m, v)),
    ("sign", lambda g, m, v, a: -right(g, m, v, a)),
    *lift(GAUSSIAN_KL, lambda f: lambda g, m, v, a: _gate(g, a) + g * f(m, v)),
    ("gate detached", lambda g, m, v, a: right(g.detach(), m, v, a)),
    ("gate detached", _kl(lambda g, kl: g.detach() * kl)),
)
