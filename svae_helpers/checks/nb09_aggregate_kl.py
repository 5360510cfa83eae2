"""Check of notebook 09: the KL of each latent's aggregate posterior in a batch."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from .common_mistakes import LOG_Q, lift
from .draws import draw_posterior, narrow_posterior
from .exercise import Case, exercise
from .mathematics import log_normal, log_q, std
from .mistakes import Reduction, Terms
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


OF_RATIOS = (
    M("latents summed", lambda t: t.mean(0).sum()),
    M("latents averaged", lambda t: t.mean()),
    M("draws summed", lambda t: t.sum(0)),
    M("draws not averaged", lambda t: t),
    M("log-ratio made positive", lambda t: t.abs().mean(0), lambda t: t.relu().mean(0)),
    M("clamped at 0", lambda t: t.mean(0).relu()),
    M("log of mean for mean of logs", lambda t: t.logsumexp(0) - math.log(len(t))),
    M("sign", lambda t: -t.mean(0)),
    M("sign, and draws summed", lambda t: -t.sum(0)),
)
DRAWS = Reduction(lambda t: t.mean(0), OF_RATIOS)


@exercise("9.1", _cases, gradients=["mu", "log_var", "z", "log_p"], reduction=DRAWS)
def aggregate_kl(mu: Tensor, log_var: Tensor, z: Tensor, log_p: Tensor) -> Terms:
    """`(mu, log_var, z, log_p) -> (D,)`: the KL of each latent's aggregate, of (B, D) tensors."""
    return Terms({"log q": _log_mean(_each(mu, log_var, z)), "log p": -log_p})


def _of(reduce: Callable, density: Callable = log_q) -> Callable:
    """Build log q − log p from how log q(z_b | x_m), (B, B, D), becomes log q."""
    return lambda m, v, z, p: reduce(_each(m, v, z, density)) - p


def _left_out(each: Tensor) -> Tensor:
    own = torch.eye(len(each), dtype=torch.bool)[..., None]
    others = each.masked_fill(own, -torch.inf).logsumexp(1)
    return others - math.log(max(1, len(each) - 1))


def _one_gaussian(m: Tensor, v: Tensor, z: Tensor, p: Tensor) -> Tensor:
    return log_q(z, m.mean(0), (v.exp().mean(0) + m.var(0, correction=0)).log()) - p


right, log = aggregate_kl.right, math.log
aggregate_kl.mistakes(
    M("logarithm of an underflowing sum", _of(lambda e: e.exp().mean(1).log()), extreme="z"),
    ("sum over draws, not over posteriors", _of(lambda e: e.logsumexp(0) - log(len(e)))),
    ("each image's own posterior only", lambda m, v, z, p: log_q(z, m, v) - p),
    ("mean of logarithms", _of(lambda e: e.mean(1))),
    ("1/B of the mixture forgotten", _of(lambda e: e.logsumexp(1))),
    ("largest density only", _of(lambda e: e.amax(1) - log(len(e))), _of(lambda e: e.amax(1))),
    ("own posterior left out", _of(_left_out)),
    ("one mixture per vector", _of(lambda e: _log_mean(e.sum(-1))[:, None])),
    ("N(0, 1) in the prior's place", lambda m, v, z, p: right(m, v, z, log_normal(z, 1.0))),
    ("D for B", _of(lambda e: e.logsumexp(1) - log(e.shape[2]))),
    ("one Gaussian for the aggregate", _one_gaussian),
    *lift(LOG_Q, lambda f: _of(_log_mean, f)),
    ("log p averaged as a density", lambda m, v, z, p: right(m, v, z, _log_mean(p[None]))),
    ("log σ² forgotten", _of(_log_mean, lambda z, m, v: log_q(z, m, v) + 0.5 * v)),
    ("weighted by q again", lambda m, v, z, p: (q := _log_mean(_each(m, v, z))).exp() * (q - p)),
    ("own densities averaged", lambda m, v, z, p: _log_mean(log_q(z, m, v)[None]) - p),
    ("mutual information", lambda m, v, z, p: log_q(z, m, v) - _log_mean(_each(m, v, z))),
    ("σ = 1 in every posterior", lambda m, v, z, p: right(m, 0 * v, z, p)),
    ("posteriors detached", lambda m, v, z, p: right(m.detach(), v.detach(), z, p)),
)
