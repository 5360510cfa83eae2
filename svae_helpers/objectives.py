"""The ELBO, its two terms, and the importance-weighted bound, in nats per image."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from . import divergences  # noqa: F401  registers the quadrature with kl_divergence
from .models import VAE

KL = Callable[[Distribution, Distribution], Tensor]


class ElboTerms(NamedTuple):
    """The two terms of the ELBO (Eq. 1.10), each (B,), in nats per image.

    Attributes:
        reconstruction: log p(x|z) at one draw z ~ q(z|x), summed over pixels.
        kl: KL(q(z|x) ‖ p(z)), summed over latents.
    """

    reconstruction: Tensor
    kl: Tensor

    @property
    def elbo(self) -> Tensor:
        """(B,): reconstruction − kl."""
        return self.reconstruction - self.kl

    @property
    def loss(self) -> Tensor:
        """Scalar to minimise: −ELBO, averaged over the batch (Eq. 6.1)."""
        return -self.elbo.mean()

    def beta_loss(self, beta: float) -> Tensor:
        """The same with the KL weighed by beta (Eq. 8.9); a bound on log p(x) only for beta ≥ 1."""
        return (beta * self.kl - self.reconstruction).mean()


def elbo_terms(model: VAE, x: Tensor, kl: KL = kl_divergence) -> ElboTerms:
    """Estimate the ELBO's terms with one reparameterised draw per image (Eqs. 1.10 and 3.7).

    Args:
        model: encoder, decoder and prior.
        x: images (B, P) in [0, 1].
        kl: function of (q, p) that returns the KL per latent, (B, D), in nats. torch's
            `kl_divergence` picks the closed form or the quadrature; `kl_monte_carlo` takes any
            prior.
    """
    q = model.encode(x)
    reconstruction = model.decode(q.rsample()).log_prob(x)
    return ElboTerms(reconstruction, kl(q, model.prior).sum(dim=-1))


def importance_weighted_bound(model: VAE, x: Tensor, num_samples: int) -> Tensor:
    """Lower bound on log p(x) that tightens with num_samples (Eq. 1.13; Burda et al. 2015).

    Holds num_samples · B decoded images in memory: hand in a large set in batches.

    Args:
        x: images (B, P).
        num_samples: K, at least 1; 1 estimates the ELBO.

    Returns:
        (B,), in nats.

    Raises:
        ValueError: if num_samples is below 1.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, got {num_samples}")
    q = model.encode(x)
    z = q.sample((num_samples,)) if not torch.is_grad_enabled() else q.rsample((num_samples,))
    log_joint = model.decode(z).log_prob(x) + model.prior.log_prob(z).sum(dim=-1)  # (K, B)
    log_weight = log_joint - q.log_prob(z).sum(dim=-1)
    return torch.logsumexp(log_weight, dim=0) - math.log(num_samples)
