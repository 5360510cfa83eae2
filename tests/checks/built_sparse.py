"""Answers to 6.2 and 7.4: sparse VAEs, and a dense model in other units."""

import copy
import functools
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, MixtureSameFamily, Normal

from svae_helpers.checks.small_vae import digits


def sparse_prior(spike_prob=0.8, spike_var=0.05):
    """The spike and slab by torch's own means."""
    weights = Categorical(torch.tensor([spike_prob, 1 - spike_prob]))
    return MixtureSameFamily(weights, Normal(torch.zeros(2), torch.tensor([spike_var**0.5, 1.0])))


class SmallVAE(nn.Module):
    """A VAE with the package's interface, that right and wrong answers are made of."""

    def __init__(self, prior, seed=0, latents=20):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = nn.Sequential(
                nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 2 * latents)
            )
            self.decoder = nn.Sequential(nn.Linear(latents, 400), nn.ReLU(), nn.Linear(400, 784))
        self.prior, self.means, self.width, self.units = prior, 1.0, 1.0, 1.0

    def encode(self, x):
        mu, log_var = self.encoder(x).chunk(2, dim=-1)
        return Normal(self.means * mu, self.width * torch.exp(0.5 * log_var), validate_args=False)

    def decode(self, z):
        logits = self.decoder(z / self.units)
        return Independent(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)

    @torch.no_grad()
    def spread(self, spread, sigma=0.3):
        """Give the means this deviation over the digits, about 0, and every posterior one width."""
        last = self.encoder[2]
        mu = self.encoder(digits()[0])
        last.weight *= spread / mu.std(dim=0)[:, None]
        last.bias.copy_((last.bias - mu.mean(dim=0)) * spread / mu.std(dim=0))
        last.weight.chunk(2)[1].zero_()
        last.bias.chunk(2)[1].fill_(2 * math.log(sigma))
        return self

    def trained(self, steps):
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


# --- 6.2


@functools.cache
def trained_sparse(seed):
    return SmallVAE(sparse_prior(), seed).trained(steps=945)


def right_sparse():
    return trained_sparse(0), trained_sparse(1)


def fresh(*priors):
    """Answers with models that nobody trained, one for each prior."""
    return [lambda prior=prior: (SmallVAE(prior, 0), SmallVAE(prior, 1)) for prior in priors]


def made(spread, sigma=0.3):
    """Two models that nobody trained, with one image for all codes."""

    def answer():
        models = SmallVAE(sparse_prior(), 0), SmallVAE(sparse_prior(), 1)
        for model in models:
            model.spread(spread, sigma).decoder[2].weight.data.zero_()
            model.decoder[2].bias.data = digits()[0].mean(dim=0).clamp(0.01, 0.99).logit()
        return models

    return [answer]


WRONG_SPARSE = {
    "the dense prior": fresh(Normal(0.0, 1.0)),
    "a Gaussian of the sparse prior's variance": fresh(Normal(0.0, 0.24**0.5)),
    "spike_prob taken for on": fresh(sparse_prior(0.2, 0.05)),
    "spike_var taken for a standard deviation": fresh(sparse_prior(0.8, 0.05**2)),
    "root taken twice": fresh(sparse_prior(0.8, 0.05**0.5)),
    "another prior": fresh(sparse_prior(0.9, 0.05)),
    "another number of latents": [lambda: (SmallVAE(Normal(0.0, 1.0), latents=10),) * 2],
    "the same model twice": [lambda: (SmallVAE(sparse_prior()),) * 2],
    "untrained": fresh(sparse_prior()),
    "no latent says anything": made(0.0, sigma=0.27),
    "nothing holds the KL down": made(4.0),
    "too many latents on": made(1.0, sigma=0.4),
    "short of the bound": made(0.3),
}

# --- 7.4


def rescaled(s, widths=True, decoder=True, prior=None):
    """A dense model that nobody trained, and the same one in units of s, less what is left out."""
    dense = SmallVAE(Normal(0.0, 1.0)).spread(0.9)
    with torch.no_grad():
        dense.decoder[2].weight *= 8
    control = copy.deepcopy(dense)
    control.means, control.width = s, s if widths else 1.0
    control.units, control.prior = s if decoder else 1.0, prior or Normal(0.0, s)
    return dense, control


def silenced():
    dense, control = rescaled(1.0)
    with torch.no_grad():
        control.encoder[2].weight[:10], control.encoder[2].bias[:10] = 0, 0
    return dense, control


def right_units():
    return rescaled(0.24**0.5)


WRONG_UNITS = {
    "widths in other units": [lambda: rescaled(0.49, widths=False)],
    "decoder in other units": [lambda: rescaled(0.49, decoder=False)],
    "prior in other units": [lambda: rescaled(0.49, prior=Normal(0.0, 1.0))],
    "a prior of another shape": [lambda: rescaled(0.49, prior=sparse_prior())],
    "latents switched off": [silenced],
    "another model": [lambda: (rescaled(1.0)[0], SmallVAE(Normal(0.0, 0.49), seed=1))],
    "another number of latents": [
        lambda: (rescaled(1.0)[0], SmallVAE(Normal(0.0, 1.0), latents=10))
    ],
    "not half yet": [lambda: rescaled(1.0)],
    "more than before": [lambda: rescaled(2.0)],
}
