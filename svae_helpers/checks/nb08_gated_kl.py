"""Checks of notebook 08: the closed-form KL of a gated posterior."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor
from torch.special import xlogy

from .common_mistakes import GAUSSIAN_KL, lift
from .exercise import Case, exercise
from .mathematics import draw_posterior, kl_standard, narrow_posterior
from .mistakes import mistake as M
from .summing import per_image


def _gate(gate_prob: Tensor, slab_prob: float) -> Tensor:
    """KL between the gates' Bernoulli distributions, per latent, finite at 0 and 1."""
    on = xlogy(gate_prob, gate_prob) - gate_prob * math.log(slab_prob)
    off = xlogy(1 - gate_prob, 1 - gate_prob)
    return on + off - (1 - gate_prob) * math.log1p(-slab_prob)


def _naive_gate(g: Tensor, a: float) -> Tensor:
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


@exercise(
    "8.1",
    _cases,
    gradients=["gate_prob", "mu", "log_var"],
    reduction=per_image("latents"),
)
def gated_kl(gate_prob: Tensor, mu: Tensor, log_var: Tensor, slab_prob: float) -> Tensor:
    """`(gate_prob, mu, log_var, slab_prob) -> (B,)`, in nats.

    The learner's function takes three (B, D) tensors and a Python number. Gates that are 0 or 1
    are tested in value only.
    """
    # The entropy form: −H(gate) − E[log prior of the gate] + γ·KL of the Gaussian.
    entropy = torch.special.entr(gate_prob) + torch.special.entr(1 - gate_prob)
    expected = gate_prob * math.log(slab_prob) + (1 - gate_prob) * math.log1p(-slab_prob)
    return gate_prob * kl_standard(mu, log_var) - entropy - expected


gated_kl.mistakes(
    M(
        "0 log 0",
        lambda g, m, v, a: _naive_gate(g, a) + g * kl_standard(m, v),
        lambda g, m, v, a: gated_kl.right(g.clamp(1e-4, 1 - 1e-4), m, v, a),
        extreme="gate_prob",
    ),
    ("gates' KL forgotten", lambda g, m, v, a: g * kl_standard(m, v)),
    ("Gaussian KL forgotten", lambda g, m, v, a: _gate(g, a)),
    ("Gaussian KL not weighted by the gate", lambda g, m, v, a: _gate(g, a) + kl_standard(m, v)),
    (
        "Gaussian KL weighted by the closed gate",
        lambda g, m, v, a: _gate(g, a) + (1 - g) * kl_standard(m, v),
    ),
    ("Gaussian KL weighted by the prior", lambda g, m, v, a: _gate(g, a) + a * kl_standard(m, v)),
    (
        "hard gate",
        lambda g, m, v, a: _gate(g, a) + (g > 0.5) * kl_standard(m, v),
        lambda g, m, v, a: _gate((g > 0.5).to(g), a) + (g > 0.5) * kl_standard(m, v),
    ),
    ("both terms weighted by the gate", lambda g, m, v, a: g * (_gate(g, a) + kl_standard(m, v))),
    ("slab_prob taken for the spike's", lambda g, m, v, a: gated_kl.right(g, m, v, 1 - a)),
    (
        "gates' KL the wrong way round",
        lambda g, m, v, a: (
            a * (math.log(a) - g.log())
            + (1 - a) * (math.log(1 - a) - (1 - g).log())
            + g * kl_standard(m, v)
        ),
    ),
    (
        "closed gates forgotten",
        lambda g, m, v, a: xlogy(g, g) - g * math.log(a) + g * kl_standard(m, v),
    ),
    (
        "open gates forgotten",
        lambda g, m, v, a: _gate(g, a) - xlogy(g, g) + g * math.log(a) + g * kl_standard(m, v),
    ),
    ("sign of the gates' KL", lambda g, m, v, a: g * kl_standard(m, v) - _gate(g, a)),
    ("sign", lambda g, m, v, a: -gated_kl.right(g, m, v, a)),
    ("sign of the Gaussian KL", lambda g, m, v, a: _gate(g, a) - g * kl_standard(m, v)),
    ("entropy only", lambda g, m, v, a: xlogy(g, g) + xlogy(1 - g, 1 - g) + g * kl_standard(m, v)),
    (
        "cross-entropy for KL",
        lambda g, m, v, a: -g * math.log(a) - (1 - g) * math.log(1 - a) + g * kl_standard(m, v),
    ),
    *lift(GAUSSIAN_KL, lambda f: lambda g, m, v, a: _gate(g, a) + g * f(m, v)),
    (
        "gate detached",
        lambda g, m, v, a: gated_kl.right(g.detach(), m, v, a),
        lambda g, m, v, a: _gate(g, a) + g.detach() * kl_standard(m, v),
        lambda g, m, v, a: _gate(g.detach(), a) + g * kl_standard(m, v),
    ),
)
