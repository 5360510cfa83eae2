"""Check of notebook 03: a learner's training loop, and the two models that it trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .inspection import Seen, inspection
from .mathematics import bce, kl_standard, std
from .nb03_build_a_vae import PIXELS, close, inputs_of, watched
from .small_vae import digits

BOUND, IMAGES, EPOCHS = -185.0, 512, 2


def _judge_loop(seen: Seen, train_vae: Callable) -> None:
    """Watch what two networks of ours are shown, and whether they move."""
    ours, images = watched(), (torch.rand(IMAGES, PIXELS) < 0.4).float()
    before = [network.weight.detach().clone() for network in ours]
    seen.call(train_vae, *ours, images, EPOCHS)
    shown = torch.cat([images[:0], *(x for x, *_ in ours[0].kept)])
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
    still = [torch.equal(w, network.weight) for w, network in zip(before, ours)]
    if all(still):
        seen.fault("parameters never move")
    if any(still):
        seen.fault("one network never moves", f"It is the {'encoder' if still[0] else 'decoder'}.")


def _elbo(seen: Seen, encoder: nn.Module, decoder: nn.Module) -> tuple[float, float]:
    """The ELBO of the test images and its KL, in nats per image."""
    x = digits()[1]
    heads = seen.call(encoder.eval(), x, like=(torch.zeros(len(x), 2),) * 2)
    mu, log_var = (head.detach() for head in heads)
    z = mu + std(log_var) * torch.randn_like(mu)
    logits = seen.call(decoder.eval(), z, like=x).detach()
    if logits.min() >= 0 and logits.max() <= 1:
        seen.fault("probabilities for logits")
    kl = kl_standard(mu, log_var).sum(1).mean()
    return float(-bce(logits, x).sum(1).mean() - kl), float(kl)


@inspection("3.5")
def trained_vaes(seen: Seen, train_vae: Callable, models: Any) -> str:
    """`train_vae(encoder, decoder, images, epochs)`, and two trained models of two latents."""
    _judge_loop(seen, train_vae)
    pairs = models if isinstance(models, (tuple, list)) else []
    pairs = [pair for pair in pairs if isinstance(pair, (tuple, list))]
    if [[isinstance(network, nn.Module) for network in pair] for pair in pairs] != [[True] * 2] * 2:
        seen.fault("not two models")
    if any([*map(inputs_of, pair)] == [2, PIXELS] for pair in pairs):
        seen.fault("decoder first")
    weights = [[p for network in pair for p in network.parameters()] for pair in pairs]
    if all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(*weights)):
        seen.fault("one model twice")
    found = [_elbo(seen, *pair) for pair in pairs]
    for elbo, kl in found:
        if not elbo >= BOUND:
            text = f"An ELBO is {elbo:.1f} nats, with a KL of {kl:.2g}; the bound is {BOUND:g}."
            seen.fault("bound not reached", text)
    (first, _), (second, _) = found
    return f"Both models reach {BOUND:g} nats per image: {first:.1f} and {second:.1f}."
