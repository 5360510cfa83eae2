"""KL(q ‖ p) per latent, in nats: closed form, Monte Carlo, quadrature, bounds."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Normal,
    kl_divergence,
    register_kl,
)

from .arguments import distribution, tensor, whole_number
from .gated import GatedNormal
from .quadrature import crossover_constants, expectation_within, spike_reach
from .spike_and_slab import SpikeAndSlab, gaussian_parameters, given_variance


def kl_normal_standard(q: Normal) -> Tensor:
    """KL(q ‖ N(0, 1)) per latent, in closed form (Eq. 3.6).

    Args:
        q: posterior of batch shape (B, D).

    Returns:
        (B, D), in nats.
    """
    variance = distribution("q", q, Normal).scale.square()
    return 0.5 * (q.loc.square() + variance - 1 - torch.log(variance))


def kl_monte_carlo(q: Distribution, p: Distribution, num_samples: int = 10) -> Tensor:
    """Estimate KL(q ‖ p) per latent from reparameterised samples of q (Eq. 5.2).

    Unbiased, with a standard error that falls as 1/√num_samples (Eq. 5.3). The samples carry
    gradients to q's parameters; detached ones would leave only noise (Eq. 2.2).

    Args:
        q: posterior of batch shape (B, D) that has `rsample`.
        p: prior whose `log_prob` broadcasts against (K, B, D).
        num_samples: K, at least 1.

    Returns:
        (B, D), in nats. Sum over the last axis for a whole latent vector.

    Raises:
        ValueError: if num_samples is below 1, or q has a point mass that p lacks or p alone is
            discrete, whose KL no samples show to be infinite.
    """
    distribution("q", q, needs=("rsample", "log_prob"))
    distribution("p", p, needs=("log_prob",))
    _refuse_infinite(q, p)
    z = q.rsample((whole_number("num_samples", num_samples, 1),))  # (K, B, D)
    return (q.log_prob(z) - p.log_prob(z)).mean(dim=0)


def kl_quadrature(q: Normal, p: SpikeAndSlab, num_nodes: int = 64) -> Tensor:
    """KL(q ‖ p) per latent to 1e-7 nats (float64), for zero-mean Gaussian spike and slab (Eq. 5.7).

    The slab's part is a Gaussian KL. What the spike adds is a smooth function that vanishes
    outside the spike, integrated by Gauss–Legendre where it overlaps with q.

    Args:
        q: posterior of batch shape (B, D).
        p: `SpikeAndSlab` of zero-mean Gaussians, batch shape that broadcasts against (B, D).
        num_nodes: 64 give 1e-7 nats, 32 give 2e-4.

    Returns:
        (B, D), in nats, differentiable in q's and p's parameters.

    Raises:
        NotImplementedError: for other posteriors or components; use `kl_monte_carlo`.
        ValueError: if num_nodes is below 1.
    """
    if not isinstance(q, Normal):
        raise NotImplementedError(f"kl_quadrature needs a Normal q, got {q}: use kl_monte_carlo")
    spike_prob, spike_var, slab_var = gaussian_parameters(p, like=q.loc)
    always_off = spike_prob == 1
    spike_prob = torch.where(always_off, 0.5, spike_prob)  # any other value: not used there
    c, d = crossover_constants(spike_prob, spike_var, slab_var)
    from_spike = expectation_within(
        q, lambda z: F.softplus(c - d * z.square()), spike_reach(c, d), num_nodes
    )
    mixture = _kl_centred(q, slab_var) - torch.log1p(-spike_prob) - from_spike
    return torch.where(always_off, _kl_centred(q, spike_var), mixture)


def kl_bounds(q: Normal, p: SpikeAndSlab) -> tuple[Tensor, Tensor]:
    """Sandwich KL(q ‖ p) per latent between closed forms (Eqs. 5.6 and 5.4; Hershey & Olsen 2007).

    Args:
        q: posterior of batch shape (B, D).
        p: `SpikeAndSlab` of Gaussians.

    Returns:
        (lower, upper), each (B, D), in nats.

    Raises:
        NotImplementedError: for components that are not Gaussian.
    """
    distribution("q", q, Normal)
    for component in (distribution("p", p, SpikeAndSlab).spike, p.slab):
        if not isinstance(component, Normal):
            raise NotImplementedError(f"kl_bounds needs Gaussian components, got {component}")
    spike_prob = torch.as_tensor(p.spike_prob, dtype=q.loc.dtype, device=q.loc.device)
    tiny = torch.finfo(q.loc.dtype).tiny
    log_weights = spike_prob.clamp(min=tiny).log(), (1 - spike_prob).clamp(min=tiny).log()
    kls, overlaps = [], []
    for log_weight, component in zip(log_weights, (p.spike, p.slab), strict=True):
        loc = component.loc.to(q.loc)
        variance = torch.as_tensor(given_variance(component)).to(q.loc)
        kls.append(log_weight - kl_divergence(q, _normal(loc, variance)))
        overlaps.append(log_weight + _normal(loc, q.variance + variance).log_prob(q.loc))
    upper = -torch.logaddexp(*kls)
    lower = -q.entropy() - torch.logaddexp(*overlaps)  # an overlap is log ∫ q(z) g(z) dz
    return lower, upper


def kl_gated(q: GatedNormal, p: GatedNormal) -> Tensor:
    """KL(q ‖ p) per latent between two gated Gaussians, in closed form (Eq. 8.3).

    The gates' Bernoulli KL, plus the Gaussian KL in proportion to how often q's gate is open.

    Args:
        q: posterior of batch shape (B, D).
        p: prior, batch shape that broadcasts against (B, D).

    Returns:
        (B, D), in nats.
    """
    for name, gated in (("q", q), ("p", p)):
        distribution(name, gated, GatedNormal)
    on, off = torch.sigmoid(q.gate_logits), torch.sigmoid(-q.gate_logits)
    gates = on * (F.logsigmoid(q.gate_logits) - F.logsigmoid(p.gate_logits)) + off * (
        F.logsigmoid(-q.gate_logits) - F.logsigmoid(-p.gate_logits)
    )
    open_q = Normal(q.loc, q.scale, validate_args=False)
    open_p = Normal(p.loc, p.scale, validate_args=False)
    return gates + on * kl_divergence(open_q, open_p)


def kl_marginals(q: Distribution, p: Distribution, z: Tensor | None = None) -> Tensor:
    """Estimate KL(q(z_d) ‖ p(z_d)) of each latent's aggregate posterior in a batch (Eq. 9.2).

    The aggregate is the mixture of the batch's posteriors, q(z_d) = 1/B Σ_b q(z_d | x_b), and every
    draw is scored under all of them: B·B·D densities. Unbiased for the batch's own aggregate; that
    of more images is nearer to p, by an amount that falls as 1/B (Eq. 9.3). A gated posterior's
    gates are averaged in closed form (Eq. 9.4), so that only its open part is drawn.

    Args:
        q: posterior of single latents, batch shape (B, D), that has `rsample`.
        p: prior whose `log_prob` broadcasts against (B, D); gated where q is.
        z: draw (B, D) of q to use, with its gradients; a fresh one if None.

    Returns:
        (D,), in nats, differentiable in q's and p's parameters. Sum it for the loss of Eq. 9.1.

    Raises:
        ValueError: if q is joint, or of another shape than (B, D), or z is.
    """
    distribution("q", q, needs=("rsample", "log_prob", "event_shape", "batch_shape"))
    distribution("p", p, needs=("log_prob",))
    if q.event_shape or len(q.batch_shape) != 2:
        raise ValueError(f"q must be of single latents, batch shape (B, D), got {q}")
    if isinstance(q, GatedNormal):
        return _kl_gated_marginals(q, p)
    z = q.rsample() if z is None else tensor("z", z)
    if z.shape != q.batch_shape:
        raise ValueError(f"z must be a draw of q, {tuple(q.batch_shape)}, got {tuple(z.shape)}")
    log_each = q.log_prob(z[:, None])  # (draw, posterior, D)
    log_aggregate = torch.logsumexp(log_each, dim=1) - math.log(len(z))  # (B, D)
    return (log_aggregate - p.log_prob(z)).mean(dim=0)


def _kl_gated_marginals(q: GatedNormal, p: Distribution) -> Tensor:
    """Eq. 9.4: the KL of the mean gate, plus that of the open parts' mixture while it is open."""
    if not isinstance(p, GatedNormal):
        raise ValueError(f"a gated posterior needs a gated prior, got {p}")
    log_open = F.logsigmoid(q.gate_logits)  # (B, D)
    log_opens = torch.logsumexp(log_open, dim=0)  # of B times the mean gate, (D,)
    log_shuts = torch.logsumexp(F.logsigmoid(-q.gate_logits), dim=0)
    mean_gate = GatedNormal(log_opens - log_shuts, p.loc, p.scale, validate_args=False)
    open_q = Normal(q.loc, q.scale, validate_args=False)
    z = open_q.rsample()
    log_aggregate = torch.logsumexp(log_open - log_opens + open_q.log_prob(z[:, None]), dim=1)
    log_ratio = log_aggregate - Normal(p.loc, p.scale, validate_args=False).log_prob(z)
    return kl_gated(mean_gate, p) + (log_open.exp() * log_ratio).mean(dim=0)


def _refuse_infinite(q: Distribution, p: Distribution) -> None:
    """Densities and point masses are no ratio of each other, though their numbers are."""
    if isinstance(q, GatedNormal) and isinstance(p, Normal | SpikeAndSlab):
        raise ValueError(f"KL(q ‖ p) is infinite: q is exactly 0 now and then, and {p} never is")
    if isinstance(q, Normal) and isinstance(p, Bernoulli | Categorical):
        raise ValueError(f"KL(q ‖ p) is infinite: q is continuous, and {p} is discrete")


def _kl_centred(q: Normal, variance: Tensor) -> Tensor:
    """KL(q ‖ N(0, variance)) per latent."""
    ratio = q.scale.square() / variance
    return 0.5 * (q.loc.square() / variance + ratio - 1 - torch.log(ratio))


def _normal(loc: Tensor, variance: Tensor) -> Normal:
    return Normal(loc, variance.sqrt(), validate_args=False)


@register_kl(Normal, SpikeAndSlab)
def _kl_normal_spike_and_slab(q: Normal, p: SpikeAndSlab) -> Tensor:
    return kl_quadrature(q, p)


@register_kl(GatedNormal, GatedNormal)
def _kl_gated_gated(q: GatedNormal, p: GatedNormal) -> Tensor:
    return kl_gated(q, p)
