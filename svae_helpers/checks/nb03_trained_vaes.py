"""Check of notebook 03: a learner's training loop, and the two models that it trained."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .inspection import Seen, inspection
from .mathematics import bce, kl_standard, std
from .nb03_build_a_vae import close, watched
from .nb03_vaes import PIXELS, fixed, networks, step

BOUND, IMAGES, EPOCHS = -185.0, 512, 2


@functools.cache
def digits() -> Tensor:
    """The package's digits, (5000, 784) from 0 to 1; the last thousand are the test images."""
    with files("svae_helpers.assets").joinpath("mnist_5000.npz").open("rb") as file:
        return torch.from_numpy(np.load(file)["images"]).float() / 255


def _judge_loop(seen: Seen, train_vae: Callable) -> None:
    """Watch what two networks of ours are shown, and whether they move."""
    ours, images = watched(), (torch.rand(IMAGES, PIXELS) < 0.4).float()
    before = [network.weight.detach().clone() for network in ours]
    seen.call(train_vae, *ours, images, EPOCHS)
    shown = torch.cat([x for x, *_ in ours[0].kept]) if ours[0].kept else images[:0]
    found = len((shown.double() @ torch.rand(PIXELS, dtype=torch.float64)).unique())
    if found < 0.92 * IMAGES:  # drawn with replacement, 86% come at least once in two epochs
        seen.fault("part of the images", f"Of {IMAGES} images it used {found}.")
    if abs(len(shown) / IMAGES - EPOCHS) > 0.5:
        each = f"In {EPOCHS} epochs it used an image {len(shown) / IMAGES:.2g} times on average."
        seen.fault("epochs not counted", each)
    passes = zip(ours[0].kept, ours[1].kept)
    noises = [(z - mu) / std(log_var) for (_, mu, log_var), (z, _) in passes][:2]
    alike = len(noises) > 1 and noises[0].shape == noises[1].shape and close(*noises)
    if alike and noises[0].abs().max() > 1e-2:
        seen.fault("same noise in every step")
    moved = [not torch.equal(w, network.weight) for w, network in zip(before, ours)]
    if not all(moved):
        still = ("encoder never moves", "decoder never moves")[moved[0]]
        seen.fault(still if any(moved) else "parameters never move")


def _elbo(seen: Seen, encoder: nn.Module, decoder: nn.Module) -> tuple[float, float]:
    """The ELBO of the test images and its KL, in nats per image."""
    x = digits()[4000:]
    heads = seen.call(encoder.eval(), x, like=(torch.zeros(len(x), 2),) * 2)
    mu, log_var = (head.detach() for head in heads)
    z = mu + std(log_var) * torch.randn_like(mu)
    logits = seen.call(decoder.eval(), z, like=x).detach()
    if logits.min() >= 0 and logits.max() <= 1:
        seen.fault("probabilities for logits")
    kl = kl_standard(mu, log_var).sum(1).mean()
    return float(-bce(logits, x).sum(1).mean() - kl), float(kl)


def _examine(seen: Seen, train_vae: Callable, models: Any) -> str:
    _judge_loop(seen, train_vae)
    pairs = models if isinstance(models, (tuple, list)) else []
    pairs = [pair for pair in pairs if isinstance(pair, (tuple, list))]
    if [[isinstance(network, nn.Module) for network in pair] for pair in pairs] != [[True] * 2] * 2:
        seen.fault("not two models")
    weights = [[p for network in pair for p in network.parameters()] for pair in pairs]
    takes = [
        [next((p.shape[-1] for p in n.parameters() if p.dim() > 1), 0) for n in pair]
        for pair in pairs
    ]
    if [2, PIXELS] in takes:
        seen.fault("decoder first")
    if all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(*weights)):
        seen.fault("one model twice")
    found = [_elbo(seen, *pair) for pair in pairs]
    for elbo, kl in found:
        if not elbo >= BOUND:
            seen.fault("bound not reached", f"An ELBO is {elbo:.1f} nats, with a KL of {kl:.2g}.")
    (first, _), (second, _) = found
    return f"Both models reach {BOUND:g} nats per image: {first:.1f} and {second:.1f}."


@inspection("3.5", _examine)
def trained_vaes() -> tuple:
    """`train_vae(encoder, decoder, images, epochs)`, and two trained models of two latents."""
    return _train(), _trained()


def _train(
    do: Callable = step(),
    weights: Callable = lambda e, d: [*e.parameters(), *d.parameters()],
    rows: Callable = lambda n: torch.randperm(n).split(64),
    epochs: Callable = lambda n: n,
) -> Callable:
    """A right `train_vae`, but for what is changed."""

    def train_vae(encoder: nn.Module, decoder: nn.Module, images: Tensor, wanted: int) -> None:
        optimiser = torch.optim.Adam(weights(encoder, decoder), lr=5e-3)
        for _ in range(epochs(wanted)):
            for batch in rows(len(images)):
                do(encoder, decoder, optimiser, images[batch])

    return train_vae


@functools.cache
def _trained() -> list[tuple]:
    """Two models that reach the bound, after a few seconds."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        models = [networks()(2), networks()(2)]
        for model in models:
            _train()(*model, digits()[:4000], 3)
    return models


def _loop(**changed: Callable) -> Callable:
    return lambda: (_train(**changed), _trained())


trained_vaes.mistakes(
    (
        "part of the images",
        _loop(rows=lambda n: [torch.arange(64)]),
        _loop(do=lambda *_: None),
        "Each epoch goes through all batches of all images; is a `return` or a `break` too early, "
        "or are rows drawn with replacement?",
    ),
    (
        "epochs not counted",
        _loop(epochs=lambda n: 1),
        _loop(epochs=lambda n: 5),
        "`epochs` says how often all images are gone through.",
    ),
    (
        "same noise in every step",
        _loop(do=step(noise=fixed)),
        "Two batches get the same ε: draw it afresh for each, and set no seed in between.",
    ),
    (
        "encoder never moves",
        _loop(weights=lambda e, d: d.parameters()),
        "The encoder stays as it was: the optimiser needs the parameters of both networks.",
    ),
    (
        "decoder never moves",
        _loop(weights=lambda e, d: e.parameters()),
        "The decoder stays as it was: the optimiser needs the parameters of both networks.",
    ),
    (
        "parameters never move",
        _loop(do=step(order="zero backward")),
        "Both networks stay as they were: does every batch end in `optimiser.step()`?",
    ),
    (
        "not two models",
        lambda: (_train(), _trained()[0]),
        lambda: (_train(), _trained()[:1]),
        "Hand over a list of two pairs, `[(encoder, decoder), (encoder, decoder)]`.",
    ),
    (
        "decoder first",
        lambda: (_train(), [pair[::-1] for pair in _trained()]),
        "The first network of a pair takes latents: the pairs are `(encoder, decoder)`.",
    ),
    (
        "probabilities for logits",
        lambda: (_train(), [(e, nn.Sequential(d, nn.Sigmoid())) for e, d in _trained()]),
        "A decoder answers between 0 and 1, as probabilities do; a logit may be any number.",
    ),
    (
        "one model twice",
        lambda: (_train(), _trained()[:1] * 2),
        "Both models have the same weights: build new networks for the second, from another seed.",
    ),
    (
        "bound not reached",
        lambda: (_train(), [networks()(2), networks()(2)]),
        f"The bound is {BOUND:g}. Train longer or with a higher learning rate. A KL near 0 says "
        "that it weighs too much in the loss, one far above 10 that it weighs too little.",
    ),
)
