"""A learner's model on the test digits, and the sparse prior, for notebooks 06 and 07."""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .inspection import Seen
from .mathematics import LOG_2PI

LATENTS, SPIKE_PROB, SPIKE_VAR = 20, 0.8, 0.05
VARIANCE = SPIKE_PROB * SPIKE_VAR + 1 - SPIKE_PROB  # of the prior
_C = math.log(SPIKE_PROB / (1 - SPIKE_PROB)) - 0.5 * math.log(SPIKE_VAR)
CROSSOVER = math.sqrt(_C / (0.5 / SPIKE_VAR - 0.5))


@cache
def digits() -> tuple[Tensor, Tensor]:
    """The package's own images, (4000, 784) to train on and (1000, 784) to test."""
    with files("svae_helpers.assets").joinpath("mnist_5000.npz").open("rb") as file:
        images = torch.from_numpy(np.load(file)["images"]).float() / 255
    return images[:4000], images[4000:]


def draws_past(variance: float) -> float:
    """How many of N(0, variance)'s 20 latents lie past the sparse prior's crossover."""
    return LATENTS * math.erfc(CROSSOVER / math.sqrt(2 * variance))


class OnDigits:
    """A model on the N test digits; what it gives is detached, and on the CPU.

    Attributes:
        mu: q's means, (N, D).
        sigma: q's standard deviations, (N, D).
        count: means past the crossover of the sparse prior, per image.
    """

    def __init__(self, seen: Seen, model: Any):
        parts = all(hasattr(model, name) for name in ("encode", "decode", "prior"))
        if not (parts and isinstance(model, nn.Module)):
            a_class = isinstance(model, type)
            this = f"the class {model.__name__}" if a_class else type(model).__name__
            seen.fault("not a model", f"This is {this}; hand over a `VAE`.")
        self.seen, self.model = seen, model
        self.device = next(iter(model.parameters())).device
        self.x = digits()[1].to(self.device)
        q = seen.call(model.encode, self.x)
        self.mu, self.sigma = q.mean.detach().cpu(), q.stddev.detach().cpu()
        self.count = float((self.mu.abs() > CROSSOVER).sum(1).double().mean())

    def log_prior(self, z: Tensor) -> Tensor:
        """log p of each latent, in z's shape (..., D)."""
        return self.seen.call(self.model.prior.log_prob, z.to(self.device), like=z).detach().cpu()

    def log_likelihood(self, z: Tensor) -> Tensor:
        """log p(x|z), (N,)."""
        likelihood = self.seen.call(self.model.decode, z.to(self.device))
        return likelihood.log_prob(self.x).detach().cpu()

    def kl(self) -> Tensor:
        """KL(q ‖ p) by the trapezium rule, (N,) in nats."""
        t = torch.linspace(-6, 6, 41)[:, None, None]
        weight = torch.exp(-0.5 * t**2) * 0.3 / math.sqrt(2 * math.pi)
        log_q = -0.5 * (t**2 + LOG_2PI) - self.sigma.log()
        return (weight * (log_q - self.log_prior(self.mu + self.sigma * t))).sum((0, 2))

    def reconstruction(self, signs: Tensor | float = 1.0) -> Tensor:
        """log p(x|z) at one draw, (N,) in nats.

        Args:
            signs: of the noise, which is otherwise the same each time; (D,).
        """
        noise = torch.randn(self.mu.shape, generator=torch.Generator().manual_seed(0))
        return self.log_likelihood(self.mu + self.sigma * signs * noise)
