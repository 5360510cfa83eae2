"""Expectations under a Gaussian of one latent, and the constants that spike and slab bring."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal

from .arguments import distribution, whole_number

TAIL_STD = 7.0  # q holds 3e-12 of its mass beyond this many standard deviations
TAIL_NATS = 20.0  # the spike's share of the log-density is below e^-20 beyond this many nats


def crossover_constants(
    spike_prob: Tensor, spike_var: Tensor, slab_var: Tensor
) -> tuple[Tensor, Tensor]:
    """Constants of the log-odds of spike against slab, which are c − d z² (Eq. 4.8).

    Args:
        spike_prob: π in [0, 1]; 0 gives c = −∞, and 1 gives c = ∞.
        spike_var, slab_var: variances of the two zero-mean Gaussians.

    Returns:
        (c, d): log-odds at z = 0, and curvature (0 or more).
    """
    log_odds = torch.logit(spike_prob) + 0.5 * torch.log(slab_var / spike_var)
    return log_odds, 0.5 * (1 / spike_var - 1 / slab_var)


def spike_reach(log_odds: Tensor, curvature: Tensor) -> Tensor:
    """|z| beyond which the odds of the spike, exp(c − d z²), are negligible: the window's edge."""
    return ((log_odds.clamp(min=0) + TAIL_NATS) / curvature).sqrt()


def expectation_within(
    q: Normal, f: Callable[[Tensor], Tensor], reach: Tensor, num_nodes: int = 64
) -> Tensor:
    """E_q[f(z)] per latent for an f that vanishes beyond |z| = reach, by Gauss–Legendre.

    The window's edges carry no gradient: the integrand is negligible there.

    Args:
        q: Gaussian of batch shape (B, D).
        f: smooth function of z, (num_nodes, B, D) to the same.
        reach: positive, broadcasts against (B, D).
        num_nodes: at least 1.

    Returns:
        (B, D).

    Raises:
        ValueError: if num_nodes is below 1.
    """
    distribution("q", q, Normal)
    nodes, weights = (
        torch.tensor(values, dtype=q.loc.dtype, device=q.loc.device).reshape(-1, *[1] * q.loc.dim())
        for values in gauss_legendre(whole_number("num_nodes", num_nodes, 1))
    )
    mu, sigma, reach = q.loc.detach(), q.scale.detach(), reach.detach()
    low = torch.maximum(mu - TAIL_STD * sigma, -reach)
    high = torch.minimum(mu + TAIL_STD * sigma, reach)
    half_width = 0.5 * (high - low).clamp(min=0)  # empty window: the term is 0
    z = 0.5 * (low + high) + half_width * nodes  # (num_nodes, B, D)
    density = torch.exp(-0.5 * ((z - q.loc) / q.scale).square()) / (q.scale * (2 * torch.pi) ** 0.5)
    return half_width * (weights * density * f(z)).sum(dim=0)


@lru_cache
def gauss_legendre(num_nodes: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Nodes and weights on [-1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    return tuple(nodes), tuple(weights)
