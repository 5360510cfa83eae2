"""Checks of notebook 06: the loss of the sparse VAE."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Generator

from .common_mistakes import CROSS_ENTROPY, FAR_OUT, LOG_Q, LOSS, PRIOR, lift
from .draws import draw_pixels, draw_posterior, narrow_posterior, sure_pixels, wrong_pixels
from .exercise import Case, exercise
from .mathematics import (
    LOG_2PI,
    bce,
    bce_terms,
    kl_standard,
    log_normal,
    log_q,
    log_q_terms,
    spike_and_slab,
    std,
)
from .mistakes import Terms
from .mistakes import mistake as M


def _cases(g: Generator) -> Iterator[Case]:
    def draw(B: int, P: int, D: int, p: float, v: float, q=draw_posterior, pixels=draw_pixels):
        mu, log_var = q(g, B, D)
        z = mu + std(log_var) * torch.randn(B, D, generator=g)
        return (*pixels(g, B, P), mu, log_var, z, p, v)

    sizes = [(4, 9, 3, 0.8, 0.05), (6, 784, 20, 0.7, 0.12), (5, 5, 5, 0.9, 0.3)]
    sizes += [(3 + k % 4, 5 + k, 2 + k % 3, 0.6 + 0.03 * k, 0.04 * (k + 1)) for k in range(9)]
    for size in sizes:
        yield Case(draw(*size))
    wide = draw(3, 7, 2, 0.75, 0.15)
    yield Case((*wide[:3], wide[3].abs().clamp(max=0.7) + 0.1, *wide[4:]))
    yield Case((wide[0].sigmoid(), *wide[1:]))
    yield from (Case(draw(1, 6, 2, 0.6, 0.2)), Case(draw(3, 8, 1, 0.85, 0.01)))
    for far in (wrong_pixels, sure_pixels):
        yield Case(draw(2, 5, 4, 0.8, 0.05, pixels=far), extreme="logits")
    yield Case(draw(3, 5, 4, 0.8, 0.05, q=narrow_posterior), extreme="log_var")
    far = draw(2, 6, 3, 0.8, 0.05)
    yield Case((*far[:2], far[2] + 5.0, *far[3:]))  # at a draw that q hardly makes: log q < log p
    yield Case((*far[:2], far[2] + 27.0, far[3], far[4] + 27.0, *far[5:]), extreme="z")


@exercise("6.1", _cases, gradients=["logits", "mu", "log_var", "z"], reduction=LOSS)
def sparse_vae_loss(logits, x, mu, log_var, z, spike_prob: float, spike_var: float) -> Terms:
    """`(logits, x, mu, log_var, z, spike_prob, spike_var) -> scalar`, in nats, at one draw z."""
    prior = {"KL: log p": -spike_and_slab(z, spike_prob, spike_var)}
    return Terms(bce_terms(logits, x) | log_q_terms(z, mu, log_var) | prior)


def _loss(cross_entropy=bce, q=log_q, prior=spike_and_slab) -> Callable:
    """Build the two terms from their parts."""
    return lambda l, x, m, v, z, p, s: (cross_entropy(l, x), q(z, m, v) - prior(z, p, s))


def _kl(kl: Callable) -> Callable:
    """Build the two terms from log q and log p, (B, D), to a KL."""
    return lambda l, x, m, v, z, p, s: (bce(l, x), kl(log_q(z, m, v), spike_and_slab(z, p, s)))


def _one_mixture_a_vector(l, x, m, v, z, p, s):
    spike, slab = log_normal(z, s).sum(1), log_normal(z, 1.0).sum(1)
    mixed = torch.logaddexp(math.log(p) + spike, math.log(1 - p) + slab)
    return bce(l, x), (log_q(z, m, v).sum(1) - mixed)[:, None]


def _fresh_draw(l, x, m, v, z, p, s):
    return sparse_vae_loss.right(l, x, m, v, m + std(v) * torch.randn_like(m), p, s)


def _log_p_at_the_mean(l, x, m, v, z, p, s):
    return bce(l, x), log_q(z, m, v) - spike_and_slab(m, p, s)


def _at_the_mean(l, x, m, v, z, p, s):
    return sparse_vae_loss.right(l, x, m, v, m + 0 * z, p, s)


sparse_vae_loss.mistakes(
    *lift(PRIOR, lambda f: _loss(prior=f)),
    *lift(LOG_Q, lambda f: _loss(q=f)),
    *lift(CROSS_ENTROPY + FAR_OUT, _loss),
    ("one mixture per vector", _one_mixture_a_vector),
    ("log-ratio made positive", _kl(lambda lq, lp: (lq - lp).abs())),
    ("log-ratio made positive", _kl(lambda lq, lp: (lq - lp).relu())),
    ("clamped at 0", _kl(lambda lq, lp: (lq - lp).sum(1, keepdim=True).relu())),
    ("clamped at 0", _kl(lambda lq, lp: (lq - lp).sum(1).mean().relu()[None, None])),
    ("log q under N(0, 1)", _loss(q=lambda z, m, v: log_normal(z, 1.0))),
    ("closed-form entropy", _loss(q=lambda z, m, v: -0.5 * (1 + v + LOG_2PI) + 0 * z)),
    ("closed-form entropy", _loss(q=lambda z, m, v: -0.5 * (1 + v + LOG_2PI))),
    ("KL to N(0, I)", lambda l, x, m, v, z, p, s: (bce(l, x), kl_standard(m, v))),
    M("KL from a different draw than stated", _fresh_draw, extreme=lambda _, seen: not seen.steady),
    ("log p at the mean", _log_p_at_the_mean),
    ("evaluated at the mean", _at_the_mean),
)
