"""Check of notebook 09: the KL of each latent's aggregate posterior in a batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ._exact import Case, Evidence, Exercise, Misconception
from ._result import CheckResult
from .nb03 import draw_posterior


def _log_each(mu: Tensor, log_var: Tensor, z: Tensor) -> Tensor:
    """log q(z_bd | x_m): (draw b, posterior m, latent d)."""
    difference = z[:, None] - mu
    return -0.5 * (difference.square() / log_var.exp() + log_var + math.log(2 * math.pi))


def _own(mu: Tensor, log_var: Tensor, z: Tensor) -> Tensor:
    """log q(z_bd | x_b): (B, D)."""
    return _log_each(mu, log_var, z).diagonal(dim1=0, dim2=1).T


def _log_aggregate(mu: Tensor, log_var: Tensor, z: Tensor) -> Tensor:
    return torch.logsumexp(_log_each(mu, log_var, z), dim=1) - math.log(len(z))


def _kl(mu: Tensor, log_var: Tensor, z: Tensor, log_p: Tensor) -> Tensor:
    return (_log_aggregate(mu, log_var, z) - log_p).mean(0)


def _reference(mu: Tensor, log_var: Tensor, z: Tensor, log_p: Tensor) -> Tensor:
    # Written latent by latent, with the mixture's weights inside the logarithm of a softmax.
    columns = []
    for m, v, at, prior in zip(mu.T, log_var.T, z.T, log_p.T, strict=True):
        density = torch.distributions.Normal(m, (0.5 * v).exp()).log_prob(at[:, None])
        weighted = density + torch.full_like(m, 1 / len(m)).log()
        columns.append((torch.logsumexp(weighted, dim=-1) - prior).sum() / len(at))
    return torch.stack(columns)


def _draw(g: Generator, B: int, D: int) -> tuple[Tensor, ...]:
    mu, log_var = draw_posterior(g, B, D)
    z = mu + (0.5 * log_var).exp() * torch.randn(B, D, generator=g)
    return mu, log_var, z, -1.3 + 0.6 * torch.randn(B, D, generator=g)


def _cases(g: Generator) -> list[Case]:
    mu, log_var, z, log_p = _draw(g, 5, 3)
    narrow = 40.0 * mu, torch.full_like(mu, -8.0), 40.0 * mu + 0.02, log_p
    return [
        Case(_draw(g, 4, 6)),
        Case(_draw(g, 5, 5)),
        Case(_draw(g, 16, 3)),
        Case(_draw(g, 1, 4)),
        Case(_draw(g, 7, 1)),
        Case((mu, log_var, z + 60.0, log_p), extreme=True),
        Case(narrow, extreme=True),
    ]


def _underflow(evidence: Evidence) -> bool:
    return evidence.wrong_only_in_extremes()


AGGREGATE_KL = Exercise(
    name="aggregate_kl",
    number="9.1",
    parameters=("mu", "log_var", "z", "log_p"),
    reference=_reference,
    cases=_cases,
    differentiable=("mu", "log_var", "z", "log_p"),
    layout="column",
    misconceptions=(
        Misconception(
            "logarithm of an underflowing sum",
            lambda m, v, z, p: (_log_each(m, v, z).exp().mean(1).log() - p).mean(0),
            "It is right for ordinary numbers only: far from every posterior all densities are 0 "
            "in floating point, and log 0 follows. Use `torch.logsumexp` on the log-densities.",
            symptom=_underflow,
        ),
        Misconception(
            "sum over draws, not over posteriors",
            lambda m, v, z, p: (
                torch.logsumexp(_log_each(m, v, z), dim=0) - math.log(len(z)) - p
            ).mean(0),
            "You sum over the draws. The mixture at one draw z_b is the average of the densities "
            "of *all posteriors* m there: sum over m, then average over the draws b.",
        ),
        Misconception(
            "each image's own posterior only",
            lambda m, v, z, p: (_own(m, v, z) - p).mean(0),
            "That is the mean KL per image: each draw is scored under its own posterior. The "
            "aggregate scores it under the mixture of all posteriors of the batch.",
        ),
        Misconception(
            "mean of logarithms",
            lambda m, v, z, p: (_log_each(m, v, z).mean(1) - p).mean(0),
            "You average the log-densities over the posteriors. The mixture is the average of the "
            "densities: the logarithm comes after it.",
        ),
        Misconception(
            "1/B of the mixture forgotten",
            lambda m, v, z, p: (torch.logsumexp(_log_each(m, v, z), 1) - p).mean(0),
            "The mixture's weights 1/B are missing: subtract log B.",
        ),
        Misconception(
            "own posterior left out",
            lambda m, v, z, p: (
                torch.logsumexp(
                    _log_each(m, v, z).masked_fill(
                        torch.eye(len(z), dtype=torch.bool)[..., None], -torch.inf
                    ),
                    1,
                )
                - math.log(max(1, len(z) - 1))
                - p
            ).mean(0),
            "You leave out the posterior that the draw came from. The batch's aggregate holds all "
            "B of them.",
        ),
        Misconception(
            "all latents at once",
            lambda m, v, z, p: (
                torch.logsumexp(_log_each(m, v, z).sum(-1), 1) - math.log(len(z)) - p.sum(-1)
            ).mean(),
            "You sum over the latents before the logarithm of the mixture: that is the KL of the "
            "joint aggregate. Here every latent has a mixture of its own.",
        ),
        Misconception(
            "latents summed",
            lambda m, v, z, p: _kl(m, v, z, p).sum(),
            "You sum over the latents; the answer has one number per latent, shape (D,).",
        ),
        Misconception(
            "latents averaged",
            lambda m, v, z, p: _kl(m, v, z, p).mean(),
            "You average over the latents; the answer has one number per latent, shape (D,).",
        ),
        Misconception(
            "draws summed",
            lambda m, v, z, p: len(z) * _kl(m, v, z, p),
            "You sum over the draws; the expectation is their mean.",
        ),
        Misconception(
            "draws not averaged",
            lambda m, v, z, p: _log_aggregate(m, v, z) - p,
            "You return one number per draw and latent; average over the draws.",
        ),
        Misconception(
            "latents averaged, draws kept",
            lambda m, v, z, p: (_log_aggregate(m, v, z) - p).mean(1),
            "You average over the latents; average over the draws, and keep the latents apart.",
        ),
        Misconception(
            "sign",
            lambda m, v, z, p: -_kl(m, v, z, p),
            "The sign is the wrong way round: log q − log p.",
        ),
        Misconception(
            "prior forgotten",
            lambda m, v, z, p: _log_aggregate(m, v, z).mean(0),
            "log p is missing: that is minus the aggregate's entropy.",
        ),
        Misconception(
            "prior added",
            lambda m, v, z, p: (_log_aggregate(m, v, z) + p).mean(0),
            "You add log p; the KL subtracts it.",
        ),
        Misconception(
            "information instead of mismatch",
            lambda m, v, z, p: (_own(m, v, z) - _log_aggregate(m, v, z)).mean(0),
            "That is the information, log q(z|x) − log q(z): the other part of Eq. 7.2.",
        ),
        Misconception(
            "log_var taken for log σ",
            lambda m, v, z, p: _kl(m, 2 * v, z, p),
            "You take `log_var` for log σ: the standard deviation is `exp(0.5 * log_var)`.",
        ),
        Misconception(
            "log σ taken for log_var",
            lambda m, v, z, p: _kl(m, 0.5 * v, z, p),
            "You use σ where σ² belongs: the variance is `log_var.exp()`.",
        ),
        Misconception(
            "lost normaliser",
            lambda m, v, z, p: _kl(m, v, z, p) + 0.5 * math.log(2 * math.pi),
            "The constant ½ log 2π of the Gaussian's density is missing.",
        ),
        Misconception(
            "lost log σ",
            lambda m, v, z, p: (
                torch.logsumexp(_log_each(m, v, z) + 0.5 * v, 1) - math.log(len(z)) - p
            ).mean(0),
            "The density's normaliser misses −log σ.",
        ),
        Misconception(
            "lost ½",
            lambda m, v, z, p: (
                torch.logsumexp(_log_each(m, v, z) - 0.5 * (z[:, None] - m).square() / v.exp(), 1)
                - math.log(len(z))
                - p
            ).mean(0),
            "The factor ½ in the Gaussian's exponent is missing.",
        ),
        Misconception(
            "posteriors detached",
            (
                lambda m, v, z, p: _kl(m.detach(), v.detach(), z, p),
                lambda m, v, z, p: _kl(m.detach(), v, z, p),
                lambda m, v, z, p: _kl(m, v.detach(), z, p),
            ),
            "The value is right, but `mu` or `log_var` is detached: the mixture's own gradient "
            "is lost.",
        ),
        Misconception(
            "draws detached",
            lambda m, v, z, p: _kl(m, v, z.detach(), p),
            "The value is right, but `z` is detached: the pathwise gradient is lost.",
        ),
        Misconception(
            "mixture detached",
            lambda m, v, z, p: (_log_aggregate(m, v, z).detach() - p).mean(0),
            "The value is right, but the mixture is detached: only log p carries a gradient.",
        ),
    ),
)


def aggregate_kl(answer: Callable) -> CheckResult:
    """Check exercise 9.1: `(mu, log_var, z, log_p) -> (D,)`, in nats.

    Args:
        answer: the learner's function of four (B, D) tensors.
    """
    return AGGREGATE_KL.check(answer)
