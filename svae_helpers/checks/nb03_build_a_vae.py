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

PIXELS, LATENTS, SURE, RATE = 784, 4, 4, 1e-3
DRAWS = {  # z = a + b · noise
    "": lambda mu, log_var: (mu, std(log_var)),
    "variance for standard deviation": lambda mu, log_var: (mu, log_var.exp()),
    "log_var taken for σ": lambda mu, log_var: (mu, log_var),
    "σ forgotten": lambda mu, log_var: (mu, 1.0),
    "heads swapped": lambda mu, log_var: (log_var, std(mu)),
}
# Of 784 pixels, as here, the mean times 784 is right.
NAMED = {m.name for m in vae_loss.reduction.mistakes} - {"batch not averaged", "784 for P"}
NAMED |= {"sigmoid twice", "squared error", "lost ½"}  # 3.3 names the rest


def _mean_beside_sum(logits: Tensor, x: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    return bce(logits, x).mean() + kl_standard(mu, log_var).sum()


WRONG_LOSSES = [("mean beside sum", _mean_beside_sum)]
WRONG_LOSSES += [(m.name, wrong) for m, wrong in vae_loss.catalogue() if m.name in NAMED]


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
            p.data -= RATE * _grad(p)
        return loss


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same, but for rounding."""
    return bool((a - b).norm() <= 2e-3 * b.norm() + 1e-5)


def inputs_of(network: nn.Module) -> int:
    """How many numbers a network's first layer takes; 0 where it has none."""
    return next((p.shape[-1] for p in network.parameters() if p.dim() > 1), 0)


def _grad(t: Tensor) -> Tensor:
    return torch.zeros_like(t) if t.grad is None else t.grad


def _weights_behind(answers: Sequence[Tensor]) -> set[int]:
    """The ids of all weights that answers depend on."""
    todo, done, found = [t.grad_fn for t in answers], {None}, set()
    while todo:
        node = todo.pop()
        if node not in done:
            done.add(node)
            todo += [before for before, _ in node.next_functions]
            found.add(id(getattr(node, "variable", None)))
    return found - {id(None)}


def _judge_network(seen: Seen, pair: Sequence, which: int, inputs: int, like: Any) -> None:
    """Look at a network far from where it begins, whatever its first weights are."""
    network, name = pair[which], ("encoder", "decoder")[which]
    network.eval()
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn_like(p) / (p.shape[-1] ** 0.5 if p.dim() > 1 else 1))
    far = 100 * torch.randn(32, inputs)
    answer = seen.call(network, far)
    if name == "encoder" and isinstance(answer, Tensor):
        seen.fault("one tensor for two heads")
    problem = judge_type(answer, like)
    if problem is not None:
        raise Stop(problem)
    parts = answer if name == "encoder" else (answer,)
    if _weights_behind(parts) - {id(p) for network in pair for p in network.parameters()}:
        seen.fault("layers that are not registered", f"Look at the {name}.")
    if len(parts) > 1 and parts[0].any() and torch.equal(*parts):
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
    if not rows:
        seen.fault("another draw")
    noises = [(z - mu) / std(log_var) for z, mu, log_var in rows]
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
    for name, draw in DRAWS.items():
        a, b = draw(mu, log_var)
        halves = ((z - a) / b)[log_var < -1.5], ((z - a) / b)[log_var >= -1.5]
        if all(h.mean().abs() < 0.2 and (h.std() - 1).abs() < 0.16 for h in halves):
            return seen.fault(name) if name else None
    seen.fault("another draw")


def _gradients(loss: Callable, tensors: Sequence[Tensor]) -> list[Tensor]:
    """A loss, and its gradients in logits, mu and log_var."""
    logits, x, mu, log_var = tensors
    leaves = [t.clone().requires_grad_() for t in (logits, mu, log_var)]
    value = loss(leaves[0], x, *leaves[1:]) + sum(0 * t.sum() for t in leaves)
    return [value.detach(), *torch.autograd.grad(value, leaves)]


def _judge_loss(seen: Seen, value: Any, x: Tensor, heads: Sequence[Tensor], z: Tensor, l: Tensor):
    through = _grad(z), _grad(z) * 0.5 * (z - heads[0]).detach()  # dz = dμ + ½ σ ε d log σ²
    found = [torch.tensor(float(value)), _grad(l), *(_grad(h) - t for h, t in zip(heads, through))]
    tensors = [t.detach() for t in (l, x, *heads)]
    right = _gradients(vae_loss.reference, tensors)
    if not z.requires_grad or (_grad(z).any() and close(_grad(heads[0]), right[2])):
        seen.fault("detached sample")
    if all(map(close, found, right)):
        return
    if all(map(close, found[1:], right[1:])):
        text = f"You return {float(value):.5g}, and this batch's loss is {float(right[0]):.5g}."
        seen.fault("another number returned", text)
    for name, loss in WRONG_LOSSES:
        if all(map(close, found, _gradients(loss, tensors))):
            seen.fault(name)
    if close(found[1][:, SURE:], right[1][:, SURE:]) and not close(found[1], right[1]):
        seen.fault("clamped probabilities")
    beta = (found[2] * right[2]).sum() / right[2].square().sum()
    if all(map(close, found[1:], [right[1], beta * right[2], beta * right[3]])):
        seen.fault("a β left in", f"It is {float(beta):.4g}.")
    seen.fault("another loss")


def _judge_build(seen: Seen, build: Callable) -> None:
    for latents in (2, 7):
        pair = seen.call(build, latents)
        pair = pair if isinstance(pair, (tuple, list)) else ()
        if [isinstance(network, nn.Module) for network in pair] != [True, True]:
            seen.fault("not two networks")
    for network, inputs in zip(pair, (PIXELS, latents)):
        if any(map(nn.parameter.is_lazy, network.parameters())):
            seen.call(network, torch.zeros(2, inputs))
    takes = [inputs_of(network) for network in pair]
    if 0 in takes:
        seen.fault("layers that are not registered")
    if takes == [latents, PIXELS]:
        seen.fault("encoder and decoder swapped")
    _judge_network(seen, pair, 0, PIXELS, (torch.zeros(32, latents),) * 2)
    _judge_network(seen, pair, 1, latents, torch.zeros(32, PIXELS))


@inspection("3.4")
def first_vae(seen: Seen, build: Callable, training_step: Callable) -> str:
    """`build(latent_dim)` and `training_step(encoder, decoder, optimiser, x)`."""
    _judge_build(seen, build)
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
        of = torch.cat([_grad(h) for h in heads], 1).T @ x, _grad(l).T @ z.detach()
        wanted.append(torch.cat([w.flatten() for w in of]))
    if all(map(close, moves, wanted)):
        return "Both networks and the step are right: this is a VAE."
    if still:
        seen.fault("parameters never move")
    if close(moves[1], wanted[0]) and not moves[0].any():
        seen.fault("step before backward")
    if all(map(close, moves, torch.stack(wanted).cumsum(0))):
        seen.fault("gradients never zeroed")
    seen.fault("another step")


first_vae.mistakes({m.name: m.explanation for m, _ in vae_loss.catalogue() if m.name in NAMED})
