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
from .nb03_build_a_vae import PIXELS, close, grad, networks, step, watched

BOUND, IMAGES, EPOCHS = -185.0, 512, 2
Pair = tuple[nn.Module, nn.Module]


@functools.cache
def digits() -> Tensor:
    """The package's digits, (5000, 784) from 0 to 1; the last thousand are the test images."""
    with files("svae_helpers.assets").joinpath("mnist_5000.npz").open("rb") as file:
        return torch.from_numpy(np.load(file)["images"]).float() / 255


def _judge_loop(seen: Seen, train_vae: Callable) -> None:
    encoder, decoder = watched()
    images = (torch.rand(IMAGES, PIXELS) < 0.4).float()
    before = encoder.weight.detach().clone(), decoder.weight.detach().clone()
    seen.call(train_vae, encoder, decoder, images, EPOCHS)
    passes = list(zip(encoder.kept, decoder.kept))
    shown = torch.cat([x for (x, *_), _ in passes]) if passes else images[:0]
    found = len((shown.double() @ torch.rand(PIXELS, dtype=torch.float64)).unique())
    if found <= IMAGES / 2:
        seen.fault("part of the images", f"Of {IMAGES} images it used {found}.")
    if not 0.5 < len(shown) / IMAGES - EPOCHS + 1 < 1.5:
        times = f"{len(shown) / IMAGES:.2g} times in {EPOCHS} epochs"
        seen.fault("epochs not counted", f"On average it used an image {times}.")
    noises = [(z - mu) / std(log_var) for (_, mu, log_var), (z, _) in passes]
    if len(noises) > 1 and noises[0].shape == noises[1].shape and close(noises[0], noises[1]):
        seen.fault("same noise in every step" if noises[0].abs().max() > 1e-2 else "no noise")
    moved = [not torch.equal(*pair) for pair in zip(before, (encoder.weight, decoder.weight))]
    if not all(moved):
        still = ("encoder never moves", "decoder never moves")[moved[0]]
        seen.fault(still if any(moved) else "parameters never move")
    each = torch.stack([grad(logits).T @ z.detach() for _, (z, logits) in passes])
    if len(each) > 1 and close(grad(decoder.weight), each.sum(0)):
        seen.fault("gradients never zeroed")


def _elbo(seen: Seen, model: Pair, swapped: bool = False) -> tuple[float, float, Tensor]:
    """The ELBO of the test images and its KL in nats per image, and the decoder's answers."""
    x = digits()[4000:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for network in model:
            network.eval()
        heads = seen.call(model[0], x, like=(torch.zeros(len(x), 2),) * 2)
        mu, log_var = (h.detach() for h in (reversed(heads) if swapped else heads))
        z = mu + std(log_var) * torch.randn_like(mu)
        logits = seen.call(model[1], z, like=x).detach()
    kl = kl_standard(mu, log_var).sum(1).mean()
    return float(-bce(logits, x).sum(1).mean() - kl), float(kl), logits


def _examine(seen: Seen, train_vae: Callable, models: Any) -> str:
    _judge_loop(seen, train_vae)
    pairs = [p for p in models if isinstance(p, (tuple, list))] if _is_row(models) else []
    if [[isinstance(n, nn.Module) for n in pair] for pair in pairs] != [[True, True]] * 2:
        seen.fault("not two models")
    weights = [[p for n in pair for p in n.parameters()] for pair in pairs]
    if all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(*weights)):
        seen.fault("one model twice")
    found = []
    for model in pairs:
        elbo, kl, logits = _elbo(seen, model)
        found.append(f"{elbo:.1f}")
        if elbo >= BOUND:
            continue
        text = f"An ELBO is {elbo:.1f} nats, of which {kl:.2g} are KL."
        if logits.min() >= 0 and logits.max() <= 1:
            seen.fault("probabilities for logits", text)
        if _elbo(seen, model, swapped=True)[0] >= BOUND:
            seen.fault("heads swapped", text)
        silent = kl < 0.05 and elbo > -230  # about the mean image's
        seen.fault("silent code" if silent else "bound not reached", text)
    return f"Both models reach {BOUND:g}: their ELBOs are {' and '.join(found)} nats per image."


def _is_row(models: Any) -> bool:
    return isinstance(models, (tuple, list)) and len(models) == 2


@inspection("3.5", _examine)
def trained_vaes() -> tuple:
    """`train_vae(encoder, decoder, images, epochs)`, and two trained models of two latents."""
    return _train(), trained()


def _train(
    do: Callable = step(),
    weights: Callable = lambda e, d: [*e.parameters(), *d.parameters()],
    rows: Callable = lambda n: torch.randperm(n).split(64),
    epochs: Callable = lambda n: n,
) -> Callable:
    """A right `train`, but for what is changed."""

    def train(encoder: nn.Module, decoder: nn.Module, images: Tensor, epochs_: int) -> None:
        optimiser = torch.optim.Adam(weights(encoder, decoder), lr=5e-3)
        for _ in range(epochs(epochs_)):
            for batch in rows(len(images)):
                do(encoder, decoder, optimiser, images[batch])

    return train


@functools.cache
def trained() -> list[Pair]:
    """Two models that reach the bound after a few seconds."""
    models = []
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        for seed in (0, 1):
            torch.manual_seed(seed)
            models.append(networks()(2))
            _train()(*models[-1], digits()[:4000], 3)
    return models


def _wrong(**changed: Callable) -> Callable:
    return lambda: (_train(**changed), trained())


def _models(change: Callable) -> Callable:
    return lambda: (_train(), [change(*pair) for pair in trained()])


class _Then(nn.Module):
    """A network, and what is done to its answer."""

    def __init__(self, network: nn.Module, change: Callable):
        super().__init__()
        self.network, self.change = network, change

    def forward(self, x: Tensor) -> Any:
        return self.change(self.network(x))


def _mean_image(logits: Tensor) -> Tensor:
    return torch.logit(digits().mean(0), eps=1e-4).expand_as(logits)


trained_vaes.mistakes(
    (
        "part of the images",
        _wrong(rows=lambda n: [torch.arange(64)]),
        _wrong(do=lambda *_: None),
        "Each epoch goes through all batches of all images; is a `return` or a `break` too early?",
    ),
    (
        "epochs not counted",
        _wrong(epochs=lambda n: 1),
        _wrong(epochs=lambda n: 5),
        "`epochs` says how often all images are gone through.",
    ),
    (
        "same noise in every step",
        _wrong(do=step(noise=lambda m: torch.ones_like(m))),
        "Two batches get the same ε: draw it inside the loop.",
    ),
    ("no noise", _wrong(do=step(noise=torch.zeros_like)), "z is the mean: nothing is drawn."),
    (
        "encoder never moves",
        _wrong(weights=lambda e, d: d.parameters()),
        "The encoder stays as it was: the optimiser needs the parameters of both networks.",
    ),
    (
        "decoder never moves",
        _wrong(weights=lambda e, d: e.parameters()),
        "The decoder stays as it was: the optimiser needs the parameters of both networks.",
    ),
    (
        "parameters never move",
        _wrong(do=step(order=["zero", "backward"])),
        "Both networks stay as they were: does every batch end in `optimiser.step()`?",
    ),
    (
        "gradients never zeroed",
        _wrong(do=step(order=["backward", "step"])),
        "Gradients of all earlier batches are added in: `optimiser.zero_grad()` in every step.",
    ),
    (
        "not two models",
        lambda: (_train(), [*trained()[0]]),
        lambda: (_train(), trained()[:1]),
        "Hand over a list of two pairs, `[(encoder, decoder), (encoder, decoder)]`.",
    ),
    (
        "one model twice",
        lambda: (_train(), [trained()[0]] * 2),
        "Both models have the same weights: build new networks for the second, from another seed.",
    ),
    (
        "probabilities for logits",
        _models(lambda e, d: (e, _Then(d, torch.sigmoid))),
        "The decoder's answers lie between 0 and 1; logits are asked for.",
    ),
    (
        "heads swapped",
        _models(lambda e, d: (_Then(e, lambda heads: heads[::-1]), d)),
        "With the encoder's answers in each other's place it would reach the bound: `(mu, "
        "log_var)`.",
    ),
    (
        "silent code",
        _models(lambda e, d: (_Then(e, lambda h: (0 * h[0], 0 * h[1])), _Then(d, _mean_image))),
        "The KL is 0: every image gets the prior for its q. Is the cross-entropy summed over "
        "pixels?",
    ),
    (
        "bound not reached",
        lambda: (_train(), [networks()(2), networks()(2)]),
        f"The bound is {BOUND:g}. Train longer or with a higher learning rate; if the KL is far "
        "above 10, the loss lacks it.",
    ),
)
