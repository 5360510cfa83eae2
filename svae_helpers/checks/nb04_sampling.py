"""Check of notebook 04: independent draws from the spike-and-slab prior."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from .mathematics import joint, uniform
from .random_exercise import Caller, Findings, random_exercise
from .statistics import chi2_p, independence_p, ks_p, mean_p, upper_normal_p

SETTINGS = ((0.8, 0.05), (0.553, 0.02), (0.6, 0.6), (0.917, 0.01))
CALLS, ROWS, LATENTS = 72, 50, 8


def _cdf(z: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    spike = torch.special.ndtr(z / math.sqrt(spike_var))
    return spike_prob * spike + (1 - spike_prob) * torch.special.ndtr(z)


def _probe(call: Caller, seen: Findings, g: Generator) -> None:
    for shape in ((1,), (7,), (1, 1), (5, 1), (1, 6), (2, 3, 4)):
        call.extreme = "" if len(shape) == 2 else None  # what are rows, and what latents?
        call(shape, 0.7, 0.2)
    call.extreme = ""
    signed, sizes, shares = [], [], []
    for k, (p, v) in enumerate(SETTINGS):
        z = call.times(CALLS, (ROWS, LATENTS), p, v)
        u, variance, at = _cdf(z, p, v), p * v + 1 - p, f"with spike_prob = {p}, spike_var = {v}"
        text = f"{at} the draws do not follow the mixture's distribution function"
        seen.test(f"shape {k}", ks_p(u), text)
        text = f"{at} the draws' variance is {z.var():.3g}, and {variance:.3g} is right"
        if k < 3:  # at spike_prob .917 the skewness of z² asks for more draws than these
            seen.test(f"variance {k}", mean_p(z.square().flatten() - variance), text)
        # Both are uniform where z is right; the second one knows the component, not the sign.
        rows = z[0][z[0].any(1)]
        for name, of in (("rows copied", rows), ("rows mirrored", rows.abs())):
            if 1 < len(of.unique(dim=0)) < len(of):
                seen.fault(name, "Some rows are those of others; each draw is to be its own.")
                break
        rare = float(2 - 2 * _cdf(torch.tensor(2.5).double(), p, v))  # a draw beyond ±2.5
        expected = rare * z.numel()
        lack = (expected - float((z.abs() > 2.5).sum())) / math.sqrt(expected * (1 - rare))
        text = f"{at} too few draws lie beyond ±2.5: the tails are cut"
        seen.test(f"tails {k}", upper_normal_p(lack), text)
        signed.append((u - 0.5) * math.sqrt(12))
        sizes.append((2 * _cdf(z.abs(), p, v) - 1.5) * math.sqrt(12))
        if k != 2:  # where spike and slab can be told apart
            spike, slab = joint(z, p, v)
            score = torch.sigmoid(spike - slab) - p
            text = f"{at} the responsibility of the spike is {score.mean() + p:.3f} on average"
            seen.test(f"share {k}", mean_p(score.flatten()), text)
            shares.append(score / score.square().mean().sqrt())
    for kind, parts in (("mean draw", signed), ("number of draws in the spike", shares)):
        totals = torch.stack(parts).sum((2, 3)) / math.sqrt(ROWS * LATENTS)  # standard normal
        much = f"{totals.square().mean():.2g} times what it should be"
        p = chi2_p(float(totals.square().sum()), totals.numel())
        seen.test(f"scatter {kind}", p, f"the variance between calls of the {kind} is {much}")
        strange = any(name.startswith(("shape", "variance")) for name in seen.failed)
        if kind != "mean draw" and not strange and totals.var(1).mean() < 0.5:  # by chance: 1e-9
            seen.fault("a fixed number in the spike", "Their number hardly varies.")
    for kind, parts in (("draw", signed), ("size", sizes)):
        w = torch.stack(parts)
        for axis, of, half in ((3, "latent", LATENTS // 2), (2, "row", ROWS // 2)):
            a, b = (w.unflatten(axis, (half, 2)).select(axis + 1, i) for i in (0, 1))
            c, d = w.split(half, axis)
            text = f"one {of}'s {kind} tells the {kind} of another"
            seen.test(f"{of}s {kind}", independence_p(a, b), text)
            seen.test(f"{of}s' halves {kind}", independence_p(c, d), text)


@random_exercise("4.2", _probe)
def sample(shape: tuple, spike_prob: float, spike_var: float) -> Tensor:
    """`(shape, spike_prob, spike_var) -> z`, independent prior draws; the slab's variance is 1.

    Four priors, 28,800 draws each: Kolmogorov–Smirnov, z-tests of the variance and of the share in
    the spike, χ² of its scatter between calls, correlations of neighbours and halves on both axes.
    """
    off = torch.rand(shape) < spike_prob
    return torch.where(off, math.sqrt(spike_var), 1.0) * torch.randn(shape)


def _off(shape: tuple, p: float) -> Tensor:
    return torch.rand(shape) < p


def _draws(off=_off, noise=torch.randn, width=math.sqrt, slab=torch.clone, to=torch.clone):
    """Build a sampler from its parts; `slab` changes the slab's draws, `to` all of them."""

    def draws(shape: tuple, p: float, v: float) -> Tensor:
        z = noise(shape)
        return to(torch.where(off(shape, p), width(v) * z, slab(z)))

    return draws


def _copies(z: Tensor, sign: float = 1.0) -> Tensor:
    half = z[: (len(z) + 1) // 2]
    return torch.cat([half, sign * half])[: len(z)]


def _first(shape: tuple, p: float) -> Tensor:
    return torch.arange(shape[-1]) < round(p * shape[-1])


def _exactly(shape: tuple, p: float) -> Tensor:
    return torch.rand(shape).argsort(-1).argsort(-1) < round(p * shape[-1])


def _tied(u: Callable) -> Callable:
    return lambda shape, p, v: torch.where(u(z := torch.randn(shape)) < p, v**0.5, 1.0) * z


def _average(shape: tuple, p: float, v: float) -> Tensor:
    return p * v**0.5 * torch.randn(shape) + (1 - p) * torch.randn(shape)


def _weighted(shape: tuple, p: float, v: float) -> Tensor:
    return _draws(width=lambda v: p * v**0.5, slab=lambda z: (1 - p) * z)(shape, p, v)


def _both(shape: tuple, p: float, v: float) -> Tensor:
    return v**0.5 * torch.randn(shape) + ~_off(shape, p) * torch.randn(shape)


right = _draws()
sample.mistakes(
    ("one component for the whole call", _draws(lambda shape, p: _off((), p))),
    ("one component per vector", _draws(lambda shape, p: _off((*shape[:-1], 1), p))),
    ("one component per vector", _draws(lambda s, p: _off((s[0], *(1,) * (len(s) - 1)), p))),
    ("one component per latent for all rows", _draws(lambda shape, p: _off(shape[-1:], p))),
    ("noise shared between rows", lambda shape, p, v: right(shape[-1:], p, v).expand(shape)),
    ("noise shared between rows", _draws(noise=lambda shape: torch.randn(shape[-1:]))),
    ("noise shared between latents", lambda s, p, v: right((*s[:-1], 1), p, v).expand(s)),
    ("noise shared between latents", _draws(noise=lambda shape: torch.randn(*shape[:-1], 1))),
    ("one draw for everything", lambda shape, p, v: right((1,), p, v).expand(shape)),
    ("spike and slab swapped", lambda shape, p, v: right(shape, 1 - p, v)),
    ("spike_var used as a standard deviation", _draws(width=lambda v: v)),
    ("root taken twice", _draws(width=lambda v: v**0.25)),
    ("average of spike and slab", _average),
    ("moment-matched Gaussian", lambda shape, p, v: (p * v + 1 - p) ** 0.5 * torch.randn(shape)),
    ("slab added to the spike", _both),
    ("draws weighted too", _weighted),
    ("spike of width 0", _draws(width=lambda v: 0.0)),
    ("spike only", lambda shape, p, v: right(shape, 1.0, v)),
    ("slab only", lambda shape, p, v: right(shape, 0.0, v)),
    ("uniform noise", _draws(noise=torch.rand), _draws(noise=lambda shape: uniform(*shape))),
    ("uniform noise", _draws(noise=lambda shape: 2 * torch.rand(shape) - 1)),
    ("uniform slab", _draws(slab=torch.rand_like), _draws(slab=lambda z: uniform(*z.shape))),
    ("uniform spike", _draws(noise=lambda s: uniform(*s), slab=torch.randn_like)),
    ("uniform spike", _draws(noise=lambda s: 2 * torch.rand(s) - 1, slab=torch.randn_like)),
    ("variances mixed", lambda s, p, v: (1 - (1 - v) * torch.rand(s)) ** 0.5 * torch.randn(s)),
    ("one draw for all of the slab", _draws(slab=lambda z: torch.randn(()))),
    ("precision for variance", _draws(width=lambda v: v**-0.5)),
    ("component chosen by the noise", _tied(torch.special.ndtr)),
    ("component chosen by the noise", _tied(lambda z: torch.erf(z.abs() / 2**0.5))),
    ("component chosen by the noise", _tied(torch.abs)),
    ("spike_var taken for a log-variance", _draws(width=lambda v: math.exp(v / 2))),
    ("another spike_prob", _draws(lambda s, p: _off(s, p - 0.02))),
    ("another spike_prob", _draws(lambda s, p: torch.randint(10, s) < int(10 * p))),
    ("another spike_prob", _draws(lambda s, p: _off(s, round(p, 1)))),
    ("another spike_prob", _draws(lambda s, p: (torch.rand(s) * 10).round() / 10 < p)),
    (
        "swapped, and spike_var used as a standard deviation",
        lambda shape, p, v: right(shape, 1 - p, v**2),
    ),
    ("spike_prob ignored", *(_draws(lambda shape, p, k=k: _off(shape, k)) for k in (0.5, 0.8))),
    ("spike_var ignored", _draws(width=lambda v: 0.05**0.5)),
    ("clamped draws", *(_draws(to=lambda z, k=k: z.clamp(-k, k)) for k in (1, 2))),
    ("rows copied", _draws(to=_copies)),
    ("rows mirrored", _draws(to=lambda z: _copies(z, -1.0))),
    ("half of the switches copied", _draws(lambda shape, p: _copies(_off(shape, p)) > 0)),
    ("a fixed number in the spike", _draws(_exactly)),
    ("a fixed number in the spike", _draws(lambda s, p: _exactly((math.prod(s),), p).view(s))),
    ("the same latents in the spike", _draws(_first)),
    ("component drawn with randn", _draws(lambda shape, p: torch.randn(shape) < p)),
)
