"""Checks of notebook 06: the loss of the sparse VAE."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ._exact import Case, Exercise, Misconception
from ._result import CheckResult
from .nb03 import (
    BERNOULLI,
    CLAMP,
    bce,
    draw_pixels,
    draw_posterior,
    kl_standard,
    underflow,
    wrong_pixels,
)
from .nb04 import LOG_PROB, SWAPPED, VARIANCE, log_normal, spike_and_slab


def log_q(z: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    """log N(z; mu, exp(log_var)) per latent, in nats."""
    return -0.5 * ((z - mu) ** 2 / log_var.exp() + log_var + math.log(2 * math.pi))


def _reference(
    logits: Tensor,
    x: Tensor,
    mu: Tensor,
    log_var: Tensor,
    z: Tensor,
    spike_prob: float,
    spike_var: float,
) -> Tensor:
    q = torch.distributions.Normal(mu, log_var.exp().sqrt())
    kl = q.log_prob(z) - LOG_PROB.reference(z, spike_prob, spike_var)  # (B, D)
    return (kl.sum(dim=1) - BERNOULLI.reference(logits, x)).mean()


def _cases(g: Generator) -> list[Case]:
    def draw(B: int, P: int, D: int, p: float, v: float, wrong: bool = False) -> tuple:
        pixels = wrong_pixels(g, B, P) if wrong else draw_pixels(g, B, P)
        mu, log_var = draw_posterior(g, B, D)
        z = mu + (0.5 * log_var).exp() * torch.randn(B, D, generator=g)
        return (*pixels, mu, log_var, z, p, v)

    far = draw(2, 6, 3, 0.8, 0.05)
    far = (*far[:2], far[2] + 27.0, far[3], far[4] + 27.0, *far[5:])
    wide = draw(3, 7, 2, 0.75, 0.15)
    wide = (*wide[:3], wide[3].abs() + 0.1, *wide[4:])
    return [
        Case(draw(4, 9, 3, 0.8, 0.05)),
        Case(wide),
        Case(draw(6, 784, 20, 0.7, 0.12)),
        Case(draw(5, 5, 5, 0.9, 0.3)),
        Case(draw(1, 6, 2, 0.6, 0.2)),
        Case(draw(3, 8, 1, 0.85, 0.01)),
        Case(draw(2, 5, 4, 0.8, 0.05, wrong=True), extreme=True),
        Case(far, extreme=True),
    ]


def _loss(
    reconstruct: Callable = lambda b: b.sum(1).mean(),
    regularise: Callable = lambda k: k.sum(1).mean(),
    cross_entropy: Callable = bce,
    posterior: Callable = log_q,
    prior: Callable = spike_and_slab,
) -> Callable:
    """Put a loss together from its parts and how each is reduced."""
    return lambda l, x, m, v, z, p, s: (
        reconstruct(cross_entropy(l, x)) + regularise(posterior(z, m, v) - prior(z, p, s))
    )


def _fresh_draw(
    l: Tensor, x: Tensor, m: Tensor, v: Tensor, z: Tensor, p: float, s: float
) -> Tensor:
    other = m + (0.5 * v).exp() * torch.randn_like(m)
    return (
        bce(l, x).sum(1).mean() + (log_q(other, m, v) - spike_and_slab(other, p, s)).sum(1).mean()
    )


def _fresh_draw_for_prior(
    l: Tensor, x: Tensor, m: Tensor, v: Tensor, z: Tensor, p: float, s: float
) -> Tensor:
    other = m + (0.5 * v).exp() * torch.randn_like(m)
    return bce(l, x).sum(1).mean() + (log_q(z, m, v) - spike_and_slab(other, p, s)).sum(1).mean()


def _entropy_closed(z: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    return -0.5 * (1 + log_var + math.log(2 * math.pi)) + 0 * z


SPARSE_VAE_LOSS = Exercise(
    name="sparse_vae_loss",
    number="6.1",
    parameters=("logits", "x", "mu", "log_var", "z", "spike_prob", "spike_var"),
    reference=_reference,
    cases=_cases,
    differentiable=("logits", "mu", "log_var", "z"),
    layout="all",
    misconceptions=(
        Misconception(
            "mean over pixels",
            _loss(reconstruct=lambda b: b.mean()),
            "The cross-entropy is averaged over the pixels and the KL summed over the latents: "
            "that multiplies the KL by the number of pixels.",
        ),
        Misconception(
            "mean over latents",
            _loss(regularise=lambda k: k.mean()),
            "The KL is averaged over the latents beside a cross-entropy that is summed over the "
            "pixels: a hidden β of 1/D, and the sparsity is gone.",
        ),
        Misconception(
            "mean over everything",
            _loss(lambda b: b.mean(), lambda k: k.mean()),
            "Pixels and latents are averaged, each over its own number: a hidden β of P/D. Sum "
            "both, and average over the batch only.",
        ),
        Misconception(
            "batch summed",
            _loss(lambda b: b.sum(), lambda k: k.sum()),
            "You sum over the batch. Per image means the average over the batch.",
        ),
        Misconception(
            "batch summed in one term",
            (
                _loss(reconstruct=lambda b: b.sum()),
                _loss(regularise=lambda k: k.sum()),
                _loss(lambda b: b.sum(), lambda k: k.mean()),
            ),
            "One term is summed over the batch and the other averaged: a hidden β that changes "
            "with the batch size.",
        ),
        Misconception(
            "batch not averaged",
            lambda l, x, m, v, z, p, s: (
                bce(l, x).sum(1) + (log_q(z, m, v) - spike_and_slab(z, p, s)).sum(1)
            ),
            "You return one number per image; average over the batch.",
        ),
        Misconception(
            "KL subtracted",
            _loss(regularise=lambda k: -k.sum(1).mean()),
            "You add log p(z) − log q(z). The loss has log q(z) − log p(z), the KL's integrand.",
        ),
        Misconception(
            "sign",
            _loss(lambda b: -b.sum(1).mean(), lambda k: -k.sum(1).mean()),
            "That is the ELBO. The loss is minus the ELBO, so that a smaller one is better.",
        ),
        Misconception(
            "log-likelihood added",
            _loss(reconstruct=lambda b: -b.sum(1).mean()),
            "You add the log-likelihood. The loss has minus the log-likelihood: cross-entropy.",
        ),
        Misconception(
            "KL forgotten",
            _loss(regularise=lambda k: 0 * k.sum()),
            "The KL is missing; what is left is an autoencoder.",
        ),
        Misconception(
            "reconstruction forgotten",
            _loss(reconstruct=lambda b: 0 * b.sum()),
            "The reconstruction term is missing.",
        ),
        Misconception(
            "log q forgotten",
            _loss(posterior=lambda z, m, v: 0 * z),
            "log q(z) is missing: nothing keeps the posterior from shrinking to a point.",
        ),
        Misconception(
            "log p forgotten",
            _loss(prior=lambda z, p, s: 0 * z),
            "log p(z) is missing: the prior has no say.",
        ),
        Misconception(
            "spike and slab swapped",
            _loss(prior=lambda z, p, s: spike_and_slab(z, 1 - p, s)),
            SWAPPED,
        ),
        Misconception(
            "spike_var used as a standard deviation",
            _loss(prior=lambda z, p, s: spike_and_slab(z, p, s**2)),
            VARIANCE,
        ),
        Misconception(
            "sum of logs for log of sum",
            _loss(prior=lambda z, p, s: p * log_normal(z, s) + (1 - p) * log_normal(z, 1.0)),
            "In log p(z) you mix the log-densities. A mixture adds densities; the logarithm comes "
            "last.",
        ),
        Misconception(
            "weights forgotten",
            _loss(prior=lambda z, p, s: torch.logaddexp(log_normal(z, s), log_normal(z, 1.0))),
            "The two components of the prior are not weighted with `spike_prob` and "
            "1 − `spike_prob`.",
        ),
        Misconception(
            "product of mixtures for one mixture per vector",
            lambda l, x, m, v, z, p, s: (
                bce(l, x).sum(1)
                + log_q(z, m, v).sum(1)
                - torch.logaddexp(
                    math.log(p) + log_normal(z, s).sum(1),
                    math.log(1 - p) + log_normal(z, 1.0).sum(1),
                )
            ).mean(),
            "You let a whole vector be spike or slab. Each latent has a mixture of its own: mix "
            "first, then sum over the latents.",
        ),
        Misconception(
            "log_var taken for log σ",
            _loss(posterior=lambda z, m, v: log_q(z, m, 2 * v)),
            "In log q you take `log_var` for log σ: σ = exp(log_var / 2).",
        ),
        Misconception(
            "log_var taken for σ",
            (
                _loss(posterior=lambda z, m, v: log_q(z, m, 2 * v.abs().log())),
                _loss(posterior=lambda z, m, v: log_q(z, m, 2 * v.log())),
                _loss(posterior=lambda z, m, v: log_q(z, m, v.log())),
            ),
            "You use `log_var` as σ or σ². It is a logarithm: σ = exp(log_var / 2).",
        ),
        Misconception(
            "log q without its normaliser",
            _loss(posterior=lambda z, m, v: -0.5 * (z - m) ** 2 / v.exp()),
            "log q lacks − log σ − ½ log(2π), and σ is learnt: it is no constant.",
        ),
        Misconception(
            "closed-form entropy",
            (
                _loss(posterior=_entropy_closed),
                _loss(posterior=lambda z, m, v: -0.5 * (1 + v + math.log(2 * math.pi))),
            ),
            "You use the entropy's closed form. Here log q is taken at the same draw z as log p: "
            "when q meets p the two errors cancel.",
        ),
        Misconception(
            "KL to N(0, I)",
            lambda l, x, m, v, z, p, s: (bce(l, x).sum(1) + kl_standard(m, v).sum(1)).mean(),
            "That is the dense VAE's loss: the KL to N(0, I), without the spike.",
        ),
        Misconception(
            "KL from a different draw than stated",
            (_fresh_draw, _fresh_draw_for_prior),
            "You draw a new z inside. The KL is taken at the z that made the logits, so that both "
            "terms speak of the same code.",
            symptom=lambda evidence: evidence.changes_from_call_to_call,
        ),
        Misconception(
            "evaluated at the mean",
            (
                lambda l, x, m, v, z, p, s: _loss()(l, x, m, v, m, p, s) + 0 * z.sum(),
                _loss(prior=lambda z, p, s: spike_and_slab(0 * z, p, s)),
            ),
            "You take the KL's integrand at the mean `mu`. It is taken at the draw z.",
        ),
        Misconception(
            "sigmoid twice",
            _loss(cross_entropy=lambda l, x: bce(l.sigmoid(), x)),
            "You hand probabilities to a function that wants logits.",
        ),
        Misconception(
            "underflow or clamped probabilities",
            (
                _loss(
                    cross_entropy=lambda l, x: F.binary_cross_entropy(
                        l.sigmoid(), x, reduction="none"
                    )
                ),
                _loss(
                    prior=lambda z, p, s: (
                        p * log_normal(z, s).exp() + (1 - p) * log_normal(z, 1.0).exp()
                    ).log()
                ),
            ),
            CLAMP + " The same holds for log p(z): use `torch.logaddexp`.",
            symptom=underflow,
        ),
        Misconception(
            "detached sample",
            (
                lambda l, x, m, v, z, p, s: _loss()(l, x, m, v, z.detach(), p, s),
                _loss(prior=lambda z, p, s: spike_and_slab(z.detach(), p, s)),
            ),
            "The value is right, but z is detached: the prior's log-density carries no gradient, "
            "and what is left, log q, pulls nowhere on average.",
        ),
        Misconception(
            "KL detached",
            _loss(regularise=lambda k: k.sum(1).mean().detach()),
            "The value is right, but the KL is detached: it never pulls on the encoder.",
        ),
    ),
)


def sparse_vae_loss(answer: Callable) -> CheckResult:
    """Check exercise 6.1: the sparse VAE's loss in nats per image, at one draw z.

    Args:
        answer: the learner's `(logits, x, mu, log_var, z, spike_prob, spike_var) -> scalar`.
    """
    return SPARSE_VAE_LOSS.check(answer)
