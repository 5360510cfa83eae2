"""How sparse a code is, and how many of its latents are in use."""

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from .arguments import codes, distribution, tensor, whole_number, without_nan
from .quadrature import crossover_constants, expectation_within, spike_reach
from .spike_and_slab import SpikeAndSlab, gaussian_parameters

ACTIVE_VARIANCE = 0.01  # Burda et al. 2015: a latent is in use if Var_x[mu] exceeds this


def slab_count(mu: Tensor, prior: SpikeAndSlab) -> Tensor:
    """Number of latents per image whose mean lies past the crossover (Eq. 6.2).

    Args:
        mu: posterior means (B, D).
        prior: spike-and-slab of zero-mean Gaussians; a dense model is counted with a sparse
            model's prior.

    Returns:
        (B,), whole numbers.
    """
    crossover = distribution("prior", prior, SpikeAndSlab).crossover
    return (without_nan("mu", tensor("mu", mu)).abs() > crossover.to(mu.device)).sum(dim=-1)


def expected_slab_count(q: Normal, prior: SpikeAndSlab) -> Tensor:
    """Expected number of slab latents per image, Σ_d E_q[P(slab | z_d)] (Eq. 6.3).

    Args:
        q: posterior of batch shape (B, D).

    Returns:
        (B,).
    """
    return expected_slab_responsibility(q, prior).sum(dim=-1)


def expected_slab_responsibility(q: Normal, prior: SpikeAndSlab, num_nodes: int = 64) -> Tensor:
    """E_q[P(slab | z)] per latent, by Gauss–Legendre quadrature (Eq. 6.3).

    Args:
        q: posterior of batch shape (B, D).
        prior: spike-and-slab of zero-mean Gaussians.

    Returns:
        (B, D), between 0 and 1.
    """
    like = distribution("q", q, Normal).loc
    c, d = crossover_constants(*gaussian_parameters(prior, like=like))
    from_spike = expectation_within(
        q, lambda z: torch.sigmoid(c - d * z.square()), spike_reach(c, d), num_nodes
    )
    return 1 - from_spike


def prior_slab_count(prior: SpikeAndSlab, latent_dim: int) -> float:
    """What `slab_count` gives on average for draws from the prior itself: P(|z| > crossover) · D.

    It is less than (1 − spike_prob) · D, since a slab latent often lands near 0.
    """
    latent_dim = whole_number("latent_dim", latent_dim, 1)
    if distribution("prior", prior, SpikeAndSlab).batch_shape.numel() != 1:
        shape = tuple(prior.batch_shape)
        raise ValueError(f"prior must be that of one latent, got one of batch_shape {shape}")
    spike_prob, spike_var, slab_var = (float(value) for value in gaussian_parameters(prior))
    crossover = float(prior.crossover)
    beyond = [math.erfc(crossover / math.sqrt(2 * variance)) for variance in (spike_var, slab_var)]
    return latent_dim * (spike_prob * beyond[0] + (1 - spike_prob) * beyond[1])


def live_latents(mu: Tensor) -> Tensor:
    """Which latents are in use: Var_x[mu] above 0.01 (Eq. 6.4; Burda et al. 2015).

    Args:
        mu: posterior means (N, D) over a data set, N at least 2.

    Returns:
        (D,), boolean.
    """
    return codes("mu", mu).var(dim=0) > ACTIVE_VARIANCE


def active_units(mu: Tensor) -> Tensor:
    """Number of latents in use over a data set (Eq. 6.4), from posterior means (N, D)."""
    return live_latents(mu).sum()


def standardised_codes(mu: Tensor) -> Tensor:
    """Each latent divided by its standard deviation over the data: no scale is left (Eq. 7.4).

    Args:
        mu: posterior means (N, D) over a data set.

    Returns:
        (N, D); 0 for latents that are not in use, whose deviation is next to nothing.
    """
    live = live_latents(mu)
    return torch.where(live, mu / torch.where(live, mu.std(dim=0), 1.0), 0.0)


def keep_strongest(mu: Tensor, k: int, strength: Tensor | None = None) -> Tensor:
    """Codes with all but each image's k strongest latents set to 0, the mean of every prior here.

    Args:
        mu: posterior means (N, D).
        k: latents to keep, from 0 to D.
        strength: (N, D), larger is stronger; the size of `standardised_codes` if None.

    Returns:
        (N, D).
    """
    strength = standardised_codes(mu).abs() if strength is None else strength
    if whole_number("k", k, 0) > mu.shape[-1] or strength.shape != mu.shape:
        shapes = f"mu {tuple(mu.shape)} and strength {tuple(strength.shape)}"
        raise ValueError(f"k must be at most D, and strength of mu's shape: got {k}, {shapes}")
    kept = strength.topk(k, dim=-1).indices
    return torch.zeros_like(mu).scatter(-1, kept, mu.gather(-1, kept))


def hoyer_sparsity(mu: Tensor) -> Tensor:
    """Hoyer's sparsity of the live latents, averaged over images (Eq. 7.4; Mathieu et al. 2019).

    1 for one latent on, 0 for all of equal size; Gaussian noise gives about ¼, so read it beside
    `hoyer_gaussian_reference` of the same number of live latents. Each latent is divided by its
    standard deviation over the data first.

    Args:
        mu: posterior means (N, D).

    Returns:
        Scalar; NaN with fewer than two live latents. An image of zeros counts as 1.
    """
    live = live_latents(mu)
    scaled = standardised_codes(mu)  # (N, D)
    root = live.sum().to(mu.dtype).sqrt()
    norm = scaled.square().sum(dim=-1).sqrt()
    ratio = scaled.abs().sum(dim=-1) / torch.where(norm > 0, norm, 1.0)
    per_image = torch.where(norm > 0, (root - ratio) / (root - 1), 1.0)
    return torch.where(root > 1, per_image.mean(), torch.nan)


def hoyer_gaussian_reference(num_latents: int) -> float:
    """Hoyer's sparsity of iid normal codes with num_latents ≥ 2 latents, in closed form.

    A normal vector's direction is independent of its length, so E[‖y‖₁/‖y‖₂] = E‖y‖₁ / E‖y‖₂.
    """
    num_latents = whole_number("num_latents", num_latents, 2)
    mean_l1 = num_latents * math.sqrt(2 / math.pi)
    mean_l2 = math.sqrt(2) * math.exp(
        math.lgamma((num_latents + 1) / 2) - math.lgamma(num_latents / 2)
    )
    return (math.sqrt(num_latents) - mean_l1 / mean_l2) / (math.sqrt(num_latents) - 1)


def hoyer_prior_reference(
    prior: Distribution, num_latents: int, num_samples: int = 20_000
) -> float:
    """Hoyer's sparsity of codes drawn from the prior itself (torch's global generator)."""
    sizes = {"num_samples": num_samples, "num_latents": num_latents}
    shape = tuple(whole_number(name, size, 2) for name, size in sizes.items())
    return float(hoyer_sparsity(distribution("prior", prior, needs=("sample",)).sample(shape)))
