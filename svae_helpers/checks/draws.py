"""Draws of the exercises' arguments."""

import torch
from torch import Generator, Tensor


def draw_pixels(g: Generator, B: int, P: int, spread: float = 2.0) -> tuple[Tensor, Tensor]:
    """Draw logits and binary pixels, both (B, P)."""
    logits = spread * torch.randn(B, P, generator=g) + 0.4
    return logits, (torch.rand(B, P, generator=g) < 0.37).float()


def wrong_pixels(g: Generator, B: int, P: int) -> tuple[Tensor, Tensor]:
    """Draw logits near ±160 with binary pixels, some of them surely wrong: probability 0."""
    logits, x = draw_pixels(g, B, P, spread=1.0)
    sign = torch.where(torch.rand(B, P, generator=g) < 0.5, -1.0, 1.0)
    x[:, 0], sign[:, 0] = 1.0, -1.0
    return logits + 160 * sign, x


def sure_pixels(g: Generator, B: int, P: int) -> tuple[Tensor, Tensor]:
    """Draw logits near ±160 with the pixels of which they are sure: each has probability 1."""
    logits, _ = wrong_pixels(g, B, P)
    return logits, (logits > 0).float()


def draw_posterior(g: Generator, B: int, D: int) -> tuple[Tensor, Tensor]:
    """Draw a posterior's mean and log-variance (from −2.4 to 0.8), both (B, D)."""
    mu = 1.3 * torch.randn(B, D, generator=g) + 0.3
    return mu, 3.2 * torch.rand(B, D, generator=g) - 2.4


def narrow_posterior(g: Generator, B: int, D: int) -> tuple[Tensor, Tensor]:
    """Draw a posterior as trained models have it: log σ² from −8 up to 3."""
    mu, _ = draw_posterior(g, B, D)
    return mu, torch.linspace(-8, 3, B * D)[torch.randperm(B * D, generator=g)].reshape(B, D)
