"""The ELBO, its two terms, and the importance-weighted bound, in nats per image."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, kl_divergence

from . import divergences  # noqa: F401  registers the quadrature with kl_divergence
from .arguments import function, having, tensor, whole_number
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
        """The same with the KL weighed by beta (Eq. 3.9); a bound on log p(x) only for beta ≥ 1."""
        return (beta * self.kl - self.reconstruction).mean()


def elbo_terms(model: VAE, x: Tensor, kl: KL = kl_divergence) -> ElboTerms:
    """Estimate the ELBO's terms with one reparameterised draw per image (Eqs. 1.10 and 3.7).

    Args:
        model: encoder, decoder and prior.
        x: images (B, P) or (B, C, H, W), with values that the likelihood takes.
        kl: function of (q, p) that returns the KL in nats per latent, (B, D), or per image, (B,).
            torch's `kl_divergence` picks the closed form or the quadrature; `kl_monte_carlo`
            takes any prior. Where q or p is joint, both are handed over with event shape (D,).
    """
    having("model", model, "a VAE", ("encode", "decode"))
    q = model.encode(x)
    return elbo_terms_at(model, x, q, q.rsample(), kl)


def elbo_terms_at(
    model: VAE, x: Tensor, q: Distribution, z: Tensor, kl: KL = kl_divergence
) -> ElboTerms:
    """The same at a draw z (B, D) of q = q(z|x) that you keep, for a loss term of your own."""
    if len(tensor("z", z)) != len(tensor("x", x)):
        raise ValueError(f"z must be one draw an image: got {len(z)} for {len(x)} images")
    divergence = function("kl", kl)(*_alike(q, model.prior))
    if tensor("what kl returns", divergence).dim() > 1:
        divergence = divergence.sum(dim=-1)
    reconstruction = model.decode(z).log_prob(x)
    if divergence.shape != reconstruction.shape:
        raise ValueError(
            "kl must return nats per latent, (B, D), or per image, (B,), without a mean: its shape "
            f"for {tuple(reconstruction.shape)} images, summed over D, is {tuple(divergence.shape)}"
        )
    return ElboTerms(reconstruction, divergence)


def importance_weighted_bound(model: VAE, x: Tensor, num_samples: int) -> Tensor:
    """Lower bound on log p(x) that tightens with num_samples (Eq. 1.13; Burda et al. 2015).

    Holds num_samples · B decoded images in memory: `evaluate` takes a large set in batches.

    Args:
        x: images (B, ...).
        num_samples: K, at least 1; 1 estimates the ELBO.

    Returns:
        (B,), in nats.

    Raises:
        ValueError: if num_samples is below 1.
    """
    having("model", model, "a VAE", ("encode", "decode"))
    num_samples = whole_number("num_samples", num_samples, 1)
    q = model.encode(x)
    z = q.sample((num_samples,)) if not torch.is_grad_enabled() else q.rsample((num_samples,))
    log_joint = model.decode(z).log_prob(x) + _log_prob(model.prior, z)  # (K, B)
    log_weight = log_joint - _log_prob(q, z)
    return torch.logsumexp(log_weight, dim=0) - math.log(num_samples)


def _log_prob(d: Distribution, z: Tensor) -> Tensor:
    """Log-density of latent vectors (..., D) to (...), whether d is joint or of single latents."""
    return d.log_prob(z) if d.event_shape else d.log_prob(z).sum(dim=-1)


def _alike(q: Distribution, p: Distribution) -> tuple[Distribution, Distribution]:
    """q and p as they are if both are of single latents, else both joint, of event shape (D,)."""
    if not q.event_shape and not p.event_shape:
        return q, p
    event = q.event_shape or p.event_shape
    joint = []
    for d in (q, p):
        if not d.event_shape:
            latents = d.expand(torch.broadcast_shapes(d.batch_shape, event))
            d = Independent(latents, 1, validate_args=False)
        joint.append(d)
    return joint[0], joint[1]
