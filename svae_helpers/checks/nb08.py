"""Checks of notebook 08: the closed-form KL of a gated posterior."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ._exact import Case, Evidence, Exercise, Misconception
from ._result import CheckResult
from .nb03 import draw_posterior, kl_standard


def _gate(gate_prob: Tensor, slab_prob: float) -> Tensor:
    """KL between the gates' Bernoulli distributions, per latent, finite at 0 and 1."""
    on = torch.special.xlogy(gate_prob, gate_prob) - gate_prob * math.log(slab_prob)
    off = torch.special.xlogy(1 - gate_prob, 1 - gate_prob)
    return on + off - (1 - gate_prob) * math.log1p(-slab_prob)


def _kl(g: Tensor, m: Tensor, v: Tensor, a: float) -> Tensor:
    return (_gate(g, a) + g * kl_standard(m, v)).sum(1)


def _reference(gate_prob: Tensor, mu: Tensor, log_var: Tensor, slab_prob: float) -> Tensor:
    # The entropy form: −H(gate) − E[log prior of the gate] + γ·KL of the Gaussian.
    entropy = torch.special.entr(gate_prob) + torch.special.entr(1 - gate_prob)
    expected = gate_prob * math.log(slab_prob) + (1 - gate_prob) * math.log1p(-slab_prob)
    gaussian = 0.5 * (mu.square() + torch.expm1(log_var) - log_var)
    return (gate_prob * gaussian - entropy - expected).sum(dim=1)


def _cases(g: Generator) -> list[Case]:
    def draw(B: int, D: int, slab_prob: float) -> tuple:
        gates = 0.04 + 0.92 * torch.rand(B, D, generator=g)
        return (gates, *draw_posterior(g, B, D), slab_prob)

    closed = draw(4, 5, 0.2)
    closed[0][0], closed[0][1], closed[0][2, ::2] = 0.0, 1.0, 1.0
    return [
        Case(draw(4, 6, 0.2)),
        Case(draw(5, 5, 0.37)),
        Case(draw(9, 20, 0.85)),
        Case(draw(1, 4, 0.1)),
        Case(draw(6, 1, 0.3)),
        Case(closed, extreme=True, gradient=False),
    ]


def _nan_at_the_ends(evidence: Evidence) -> bool:
    return evidence.wrong_only_in_extremes()


GATED_KL = Exercise(
    name="gated_kl",
    number="8.1",
    parameters=("gate_prob", "mu", "log_var", "slab_prob"),
    reference=_reference,
    cases=_cases,
    differentiable=("gate_prob", "mu", "log_var"),
    misconceptions=(
        Misconception(
            "0 log 0",
            (
                lambda g, m, v, a: (
                    g * (g / a).log() + (1 - g) * ((1 - g) / (1 - a)).log() + g * kl_standard(m, v)
                ).sum(1),
            ),
            "It is right for half-open gates only. At γ = 0 or 1, `0 · log 0` is NaN in floating "
            "point though its limit is 0: use `torch.xlogy`.",
            symptom=_nan_at_the_ends,
        ),
        Misconception(
            "gates' KL forgotten",
            lambda g, m, v, a: (g * kl_standard(m, v)).sum(1),
            "The gates themselves cost nats: the Bernoulli KL between γ and the prior's "
            "`slab_prob` is missing.",
        ),
        Misconception(
            "Gaussian KL forgotten",
            lambda g, m, v, a: _gate(g, a).sum(1),
            "The Gaussian part is missing: an open gate pays for its slab as well.",
        ),
        Misconception(
            "Gaussian KL not weighted by the gate",
            lambda g, m, v, a: (_gate(g, a) + kl_standard(m, v)).sum(1),
            "A closed gate has no Gaussian to pay for: weigh the Gaussian KL with γ.",
        ),
        Misconception(
            "Gaussian KL weighted by the closed gate",
            lambda g, m, v, a: (_gate(g, a) + (1 - g) * kl_standard(m, v)).sum(1),
            "You weigh the Gaussian KL with 1 − γ; it is paid when the gate is open.",
        ),
        Misconception(
            "Gaussian KL weighted by the prior",
            lambda g, m, v, a: (_gate(g, a) + a * kl_standard(m, v)).sum(1),
            "You weigh the Gaussian KL with `slab_prob`. The expectation is under q: weigh with γ.",
        ),
        Misconception(
            "both terms weighted by the gate",
            lambda g, m, v, a: (g * (_gate(g, a) + kl_standard(m, v))).sum(1),
            "You weigh the gates' KL with γ too; a gate costs nats whether open or closed.",
        ),
        Misconception(
            "slab_prob taken for the spike's",
            lambda g, m, v, a: _kl(g, m, v, 1 - a),
            "Here `slab_prob` is the probability that a latent is on; you use it as off.",
        ),
        Misconception(
            "gates' KL the wrong way round",
            lambda g, m, v, a: (
                a * (math.log(a) - g.log())
                + (1 - a) * (math.log(1 - a) - (1 - g).log())
                + g * kl_standard(m, v)
            ).sum(1),
            "You take the gates' KL from the prior to the posterior. The expectation is under q: "
            "γ log(γ/α) + (1 − γ) log((1 − γ)/(1 − α)).",
        ),
        Misconception(
            "closed gates forgotten",
            lambda g, m, v, a: (torch.xlogy(g, g) - g * math.log(a) + g * kl_standard(m, v)).sum(1),
            "The term (1 − γ) log((1 − γ)/(1 − α)) of the closed gate is missing.",
        ),
        Misconception(
            "sign of the gates' KL",
            lambda g, m, v, a: (g * kl_standard(m, v) - _gate(g, a)).sum(1),
            "The gates' KL is subtracted; it is added.",
        ),
        Misconception(
            "sign",
            lambda g, m, v, a: -_kl(g, m, v, a),
            "The sign is the wrong way round. A KL divergence is never negative.",
        ),
        Misconception(
            "sign of the Gaussian KL",
            lambda g, m, v, a: (_gate(g, a) - g * kl_standard(m, v)).sum(1),
            "The Gaussian KL is subtracted; it is added.",
        ),
        Misconception(
            "entropy only",
            lambda g, m, v, a: (
                torch.xlogy(g, g) + torch.xlogy(1 - g, 1 - g) + g * kl_standard(m, v)
            ).sum(1),
            "The prior's `slab_prob` is missing from the gates' KL: that is minus their entropy.",
        ),
        Misconception(
            "cross-entropy for KL",
            lambda g, m, v, a: (
                -g * math.log(a) - (1 - g) * math.log(1 - a) + g * kl_standard(m, v)
            ).sum(1),
            "The gates' entropy is missing: that is the cross-entropy between γ and α.",
        ),
        Misconception(
            "lost ½",
            lambda g, m, v, a: (_gate(g, a) + 2 * g * kl_standard(m, v)).sum(1),
            "The factor ½ of the Gaussian KL is missing.",
        ),
        Misconception(
            "log_var taken for log σ",
            lambda g, m, v, a: (_gate(g, a) + g * kl_standard(m, 2 * v)).sum(1),
            "In the Gaussian KL you take `log_var` for log σ: σ² is `log_var.exp()`.",
        ),
        Misconception(
            "σ where σ² belongs",
            lambda g, m, v, a: (_gate(g, a) + g * 0.5 * (m**2 + (0.5 * v).exp() - 1 - v)).sum(1),
            "In the Gaussian KL you use σ where the formula has σ² = `log_var.exp()`.",
        ),
        Misconception(
            "mean over latents",
            lambda g, m, v, a: _kl(g, m, v, a) / g.shape[1],
            "You average over the latents. Independent latents add their KLs.",
        ),
        Misconception(
            "batch averaged",
            lambda g, m, v, a: _kl(g, m, v, a).mean(),
            "You average over the batch; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "batch summed",
            lambda g, m, v, a: _kl(g, m, v, a).sum(),
            "You sum over the batch; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "latents not summed",
            lambda g, m, v, a: _gate(g, a) + g * kl_standard(m, v),
            "You return one number per latent; sum over the last axis.",
        ),
        Misconception(
            "gate detached",
            (
                lambda g, m, v, a: _kl(g.detach(), m, v, a),
                lambda g, m, v, a: (_gate(g, a) + g.detach() * kl_standard(m, v)).sum(1),
                lambda g, m, v, a: (_gate(g.detach(), a) + g * kl_standard(m, v)).sum(1),
            ),
            "The value is right, but γ is detached: no gradient opens or closes a gate.",
        ),
    ),
)


def gated_kl(answer: Callable) -> CheckResult:
    """Check exercise 8.1: `(gate_prob, mu, log_var, slab_prob) -> (B,)`, in nats.

    Gates that are 0 or 1 are tested in value only.

    Args:
        answer: the learner's function of three (B, D) tensors and a Python number.
    """
    return GATED_KL.check(answer)
