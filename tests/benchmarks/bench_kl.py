"""What each way to a KL costs, forward and backward, and what a Python loop costs in sampling."""

from functools import partial

import torch
from timing import least_seconds, show_ratios
from torch import Tensor
from torch.distributions import Normal

from svae_helpers import (
    SpikeAndSlab,
    kl_marginals,
    kl_monte_carlo,
    kl_normal_standard,
    kl_quadrature,
)

BATCH, LATENTS = 128, 20
PRIOR = SpikeAndSlab.gaussian(validate_args=False)
WAYS = {
    "closed form against N(0, 1)": kl_normal_standard,
    "quadrature, 32 nodes": lambda q: kl_quadrature(q, PRIOR, 32),
    "quadrature, 64 nodes": lambda q: kl_quadrature(q, PRIOR, 64),
    "Monte Carlo, K = 1": lambda q: kl_monte_carlo(q, PRIOR, 1),
    "Monte Carlo, K = 10": lambda q: kl_monte_carlo(q, PRIOR, 10),
    "Monte Carlo, K = 100": lambda q: kl_monte_carlo(q, PRIOR, 100),
    "of the aggregates": lambda q: kl_marginals(q, PRIOR),
}


def forward_and_backward(kl) -> None:
    mu = torch.randn(BATCH, LATENTS, requires_grad=True)
    log_var = torch.zeros(BATCH, LATENTS, requires_grad=True)
    kl(Normal(mu, torch.exp(0.5 * log_var), validate_args=False)).sum().backward()


def loop_sample(count: int) -> Tensor:
    """One Python decision a draw."""
    draws = []
    for _ in range(count):
        component = PRIOR.spike if torch.rand(()) < 0.8 else PRIOR.slab
        draws.append(component.sample())
    return torch.stack(draws)


def main() -> None:
    ways = {name: partial(forward_and_backward, kl) for name, kl in WAYS.items()}
    base = "closed form against N(0, 1)"
    show_ratios("A KL of (128, 20), forward and backward", least_seconds(ways, 100), base)
    draws = {
        "SpikeAndSlab.sample": lambda: PRIOR.sample((2_000,)),
        "a Python loop": lambda: loop_sample(2_000),
    }
    show_ratios("2,000 draws of the prior", least_seconds(draws, 10), "SpikeAndSlab.sample")
