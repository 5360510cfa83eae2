"""What each way to a KL costs, forward and backward, as multiples of the closed form in one run.

OMP_NUM_THREADS=1 python tests/benchmarks/bench_kl.py
"""

import statistics
import time

import torch
from torch import Tensor
from torch.distributions import Normal

from svae_helpers import SpikeAndSlab, kl_monte_carlo, kl_normal_standard, kl_quadrature

BATCH, LATENTS, REPEATS = 128, 20, 60
PRIOR = SpikeAndSlab.gaussian()
WAYS = {
    "closed form against N(0, 1)": kl_normal_standard,
    "quadrature, 32 nodes": lambda q: kl_quadrature(q, PRIOR, 32),
    "quadrature, 64 nodes": lambda q: kl_quadrature(q, PRIOR, 64),
    "Monte Carlo, K = 1": lambda q: kl_monte_carlo(q, PRIOR, 1),
    "Monte Carlo, K = 10": lambda q: kl_monte_carlo(q, PRIOR, 10),
    "Monte Carlo, K = 100": lambda q: kl_monte_carlo(q, PRIOR, 100),
}


def seconds(kl) -> float:
    """Median time of one forward and backward pass."""
    times = []
    for _ in range(REPEATS):
        mu = torch.randn(BATCH, LATENTS, requires_grad=True)
        log_var = torch.zeros(BATCH, LATENTS, requires_grad=True)
        start = time.perf_counter()
        kl(Normal(mu, torch.exp(0.5 * log_var), validate_args=False)).sum().backward()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def loop_sample(count: int) -> Tensor:
    """One Python decision a draw, as a comparison for `SpikeAndSlab.sample`."""
    draws = []
    for _ in range(count):
        component = PRIOR.spike if torch.rand(()) < 0.8 else PRIOR.slab
        draws.append(component.sample())
    return torch.stack(draws)


def main() -> None:
    torch.manual_seed(0)
    base = seconds(kl_normal_standard)
    for name, kl in WAYS.items():
        print(f"{name:30s}{seconds(kl) / base:8.1f} ×")
    start = time.perf_counter()
    loop_sample(2_000)
    loop = time.perf_counter() - start
    start = time.perf_counter()
    PRIOR.sample((2_000,))
    print(
        f"{'sampling by a Python loop':30s}{loop / (time.perf_counter() - start):8.0f} × vectorised"
    )


if __name__ == "__main__":
    main()
