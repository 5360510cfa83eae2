"""Models on the test digits, for inspections: what one gives there, and small ones to inspect."""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, Independent, MixtureSameFamily, Normal

from .inspection import Seen
from .mathematics import LOG_2PI

LATENTS, SPIKE_PROB, SPIKE_VAR = 20, 0.8, 0.05  # of the sparse model that 06 and 07 look at
VARIANCE = SPIKE_PROB * SPIKE_VAR + 1 - SPIKE_PROB  # of its prior
_C = math.log(SPIKE_PROB / (1 - SPIKE_PROB)) - 0.5 * math.log(SPIKE_VAR)
CROSSOVER = math.sqrt(_C / (0.5 / SPIKE_VAR - 0.5))


@cache
def digits() -> tuple[Tensor, Tensor]:
    """The package's own images, (4000, 784) to train on and (1000, 784) to test."""
    with files("svae_helpers.assets").joinpath("mnist_5000.npz").open("rb") as file:
        images = torch.from_numpy(np.load(file)["images"]).float() / 255
    return images[:4000], images[4000:]


class OnDigits(NamedTuple):
    """A model on the test digits: q's means and deviations, (N, D); nats, (N,)."""

    mu: Tensor
    sigma: Tensor
    kl: Tensor
    reconstruction: Tensor

    @property
    def elbo(self) -> float:
        """Nats per image."""
        return float((self.reconstruction - self.kl).mean())

    @property
    def count(self) -> float:
        """Means past the crossover of the sparse prior, per image."""
        return float((self.mu.abs() > CROSSOVER).sum(1).double().mean())


def device_of(seen: Seen, model: Any) -> torch.device:
    """Where a model's weights are, once it is sure that it is one."""
    parts = all(hasattr(model, name) for name in ("encode", "decode", "prior"))
    if not (parts and isinstance(model, nn.Module)):
        this = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        seen.fault("not a model", f"This is {this}; hand over a `VAE`.")
    return next(iter(model.parameters())).device


def on_digits(seen: Seen, model: Any, beside: OnDigits | None = None) -> OnDigits:
    """Measure a learner's model, by the same noise each time; KL(q ‖ p) by the trapezium rule.

    Args:
        beside: another model; latents that are its mirror image get its noise mirrored.
    """
    device = device_of(seen, model)
    x = digits()[1].to(device)
    q = seen.call(model.encode, x)
    mu, sigma = q.mean.detach(), q.stddev.detach()
    t = torch.linspace(-6, 6, 41, device=device)[:, None, None]
    weight = torch.exp(-0.5 * t**2) * 0.3 / math.sqrt(2 * math.pi)
    log_p = log_prior(seen, model, mu + sigma * t)
    kl = (weight * (-0.5 * (t**2 + LOG_2PI) - sigma.log() - log_p)).sum(0)
    noise = torch.randn(mu.shape, generator=torch.Generator().manual_seed(0)).to(device)
    if beside is not None and beside.mu.shape == mu.shape:
        noise = noise * mirrored(beside.mu.to(device), mu)
    likelihood = log_likelihood(seen, model, mu + sigma * noise)
    return OnDigits(mu.cpu(), sigma.cpu(), kl.sum(1).cpu(), likelihood)


def mirrored(a: Tensor, b: Tensor) -> Tensor:
    """−1 for latents whose means go the other way in b than in a, +1 for the rest; (D,)."""
    return torch.where((a * b).sum(0) < 0, -1.0, 1.0)


def log_prior(seen: Seen, model: Any, z: Tensor) -> Tensor:
    """log p of each latent, in z's shape (..., D)."""
    return seen.call(model.prior.log_prob, z, like=z).detach()


def draws_past(variance: float) -> float:
    """How many of N(0, variance)'s 20 latents lie past the sparse prior's crossover."""
    return LATENTS * math.erfc(CROSSOVER / math.sqrt(2 * variance))


def log_likelihood(seen: Seen, model: Any, z: Tensor) -> Tensor:
    """log p(x|z) of the test digits, (N,)."""
    x = digits()[1].to(z.device)
    return seen.call(model.decode, z).log_prob(x).detach().cpu()


def sparse_prior(spike_prob: float = SPIKE_PROB, spike_var: float = SPIKE_VAR) -> MixtureSameFamily:
    """The spike and slab by torch's own means, for models that mistakes are made of."""
    weights = Categorical(torch.tensor([spike_prob, 1 - spike_prob]))
    return MixtureSameFamily(weights, Normal(torch.zeros(2), torch.tensor([spike_var**0.5, 1.0])))


class SmallVAE(nn.Module):
    """A VAE with the package's interface, that right and wrong answers are made of."""

    def __init__(self, prior: Any, seed: int = 0, latents: int = LATENTS):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = nn.Sequential(
                nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 2 * latents)
            )
            self.decoder = nn.Sequential(nn.Linear(latents, 400), nn.ReLU(), nn.Linear(400, 784))
        self.prior, self.means, self.width, self.units = prior, 1.0, 1.0, 1.0

    def encode(self, x: Tensor) -> Normal:
        """q(z|x), of batch shape (B, D)."""
        mu, log_var = self.encoder(x).chunk(2, dim=-1)
        return Normal(self.means * mu, self.width * torch.exp(0.5 * log_var), validate_args=False)

    def decode(self, z: Tensor) -> Independent:
        """p(x|z), of event shape (784,)."""
        logits = self.decoder(z / self.units)
        return Independent(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)

    @torch.no_grad()
    def spread(self, spread: float, sigma: float = 0.3) -> SmallVAE:
        """Give the means this deviation over the digits, about 0, and every posterior one width."""
        last = self.encoder[2]
        mu = self.encoder(digits()[0])
        last.weight *= spread / mu.std(dim=0)[:, None]
        last.bias.copy_((last.bias - mu.mean(dim=0)) * spread / mu.std(dim=0))
        last.weight.chunk(2)[1].zero_()
        last.bias.chunk(2)[1].fill_(2 * math.log(sigma))
        return self

    def trained(self, steps: int) -> SmallVAE:
        """Train it by Adam with a cycle of the learning rate, 64 images a step."""
        optimiser = torch.optim.Adam(self.parameters(), lr=5e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=steps)
        images, g = digits()[0], torch.Generator().manual_seed(0)
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(1)
            for _ in range(steps):
                x = images[torch.randint(len(images), (64,), generator=g)]
                q = self.encode(x)
                z = q.rsample()
                kl = (q.log_prob(z) - self.prior.log_prob(z)).sum()
                loss = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") + kl
                optimiser.zero_grad()
                (loss / 64).backward()
                optimiser.step()
                schedule.step()
        return self
