"""Check of notebook 03: a learner's own encoder, decoder and training step.

What the step does is read off two networks of ours that keep what passes through them: the draw
from z, the loss from the gradients at the logits and at both heads, the rest from the weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .inspection import Seen, inspection
from .learner import Stop, judge_type
from .mathematics import bce, kl_standard, std
from .nb03_vae_loss import vae_loss
from .nb03_vaes import DRAWS, PIXELS, Listed, fixed, halves, nets, networks, same, step, steps

LATENTS, SURE, RATE = 4, 4, 1e-3


def _mean_beside_sum(logits: Tensor, x: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    return bce(logits, x).mean() + kl_standard(mu, log_var).sum()


NAMED = {m.name for m in vae_loss.reduction.mistakes} - {"batch not averaged"}
NAMED |= {"sigmoid twice", "clamped probabilities", "squared error", "lost ½"}  # 3.3 names the rest
LOSSES = {"mean beside sum": [_mean_beside_sum]}
for _known, _wrong in vae_loss.catalogue():
    if _known.name in NAMED:
        LOSSES.setdefault(_known.name, []).append(_wrong)


class Watched(nn.Linear):
    """A network of one layer that keeps what it is given and answers, with their gradients."""

    def __init__(self, inputs: int, outputs: int, heads: int):
        super().__init__(inputs, outputs)
        self.heads, self.kept = heads, []
        nn.init.normal_(self.weight, std=2 / (inputs + 40) ** 0.5)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Any:
        answer = super().forward(x).chunk(self.heads, dim=-1)
        if torch.is_grad_enabled():
            self.kept.append((x, *answer))
            for t in (t for t in self.kept[-1] if t.requires_grad):
                t.retain_grad()
        return answer if self.heads > 1 else answer[0]


def watched() -> tuple[Watched, Watched]:
    """An encoder, and a decoder some of whose logits are as sure as they get."""
    encoder, decoder = Watched(PIXELS, 2 * LATENTS, 2), Watched(LATENTS, PIXELS, 1)
    with torch.no_grad():
        encoder.bias[LATENTS:], decoder.bias[:SURE] = -1.5, 150.0
    return encoder, decoder


class _Descent:
    """Plain gradient descent, without the seconds that torch's first optimiser takes to import."""

    def __init__(self, *networks: nn.Module):
        self.parameters = [p for network in networks for p in network.parameters()]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for p in self.parameters:
            p.grad = None

    def step(self, closure: Callable | None = None) -> Any:
        loss = None if closure is None else closure()
        for p in self.parameters:
            p.data -= RATE * grad(p)
        return loss


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same, but for rounding."""
    return bool((a - b).norm() <= 2e-3 * b.norm() + 1e-5)


def grad(t: Tensor) -> Tensor:
    """What has arrived at a tensor."""
    return torch.zeros_like(t) if t.grad is None else t.grad


def _unregistered(answers: Sequence[Tensor], networks: Sequence[nn.Module]) -> bool:
    """Whether an answer depends on weights that no optimiser finds."""
    known = {id(p) for network in networks for p in network.parameters()}
    todo, done = [t.grad_fn for t in answers], {None}
    while todo:
        node = todo.pop()
        if node not in done:
            done.add(node)
            todo += [before for before, _ in node.next_functions]
            if id(getattr(node, "variable", None)) not in {*known, id(None)}:
                return True
    return False


def _judge_network(seen: Seen, pair: Sequence, which: int, inputs: int, like: Any) -> None:
    """Look at a network far from where it begins, whatever its first weights are."""
    network = pair[which]
    network.eval()
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn_like(p) / (p.shape[-1] ** 0.5 if p.dim() > 1 else 1))
    far, name = 100 * torch.randn(32, inputs), "encoder" if isinstance(like, tuple) else "decoder"
    answer = seen.call(network, far)
    if name == "encoder" and isinstance(answer, Tensor):
        seen.fault("one head only" if answer.shape == like[0].shape else "heads not told apart")
    problem = judge_type(answer, like)
    if problem is not None:
        raise Stop(problem)
    parts = answer if name == "encoder" else (answer,)
    if _unregistered(parts, pair):
        seen.fault("layers that are not registered", f"Look at the {name}.")
    if len(parts) > 1 and parts[0].any() and torch.equal(parts[0], parts[-1]):
        seen.fault("one head twice")
    for part in parts:
        low, high = float(part.min()), float(part.max())
        if name == "decoder" and low >= 0 and high <= 1:
            seen.fault("probabilities for logits")
        if low >= 0 or high <= 0 or max(-low, high) <= 1:
            seen.fault("bent answer", f"It is the {name}'s: from {low:.3g} to {high:.3g}.")
    a, b = far.split(16)
    f = [network(t)[0] if name == "encoder" else network(t) for t in (a, b, a + b, 0 * a)]
    if close(f[0] + f[1], f[2] + f[3]):
        seen.fault("no hidden nonlinearity", f"Look at the {name}.")


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
        if found and rows:
            seen.fault(name)
    z, mu, log_var = (torch.cat(parts).flatten() for parts in zip(*rows)) if rows else [noise] * 3
    for name, (a, b) in ((name, way(mu, log_var)) for name, way in DRAWS.items()):
        halves = ((z - a) / b)[log_var < -1.5], ((z - a) / b)[log_var >= -1.5]
        if all(h.mean().abs() < 0.2 and (h.std() - 1).abs() < 0.16 for h in halves):
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
    if not z.requires_grad or (grad(z).any() and close(grad(heads[0]), right[2])):
        seen.fault("detached sample")
    if all(map(close, found, right)):
        return
    if all(map(close, found[1:], right[1:])):
        text = f"You return {float(value):.5g}, and this batch's loss is {float(right[0]):.5g}."
        seen.fault("another number returned", text)
    for name, losses in LOSSES.items():
        if any(all(map(close, found, _gradients(f, tensors))) for f in losses):
            seen.fault(name)
    if close(found[1][:, SURE:], right[1][:, SURE:]) and not close(found[1], right[1]):
        seen.fault("clamped probabilities")
    beta = (found[2] * right[2]).sum() / right[2].square().sum()
    if all(map(close, found[1:], [right[1], beta * right[2], beta * right[3]])):
        seen.fault("a β left in", f"It is {float(beta):.4g}.")
    text = "The gradients are not those of Eq. 3.7; the check of 3.3 names what is wrong in a loss."
    seen.fault("another loss", text)


def _examine(seen: Seen, build: Callable, training_step: Callable) -> str:
    for latents in (2, 7):
        made = seen.call(build, latents)
        pair = made if isinstance(made, (tuple, list)) else ()
        if [isinstance(network, nn.Module) for network in pair] != [True, True]:
            seen.fault("not two networks")
    for network, inputs in zip(made, (PIXELS, latents)):
        if any(map(nn.parameter.is_lazy, network.parameters())):
            seen.call(network, torch.zeros(2, inputs))
    weights = [[p.shape[-1] for p in network.parameters() if p.dim() > 1] for network in made]
    if not all(weights):
        seen.fault("layers that are not registered")
    if [w[0] for w in weights] == [latents, PIXELS]:
        seen.fault("encoder and decoder swapped")
    _judge_network(seen, made, 0, PIXELS, (torch.zeros(32, latents),) * 2)
    _judge_network(seen, made, 1, latents, torch.zeros(32, PIXELS))
    encoder, decoder = ours = watched()
    optimiser, values, moves = _Descent(*ours), [], []
    states = [copy.deepcopy(network.state_dict()) for network in ours]
    for images in (250, 250, 7):
        x = (torch.rand(images, PIXELS) < 0.4).float()
        values.append(seen.call(training_step, *ours, optimiser, x, like=0.0))
        moved = [old["weight"] - new.weight.detach() for old, new in zip(states, ours)]
        moves.append(torch.cat([move.flatten() for move in moved]) / RATE)
        for network, state in zip(ours, states):  # or a loss too large would end in NaN
            network.load_state_dict(state)
    if (len(encoder.kept), len(decoder.kept)) != (3, 3):
        seen.fault("not one pass a step")
    passes = list(zip(encoder.kept, decoder.kept))
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


WRONG = {
    "not two networks": nets(
        {"pair": lambda p: p[0]}, {"pair": lambda p: (torch.relu, torch.relu)}
    ),
    "layers that are not registered": nets({"pair": lambda p: tuple(map(Listed, p))}),
    "encoder and decoder swapped": nets({"pair": lambda p: p[::-1]}),
    "one head only": nets({"heads": lambda t: halves(t)[0]}),
    "heads not told apart": nets({"heads": same}),
    "one head twice": nets({"heads": lambda t: halves(t)[:1] * 2}),
    "probabilities for logits": nets({"pixels": torch.sigmoid}),
    "bent answer": nets(
        {"heads": lambda t: halves(t.relu())},
        {"heads": lambda t: (halves(t.tanh())[0], halves(t)[1])},
        {"heads": lambda t: (halves(t)[0], halves(t)[1].exp())},
        {"pixels": torch.relu},
    ),
    "no hidden nonlinearity": nets({"bend": same}),
    "not one pass a step": [lambda: (networks(), lambda *a: step()(*a) + step()(*a))],
    "no noise": steps({"noise": torch.zeros_like}),
    "same noise in every step": steps({"noise": fixed}),
    "ε shared between images": steps({"noise": lambda m: torch.randn_like(m[:1])}),
    "ε shared between latents": steps({"noise": lambda m: torch.randn_like(m[:, :1])}),
    "uniform noise": steps({"noise": torch.rand_like}),
    **{name: steps({"draw": name}) for name in DRAWS if name},
    "detached sample": steps({"cut": torch.Tensor.detach}),
    "no backward": steps({"order": "step"}),
    "parameters never move": steps({"order": "zero backward"}, {"order": "backward zero step"}),
    "step before backward": steps({"order": "step zero backward"}),
    "gradients never zeroed": steps({"order": "backward step"}),
    **{name: steps(*({"loss": f} for f in fs)) for name, fs in LOSSES.items()},
}
TEXTS = {
    "not two networks": "`build` returns two modules, `(encoder, decoder)`.",
    "layers that are not registered": "A network has weights that no optimiser finds: make "
    "its layers in `__init__`, as attributes, not in a plain list or in `forward`.",
    "encoder and decoder swapped": "The first network takes latents, the second one pixels.",
    "one head only": "The encoder answers one tensor: q needs a mean and a log-variance.",
    "heads not told apart": "The encoder answers one tensor; wanted a tuple, `(mu, log_var)`.",
    "one head twice": "The encoder answers the same tensor twice: `mu` and `log_var` need a layer "
    "each, or half of a layer's outputs each.",
    "probabilities for logits": "The decoder answers between 0 and 1, as probabilities do; a logit "
    "may be any number.",
    "bent answer": "An answer that may be any number is bent by a function such as `relu`, `tanh` "
    "or `exp`; nothing comes after the last layer.",
    "no hidden nonlinearity": "Two linear layers in a row are one: put a `relu` between them.",
    "not one pass a step": "A step calls each network once, with gradients on.",
    "no noise": "z is the mean: nothing is drawn.",
    "same noise in every step": "Two steps get the same ε: draw it in the step, and set no seed.",
    "log_var taken for σ": "You multiply the noise by `log_var`, but σ = exp(log_var / 2).",
    "heads swapped": "You take the encoder's second answer for the mean: it is `(mu, log_var)`.",
    "detached sample": "z is detached, so the reconstruction teaches the encoder nothing.",
    "no backward": "No gradient arrives: call `loss.backward()`.",
    "parameters never move": "The weights stay as they are: `optimiser.step()` is missing, or the "
    "gradients are zeroed between `backward()` and it.",
    "step before backward": "The optimiser steps with the gradients of the batch before.",
    "gradients never zeroed": "Gradients of earlier batches are added in: call `zero_grad()`.",
    "mean beside sum": "The cross-entropy is averaged over pixels and batch, PyTorch's default, "
    "and the KL summed.",
}
SAID = TEXTS | {known.name: known.explanation for known, _ in vae_loss.catalogue()}
first_vae.mistakes(
    *((name, *wrong, *filter(None, [SAID.get(name)])) for name, wrong in WRONG.items())
)
