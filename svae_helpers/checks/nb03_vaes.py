"""VAEs of notebook 03 and how they are trained: right ones, but for what is changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .mathematics import std
from .nb03_vae_loss import vae_loss

PIXELS = 784
DRAWS = {  # z = a + b · noise
    "": lambda m, v: (m, std(v)),
    "variance for standard deviation": lambda m, v: (m, v.exp()),
    "log_var taken for σ": lambda m, v: (m, v),
    "σ forgotten": lambda m, v: (m, 1.0),
    "heads swapped": lambda m, v: (v, std(m)),
}


class Net(nn.Module):
    """A hidden layer; `end` makes the answer of what the last one gives."""

    def __init__(self, inputs: int, outputs: int, end: Callable, bend: Callable = torch.relu):
        super().__init__()
        self.first, self.last = nn.Linear(inputs, 200), nn.Linear(200, outputs)
        self.end, self.bend = end, bend

    def forward(self, x: Tensor) -> Any:
        return self.end(self.last(self.bend(self.first(x))))


class Listed(nn.Module):
    """A network in a list, where no optimiser finds it."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.layers = [network]


def halves(t: Tensor) -> Sequence[Tensor]:
    """The two heads."""
    return t.chunk(2, dim=-1)


def same(t: Any) -> Any:
    """Nothing done."""
    return t


def fixed(m: Tensor) -> Tensor:
    """The same noise each time."""
    return torch.randn(m.shape, generator=torch.Generator().manual_seed(1))


def networks(
    heads: Callable = halves,
    pixels: Callable = same,
    bend: Callable = torch.relu,
    pair: Callable = same,
) -> Callable:
    """A `build(latent_dim)`."""

    def build(latents: int) -> Any:
        encoder = Net(PIXELS, 2 * latents, heads, bend)
        return pair((encoder, Net(latents, PIXELS, pixels)))

    return build


def step(
    loss: Callable = vae_loss.reference,
    draw: str = "",
    noise: Callable = torch.randn_like,
    cut: Callable = same,
    order: str = "zero backward step",
) -> Callable:
    """A `training_step(encoder, decoder, optimiser, x)`."""

    def training_step(encoder: Callable, decoder: Callable, optimiser: Any, x: Tensor) -> Tensor:
        mu, log_var = encoder(x)
        a, b = DRAWS[draw](mu, log_var)
        value = loss(decoder(cut(a + b * noise(mu))), x, mu, log_var)
        do = {"zero": optimiser.zero_grad, "backward": value.backward, "step": optimiser.step}
        for name in order.split():
            do[name]()
        return value.detach()

    return training_step


def nets(*changes: dict) -> list[Callable]:
    """Answers to 3.4 whose networks are wrong."""
    return [lambda c=c: (networks(**c), step()) for c in changes]


def steps(*changes: dict) -> list[Callable]:
    """Answers to 3.4 whose step is wrong."""
    return [lambda c=c: (networks(), step(**c)) for c in changes]
