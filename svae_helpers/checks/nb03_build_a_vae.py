"""Check of notebook 03: a learner's own encoder, decoder and training step.

What the step does is read off two networks of ours that keep what passes through them: the draw
from z, the loss from the gradients at the logits and at both heads, the rest from the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from .inspection import Seen, inspection
from .learner import Stop, judge_type
from .mathematics import bce, kl_standard, std
from .mistakes import mistake
from .nb03_vae_loss import vae_loss

PIXELS, LATENTS, FAR, RATE = 784, 4, 4, 1e-3


def _mean_beside_sum(logits: Tensor, x: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    return bce(logits, x).mean() + kl_standard(mu, log_var).sum()


BESIDE = (
    "The cross-entropy is averaged over pixels and batch, PyTorch's default, and the KL summed "
    "over latents and batch: a hidden β of 784·B."
)
LOSSES = {mistake("mean beside sum", _mean_beside_sum, BESIDE): [_mean_beside_sum]}
NAMED = {m.name for m in vae_loss.reduction.mistakes} - {"batch not averaged"}
NAMED |= {"sigmoid twice", "clamped probabilities", "squared error", "lost ½"}  # 3.3 names the rest
for _known, _wrong in vae_loss.catalogue():
    if _known.name in NAMED:
        LOSSES.setdefault(_known, []).append(_wrong)
DRAWS = {  # z = a + b · noise
    "": lambda m, v: (m, std(v)),
    "variance for standard deviation": lambda m, v: (m, v.exp()),
    "log_var taken for σ": lambda m, v: (m, v),
    "σ forgotten": lambda m, v: (m, 1.0),
    "heads swapped": lambda m, v: (v, std(m)),
}
NOISES = {
    "": torch.randn_like,
    "no noise": torch.zeros_like,
    "uniform noise": torch.rand_like,
    "ε shared between images": lambda m: torch.randn_like(m[:1]),
    "ε shared between latents": lambda m: torch.randn_like(m[:, :1]),
}


class Watched(nn.Linear):
    """A network of one layer that keeps what it is given and answers, with their gradients."""

    def __init__(self, inputs: int, outputs: int, heads: int, bias: Tensor):
        super().__init__(inputs, outputs)
        self.heads, self.kept = heads, []
        with torch.no_grad():
            self.weight.normal_(std=2 / (inputs + 40) ** 0.5)
            self.bias.copy_(bias)

    def forward(self, x: Tensor) -> Any:
        answer = super().forward(x).chunk(self.heads, dim=-1)
        if torch.is_grad_enabled():
            self.kept.append((x, *answer))
            for t in self.kept[-1]:
                if t.requires_grad:
                    t.retain_grad()
        return answer if self.heads > 1 else answer[0]


class _Descent:
    """Plain gradient descent; torch's own takes seconds to import what it needs."""

    def __init__(self, *networks: nn.Module):
        self.parameters = [p for network in networks for p in network.parameters()]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for p in self.parameters:
            p.grad = None

    def step(self) -> None:
        for p in self.parameters:
            p.data -= 0 if p.grad is None else RATE * p.grad


def watched() -> tuple[Watched, Watched]:
    """An encoder and a decoder, the first of whose logits are as sure as a decoder gets."""
    log_var, sure = torch.zeros(2 * LATENTS), torch.zeros(PIXELS)
    log_var[LATENTS:], sure[:FAR] = -1.5, 150.0
    return Watched(PIXELS, 2 * LATENTS, 2, log_var), Watched(LATENTS, PIXELS, 1, sure)


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same, but for rounding."""
    return bool((a - b).norm() <= 2e-3 * b.norm() + 1e-5)


def grad(t: Tensor) -> Tensor:
    """What has arrived at a tensor."""
    return torch.zeros_like(t) if t.grad is None else t.grad


def _judge_network(seen: Seen, network: nn.Module, inputs: int, like: Any) -> None:
    """Look at a network far from where it begins, whatever its first weights are."""
    network.eval()
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn_like(p) / (p.shape[-1] ** 0.5 if p.dim() > 1 else 1))
    far, encodes = 100 * torch.randn(32, inputs), isinstance(like, tuple)
    answer = seen.call(network, far)
    if encodes and isinstance(answer, Tensor):
        seen.fault("one head only" if answer.shape == like[0].shape else "heads not told apart")
    problem = judge_type(answer, like)
    if problem is not None:
        raise Stop(problem)
    for name, part in zip(
        ("mu", "log_var") if encodes else ("logits",), answer if encodes else (answer,)
    ):
        low, high = float(part.min()), float(part.max())
        if name == "logits" and low >= 0 and high <= 1:
            seen.fault("probabilities for logits")
        if low >= 0 or high <= 0 or max(-low, high) <= 1:
            seen.fault("bent answer", f"It is `{name}`: from {low:.3g} to {high:.3g}.")
    a, b = far.split(16)
    f = [network(t)[0] if encodes else network(t) for t in (a, b, a + b, 0 * a)]
    if close(f[0] + f[1], f[2] + f[3]):
        seen.fault("no hidden nonlinearity", f"Look at the {'encoder' if encodes else 'decoder'}.")


def _judge_draws(seen: Seen, passes: Sequence[tuple]) -> None:
    rows = [[t.detach().double() for t in (z, *heads)] for (_, *heads), (z, _) in passes]
    rows = [row for row in rows if row[1].isfinite().all() and row[0].shape == row[1].shape]
    noises = [(z - mu) / std(log_var) for z, mu, log_var in rows] or [torch.full((1, 1), 9.0)]
    noise = torch.cat(noises)
    for name, found in (
        ("no noise", noise.abs().max() < 1e-3),
        ("same noise in every step", len(noises) > 1 and close(noises[0], noises[1])),
        ("ε shared between images", all(close(n, n[:1].expand_as(n)) for n in noises)),
        ("ε shared between latents", close(noise, noise[:, :1].expand_as(noise))),
        ("uniform noise", noise.min() > -1e-3 and noise.max() < 1.001),
    ):
        if found:
            seen.fault(name)
    z, mu, log_var = (torch.cat(parts).flatten() for parts in zip(*rows))
    for name, (a, b) in ((name, way(mu, log_var)) for name, way in DRAWS.items()):
        noise = (z - a) / b
        halves = (h for h in (noise[log_var < -1.5], noise[log_var >= -1.5]))
        if all(h.mean().abs() < 0.4 and (h.std() - 1).abs() < 0.28 for h in halves):
            return seen.fault(name) if name else None
    seen.fault("another draw", "z is not mu + σ·ε with σ = exp(log_var / 2) and normal ε.")


def _gradients(loss: Callable, tensors: Sequence[Tensor]) -> list[Tensor]:
    """A loss, and its gradients in logits, mu and log_var."""
    logits, x, mu, log_var = tensors
    leaves = [t.clone().requires_grad_() for t in (logits, mu, log_var)]
    value = loss(leaves[0], x, *leaves[1:]) + sum(0 * t.sum() for t in leaves)
    return [value.detach(), *torch.autograd.grad(value, leaves)]


def _judge_loss(seen: Seen, value: Any, x: Tensor, heads: Sequence[Tensor], z: Tensor, l: Tensor):
    through = grad(z), grad(z) * 0.5 * (z - heads[0]).detach()  # dz = dμ + ½ σ ε d log σ²
    found = [torch.tensor(float(value)), grad(l), *(grad(h) - t for h, t in zip(heads, through))]
    tensors = [t.detach() for t in (l, x, *heads)]
    right = _gradients(vae_loss.reference, tensors)
    if not z.requires_grad:
        seen.fault("detached sample")
    if all(map(close, found, right)):
        return
    if grad(z).any() and close(grad(heads[0]), right[2]):
        seen.fault("detached sample")
    if all(map(close, found[1:], right[1:])):
        text = f"You return {float(value):.5g}, and this batch's loss is {float(right[0]):.5g}."
        seen.fault("another number returned", text)
    for known, losses in LOSSES.items():
        if any(all(map(close, found, _gradients(f, tensors))) for f in losses):
            seen.fault(known.name)
    if close(found[1][:, FAR:], right[1][:, FAR:]) and not close(found[1], right[1]):
        seen.fault("clamped probabilities")
    beta = (found[2] * right[2]).sum() / right[2].square().sum()
    kl_weighed = [right[1], beta * right[2], beta * right[3]]
    if abs(beta - 1) > 2e-2 and all(map(close, found[1:], kl_weighed)):
        seen.fault("a β left in", f"It is {float(beta):.4g}.")
    text = "The gradients are not those of Eq. 3.7; the check of 3.3 names what is wrong in a loss."
    seen.fault("another loss", text)


def _examine(seen: Seen, build: Callable, training_step: Callable) -> str:
    for latents in (2, 7):
        made = seen.call(build, latents)
        pair = made if isinstance(made, (tuple, list)) else ()
        if [isinstance(network, nn.Module) for network in pair] != [True, True]:
            seen.fault("not two networks")
    weights = [[p.shape[-1] for p in network.parameters() if p.dim() > 1] for network in made]
    if not all(weights):
        seen.fault("layers that are not registered")
    if [w[0] for w in weights] == [latents, PIXELS]:
        seen.fault("encoder and decoder swapped")
    _judge_network(seen, made[0], PIXELS, (torch.zeros(32, latents),) * 2)
    _judge_network(seen, made[1], latents, torch.zeros(32, PIXELS))
    encoder, decoder = watched()
    layers, values, moves = (encoder.weight, decoder.weight), [], []
    optimiser = _Descent(encoder, decoder)
    for images in (64, 64, 7):
        x, before = (torch.rand(images, PIXELS) < 0.4).float(), [w.detach().clone() for w in layers]
        values.append(seen.call(training_step, encoder, decoder, optimiser, x, like=0.0))
        moves.append(
            torch.cat([((b - w) / RATE).detach().flatten() for w, b in zip(layers, before)])
        )
    passes = list(zip(encoder.kept, decoder.kept))
    if (len(encoder.kept), len(decoder.kept)) != (3, 3):
        seen.fault("not one pass a step")
    _judge_draws(seen, passes)
    still = not any(move.any() for move in moves)
    if still and all(t.grad is None for (_, *heads), (_, l) in passes for t in (*heads, l)):
        seen.fault("no backward")
    wanted = []
    for value, ((x, *heads), (z, l)) in zip(values, passes):
        _judge_loss(seen, value, x, heads, z, l)
        of = torch.cat([grad(h) for h in heads], 1).T @ x, grad(l).T @ z.detach()
        wanted.append(torch.cat([w.flatten() for w in of]))
    if all(map(close, moves, wanted)):
        return "Both networks and the step are right: this is a VAE."
    if still:
        seen.fault("parameters never move")
    if close(moves[1], wanted[0]) and not moves[0].any():
        seen.fault("step before backward")
    if all(map(close, moves, torch.stack(wanted).cumsum(0))):
        seen.fault("gradients never zeroed")
    text = "The weights move otherwise than `optimiser` moves them with this batch's gradients."
    return seen.fault("another step", text)


@inspection("3.4", _examine)
def first_vae() -> tuple:
    """`build(latent_dim)` and `training_step(encoder, decoder, optimiser, x)`."""
    return networks(), step()


class Net(nn.Module):
    """One hidden layer; `end` makes the answer of what the last layer gives."""

    def __init__(self, inputs: int, outputs: int, end: Callable, bend: Callable):
        super().__init__()
        self.first, self.last, self.end = nn.Linear(inputs, 200), nn.Linear(200, outputs), end
        self.bend = bend

    def forward(self, x: Tensor) -> Any:
        return self.end(self.last(self.bend(self.first(x))))


def two_heads(t: Tensor) -> Sequence[Tensor]:
    """μ and log σ²."""
    return t.chunk(2, dim=-1)


def same(t: Tensor) -> Tensor:
    """Nothing done."""
    return t


def networks(heads: Callable = two_heads, pixels: Callable = same, bend: Callable = torch.relu):
    """A right `build`, but for what is changed."""
    return lambda latents: (
        Net(PIXELS, 2 * latents, heads, bend),
        Net(latents, PIXELS, pixels, torch.relu),
    )


def step(
    loss: Callable = vae_loss.reference,
    draw: str = "",
    noise: Callable = torch.randn_like,
    order: Sequence[str] = ("zero", "backward", "step"),
    cut: Callable = same,
) -> Callable:
    """A right `training_step`, but for what is changed."""

    def training_step(encoder: Callable, decoder: Callable, optimiser: Any, x: Tensor) -> Tensor:
        mu, log_var = encoder(x)
        a, b = DRAWS[draw](mu, log_var)
        value = loss(decoder(cut(a + b * noise(mu))), x, mu, log_var)
        do = {"zero": optimiser.zero_grad, "backward": value.backward, "step": optimiser.step}
        for name in order:
            do[name]()
        return value.detach()

    return training_step


def _fixed(m: Tensor) -> Tensor:
    return torch.randn(m.shape, generator=torch.Generator().manual_seed(1))


def _wrong_net(**changed: Callable) -> Callable:
    return lambda: (networks(**changed), step())


def _wrong_step(**changed: Any) -> Callable:
    return lambda: (networks(), step(**changed))


class _Listed(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.layers = [network]


first_vae.mistakes(
    (
        "not two networks",
        lambda: (lambda latents: networks()(latents)[0], step()),
        lambda: (lambda latents: (torch.relu, torch.relu), step()),
        "`build` returns two modules: `(encoder, decoder)`.",
    ),
    (
        "layers that are not registered",
        lambda: (lambda latents: tuple(map(_Listed, networks()(latents))), step()),
        "A network has no weights that an optimiser could find: make the layers in `__init__`, "
        "each an attribute of its own or in `nn.Sequential`, not in a plain list or in `forward`.",
    ),
    (
        "encoder and decoder swapped",
        lambda: (lambda latents: networks()(latents)[::-1], step()),
        "The first network takes latents and the second pixels: return `(encoder, decoder)`.",
    ),
    (
        "one head only",
        _wrong_net(heads=lambda t: two_heads(t)[0]),
        "The encoder answers one tensor: q needs a mean and a log-variance, a head each.",
    ),
    (
        "heads not told apart",
        _wrong_net(heads=same),
        "The encoder answers one tensor; wanted a tuple, `(mu, log_var)`.",
    ),
    (
        "probabilities for logits",
        _wrong_net(pixels=torch.sigmoid),
        "The decoder answers between 0 and 1, as probabilities do; a logit may be any number.",
    ),
    (
        "bent answer",
        _wrong_net(heads=lambda t: two_heads(t.relu())),
        _wrong_net(heads=lambda t: (t.tanh().chunk(2, -1)[0], two_heads(t)[1])),
        _wrong_net(heads=lambda t: (two_heads(t)[0], two_heads(t)[1].exp())),
        _wrong_net(pixels=torch.relu),
        "An answer that may be any number, negative or far out, is bent by a function such as "
        "`relu`, `tanh` or `exp` after the last layer, which stays linear.",
    ),
    (
        "no hidden nonlinearity",
        _wrong_net(bend=same),
        "Two linear layers in a row are one: put a nonlinearity such as `relu` between them.",
    ),
    (
        "not one pass a step",
        lambda: (networks(), lambda *given: step()(*given) + step()(*given)),
        "A step calls the encoder once and the decoder once, with gradients on.",
    ),
    (
        "no noise",
        _wrong_step(noise=torch.zeros_like),
        "z is the mean, nothing is drawn: z = mu + σ·ε, with fresh ε.",
    ),
    (
        "same noise in every step",
        lambda: (networks(), step(noise=_fixed)),
        "Two steps get the same ε. Draw it inside the step, and set no seed there.",
    ),
    ("ε shared between images", _wrong_step(noise=lambda m: torch.randn_like(m[:1]))),
    ("ε shared between latents", _wrong_step(noise=lambda m: torch.randn_like(m[:, :1]))),
    ("uniform noise", _wrong_step(noise=torch.rand_like)),
    ("variance for standard deviation", _wrong_step(draw="variance for standard deviation")),
    (
        "log_var taken for σ",
        _wrong_step(draw="log_var taken for σ"),
        "You multiply the noise by `log_var`. It is a logarithm: σ = exp(log_var / 2).",
    ),
    ("σ forgotten", _wrong_step(draw="σ forgotten")),
    (
        "heads swapped",
        _wrong_step(draw="heads swapped"),
        "You take the encoder's second answer for the mean: it is `(mu, log_var)`.",
    ),
    (
        "detached sample",
        _wrong_step(cut=torch.Tensor.detach),
        "z is detached, so the reconstruction teaches the encoder nothing: `rsample`, or mu + σ·ε.",
    ),
    ("no backward", _wrong_step(order=["step"]), "No gradient arrives: call `loss.backward()`."),
    (
        "parameters never move",
        _wrong_step(order=["zero", "backward"]),
        _wrong_step(order=["backward", "zero", "step"]),
        _wrong_step(order=["zero", "step", "backward"]),
        "The weights stay as they are: `optimiser.step()` is missing, or the gradients are zeroed "
        "between `backward()` and it.",
    ),
    (
        "step before backward",
        _wrong_step(order=["step", "zero", "backward"]),
        "The optimiser steps with the gradients of the batch before: first `backward()`.",
    ),
    (
        "gradients never zeroed",
        _wrong_step(order=["backward", "step"]),
        "Gradients of earlier batches are added in: `optimiser.zero_grad()` before `backward()`.",
    ),
    *(
        replace(known, variants=tuple(_wrong_step(loss=f) for f in losses))
        for known, losses in LOSSES.items()
    ),
)
