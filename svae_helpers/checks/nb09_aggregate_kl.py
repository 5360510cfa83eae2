"""Check of notebook 09: the KL of each latent's aggregate posterior in a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from .common_mistakes import lift
from .density_mistakes import LOG_Q
from .exercise import Case, exercise
from .mathematics import draw_posterior, log_q, narrow_posterior, std
from .mistakes import Reduction, Terms, whole
from .mistakes import mistake as M


def _each(mu: Tensor, log_var: Tensor, z: Tensor, density: Callable = log_q) -> Tensor:
    """log q(z_bd | x_m): (draw b, posterior m, latent d)."""
    return density(z[:, None], mu, log_var)


def _log_mean(each: Tensor) -> Tensor:
    return torch.logsumexp(each, dim=1) - math.log(each.shape[1])


def _cases(g: Generator) -> Iterator[Case]:
    def draw(B: int, D: int, q: Callable = draw_posterior) -> tuple[Tensor, ...]:
        mu, log_var = q(g, B, D)
        z = mu + std(log_var) * torch.randn(B, D, generator=g)
        return mu, log_var, z, -1.3 + 0.6 * torch.randn(B, D, generator=g)

    for shape in ((4, 6), (5, 5), (16, 3), (1, 4), (7, 1)):
        yield Case(draw(*shape))
    yield Case(draw(3, 4, narrow_posterior), extreme="log_var")
    mu, log_var, z, log_p = draw(5, 3)
    yield Case((mu, log_var, z + 60.0, log_p), extreme="z")
    yield Case((40.0 * mu, torch.full_like(mu, -2.0), 40.0 * mu + 6.0, log_p), extreme="z")


DRAWS = Reduction(
    lambda t: t.mean(0),
    (
        M("latents summed", lambda t: t.mean(0).sum()),
        M("latents averaged", lambda t: t.mean()),
        M("draws summed", lambda t: t.sum(0)),
        M("draws not averaged", lambda t: t),
        M("latents averaged, draws kept", lambda t: t.mean(1)),
        M("log-ratio made positive", lambda t: t.abs().mean(0)),
        M("log-ratio made positive", lambda t: t.relu().mean(0)),
        M("log-ratio made positive", lambda t: t.mean(0).relu()),
        M("sign", lambda t: -t.mean(0)),
    ),
)


@exercise("9.1", _cases, gradients=["mu", "log_var", "z", "log_p"], reduction=DRAWS)
def aggregate_kl(mu: Tensor, log_var: Tensor, z: Tensor, log_p: Tensor) -> Terms:
    """`(mu, log_var, z, log_p) -> (D,)`, the KL of each latent's aggregate, in nats.

    The learner's function takes four (B, D) tensors.
    """
    # Written latent by latent, with the mixture's weights inside the logarithm.
    columns = []
    for m, v, at in zip(mu.T, log_var.T, z.T, strict=True):
        density = torch.distributions.Normal(m, (0.5 * v).exp()).log_prob(at[:, None])
        columns.append(torch.logsumexp(density + torch.full_like(m, 1 / len(m)).log(), dim=-1))
    return Terms({"log q": torch.stack(columns, dim=1), "log p": -log_p})


def _log_sum(m: Tensor, v: Tensor, z: Tensor) -> Tensor:
    return torch.logsumexp(_each(m, v, z), dim=1)


def _left_out(m: Tensor, v: Tensor, z: Tensor, p: Tensor) -> Tensor:
    own = torch.eye(len(z), dtype=torch.bool)[..., None]
    others = torch.logsumexp(_each(m, v, z).masked_fill(own, -torch.inf), 1)
    return others - math.log(max(1, len(z) - 1)) - p


aggregate_kl.mistakes(
    M(
        "logarithm of an underflowing sum",
        lambda m, v, z, p: _each(m, v, z).exp().mean(1).log() - p,
        lambda m, v, z, p: (_each(m, v, z).exp().mean(1) + 1e-12).log() - p,
        extreme="z",
    ),
    (
        "sum over draws, not over posteriors",
        lambda m, v, z, p: torch.logsumexp(_each(m, v, z), dim=0) - math.log(len(z)) - p,
    ),
    ("each image's own posterior only", lambda m, v, z, p: log_q(z, m, v) - p),
    ("mean of logarithms", lambda m, v, z, p: _each(m, v, z).mean(1) - p),
    ("1/B of the mixture forgotten", lambda m, v, z, p: torch.logsumexp(_each(m, v, z), 1) - p),
    (
        "log B added",
        lambda m, v, z, p: _log_sum(m, v, z) + math.log(len(z)) - p,
        "The sign of log B is the wrong way round: the mixture's weights are 1/B.",
    ),
    (
        "largest density only",
        lambda m, v, z, p: _each(m, v, z).amax(1) - math.log(len(z)) - p,
        lambda m, v, z, p: _each(m, v, z).amax(1) - p,
        "You keep the posterior under which the draw is likeliest. The mixture adds up all B.",
    ),
    ("own posterior left out", _left_out),
    (
        "one mixture per vector",
        lambda m, v, z, p: _log_mean(_each(m, v, z).sum(-1))[:, None] - p,
        "You sum over the latents before the mixture. Here every latent has a mixture of its own.",
    ),
    (
        "N(0, 1) in the prior's place",
        lambda m, v, z, p: _log_mean(_each(m, v, z)) + 0.5 * (z**2 + math.log(2 * math.pi)),
        "You take the KL to N(0, 1). The prior's log-density is handed over: `log_p`.",
    ),
    (
        "log_p exponentiated",
        lambda m, v, z, p: _log_mean(_each(m, v, z)) - p.exp(),
        "You subtract the density exp(`log_p`). `log_p` is the logarithm already.",
    ),
    (
        "sign, and draws summed",
        whole(lambda m, v, z, p: (p - _log_mean(_each(m, v, z))).sum(0)),
        "Two mistakes at once give your numbers. The sign is the wrong way round: log q − log p. "
        "And: you sum over the draws; the expectation is their mean.",
    ),
    (
        "B − 1 for B",
        lambda m, v, z, p: (
            torch.logsumexp(_each(m, v, z), 1) - math.log(max(len(z) - 1, 0) or 1e-30) - p
        ),
    ),
    ("B − 1 for B", lambda m, v, z, p: _log_sum(m, v, z) - math.log(max(len(z) - 1, 1)) - p),
    ("D for B", lambda m, v, z, p: _log_sum(m, v, z) - math.log(z.shape[1]) - p),
    (
        "one Gaussian for the aggregate",
        lambda m, v, z, p: (
            log_q(z, m.mean(0), (v.exp().mean(0) + m.var(0, correction=0)).log()) - p
        ),
    ),
    (
        "all latents at once",
        whole(lambda m, v, z, p: (_log_mean(_each(m, v, z).sum(-1)) - p.sum(-1)).mean()),
    ),
    (
        "information instead of mismatch",
        lambda m, v, z, p: log_q(z, m, v) - _log_mean(_each(m, v, z)),
    ),
    *lift(LOG_Q, lambda f: lambda m, v, z, p: _log_mean(_each(m, v, z, f)) - p),
    ("posteriors detached", lambda m, v, z, p: aggregate_kl.right(m.detach(), v.detach(), z, p)),
    ("posteriors detached", lambda m, v, z, p: aggregate_kl.right(m.detach(), v, z, p)),
    ("posteriors detached", lambda m, v, z, p: aggregate_kl.right(m, v.detach(), z, p)),
    ("draws detached", lambda m, v, z, p: aggregate_kl.right(m, v, z.detach(), p)),
)
