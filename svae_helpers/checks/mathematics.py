"""Formulas that several exercises share."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .mistakes import Terms

LOG_2PI = math.log(2 * math.pi)


def std(log_var: Tensor) -> Tensor:
    """σ = exp(log_var / 2)."""
    return (0.5 * log_var).exp()


def bce(logits: Tensor, x: Tensor) -> Tensor:
    """Cross-entropy per pixel, (B, P) in nats."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none")


def kl_standard(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(q ‖ N(0, 1)) per latent, (B, D) in nats."""
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var)


def bce_terms(logits: Tensor, x: Tensor) -> Terms:
    """The same in two terms."""
    white, black = -x * F.logsigmoid(logits), -(1 - x) * F.logsigmoid(-logits)
    return Terms({"cross-entropy: white pixels": white, "cross-entropy: black pixels": black})


def kl_terms(mu: Tensor, log_var: Tensor, weight: Tensor | float = 1.0, name: str = "KL") -> Terms:
    """KL(q ‖ N(0, 1)) per latent in its four terms, each times a weight."""
    parts = {"μ²": mu**2, "σ²": log_var.exp(), "−1": -torch.ones_like(mu), "log σ²": -log_var}
    return Terms({f"{name}: {term}": 0.5 * weight * part for term, part in parts.items()})


def log_q_terms(z: Tensor, mu: Tensor, log_var: Tensor) -> Terms:
    """log q in its three terms."""
    square, constant = (z - mu) ** 2 / log_var.exp(), torch.full_like(mu, LOG_2PI)
    parts = {"(z − μ)²/σ²": square, "log σ²": log_var, "log 2π": constant}
    return Terms({f"KL: log q: {name}": -0.5 * part for name, part in parts.items()})


def log_q(z: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    """log N(z; mu, exp(log_var)) per latent, in nats."""
    return -0.5 * ((z - mu) ** 2 / log_var.exp() + log_var + LOG_2PI)


def uniform(*shape: int) -> Tensor:
    """Uniform noise of mean 0 and variance 1."""
    return math.sqrt(3) * (2 * torch.rand(*shape) - 1)


def log_normal(z: Tensor, variance: float) -> Tensor:
    """log N(z; 0, variance), in nats."""
    return -0.5 * (z**2 / variance + math.log(2 * math.pi * variance))


def joint(z: Tensor, spike_prob: float, spike_var: float) -> tuple[Tensor, Tensor]:
    """Log-densities of spike and slab, N(0, 1), each with its weight; in z's shape."""
    spike = math.log(spike_prob) + log_normal(z, spike_var)
    return spike, math.log1p(-spike_prob) + log_normal(z, 1.0)


def spike_and_slab(z: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    """Log-density of a latent under the prior with slab variance 1, in z's shape."""
    return torch.logaddexp(*joint(z, spike_prob, spike_var))
