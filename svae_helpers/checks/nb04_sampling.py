"""Check of notebook 04: independent draws from the spike-and-slab prior."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

from .mathematics import joint, uniform
from .random_exercise import Caller, Findings, random_exercise
from .statistics import chi2_p, correlation, independence_p, ks_p, mean_p, upper_normal_p

SETTINGS = ((0.8, 0.05), (0.553, 0.02), (0.6, 0.6), (0.917, 0.01))
CALLS, ROWS, LATENTS = 72, 50, 8


def _cdf(z: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    spike = torch.special.ndtr(z / math.sqrt(spike_var))
    return spike_prob * spike + (1 - spike_prob) * torch.special.ndtr(z)


def _probe(call: Caller, seen: Findings, g: Generator) -> None:
    for shape in ((1,), (7,), (1, 1), (5, 1), (1, 6), (2, 3, 4)):
        call(shape, 0.7, 0.2)
    first = call.times(8, (ROWS, LATENTS), *SETTINGS[1])  # enough to tell most mistakes apart
    _describe(first, SETTINGS[1][1], seen, -1)
    signed, sizes, shares = [], [], []
    for k, (p, v) in enumerate(SETTINGS):
        z = call.times(CALLS, (ROWS, LATENTS), p, v)
        _describe(z, v, seen, k)
        u, variance, at = _cdf(z, p, v), p * v + 1 - p, f"with spike_prob = {p}, spike_var = {v}"
        text = f"{at} the draws do not follow the mixture's distribution function"
        seen.test(f"shape {k}", ks_p(u), text)
        text = f"{at} the draws' variance is {z.var():.3g}, and {variance:.3g} is right"
        if k < 3:  # at spike_prob .917 the skewness of z² asks for more draws than these
            seen.test(f"variance {k}", mean_p(z.square().flatten() - variance), text)
        # Both are uniform where z is right; the second one knows the component, not the sign.
        rows = z[0][z[0].any(1)]
        if len(rows.unique(dim=0)) < len(rows):
            seen.fault("copies", "Some rows are copies of others; each draw is to be its own.")
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
    for kind, parts in (("draw", signed), ("size", sizes)):
        w = torch.stack(parts)
        for axis, of, half in ((3, "latent", LATENTS // 2), (2, "row", ROWS // 2)):
            a, b = (w.unflatten(axis, (half, 2)).select(axis + 1, i) for i in (0, 1))
            c, d = w.split(half, axis)
            text = f"one {of}'s {kind} tells the {kind} of another"
            seen.test(f"{of}s {kind}", independence_p(a, b), text)
            seen.test(f"{of}s' halves {kind}", independence_p(c, d), text)


def _describe(z: Tensor, v: float, seen: Findings, k: int) -> None:
    """Note what each call looks like; z: (calls, rows, latents)."""
    flat = z.flatten(1)
    near, far = 0.3 * math.sqrt(v), 2.5 * math.sqrt(v)
    columns = [
        flat.mean(1) / (flat.std(1) + 1e-9),
        (flat.std(1) + 1e-3).log(),
        4 * (flat.abs() > far).double().mean(1),
        4 * (flat.abs() < near).double().mean(1),
        (flat == 0).double().mean(1),
    ]
    for w in (z.sign(), (z.abs() + 1e-3).log()):
        w = w - w.mean((1, 2), keepdim=True)
        columns.append(torch.tensor([correlation(c[:, 0::2], c[:, 1::2]) for c in w]))
        columns.append(torch.tensor([correlation(c[0::2], c[1::2]) for c in w]))
        columns.append(torch.tensor([correlation(*c.chunk(2)) for c in w]))
    seen.look(f"draws {k}", torch.stack(columns, dim=1))


@random_exercise("4.2", _probe)
def sample(shape: tuple, spike_prob: float, spike_var: float) -> Tensor:
    """`(shape, spike_prob, spike_var) -> z`, independent prior draws; the slab's variance is 1.

    Four priors, 28,800 draws each: Kolmogorov–Smirnov, z-tests of the variance and of the share in
    the spike, χ² of its scatter between calls, correlations of neighbours and halves on both axes.
    """
    components = Normal(torch.zeros(2), torch.tensor([math.sqrt(spike_var), 1.0]))
    choice = Categorical(torch.tensor([spike_prob, 1 - spike_prob]))
    return MixtureSameFamily(choice, components).sample(shape)


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
    return torch.rand(shape).argsort(-1) < round(p * shape[-1])


def _tied(u: Callable) -> Callable:
    return lambda shape, p, v: torch.where(u(z := torch.randn(shape)) < p, v**0.5, 1.0) * z


def _average(shape: tuple, p: float, v: float) -> Tensor:
    return p * v**0.5 * torch.randn(shape) + (1 - p) * torch.randn(shape)


def _both(shape: tuple, p: float, v: float) -> Tensor:
    return v**0.5 * torch.randn(shape) + ~_off(shape, p) * torch.randn(shape)


right = _draws()
sample.mistakes(
    ("one component for the whole call", _draws(lambda shape, p: _off((), p))),
    ("one component per vector", _draws(lambda shape, p: _off((*shape[:-1], 1), p))),
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
    ("another spike_prob", _draws(lambda s, p: _off(s, p - 0.02))),
    ("another spike_prob", _draws(lambda s, p: torch.randint(10, s) < int(10 * p))),
    ("another spike_prob", _draws(lambda s, p: _off(s, round(p, 1)))),
    ("another spike_prob", _draws(lambda s, p: (torch.rand(s) * 10).round() / 10 < p)),
    (
        "swapped, and spike_var used as a standard deviation",
        lambda shape, p, v: right(shape, 1 - p, v**2),
    ),
    ("slab not centred", _draws(slab=lambda z: 1 + z)),
    ("spike_prob ignored", *(_draws(lambda shape, p, k=k: _off(shape, k)) for k in (0.5, 0.8))),
    ("spike_var ignored", _draws(width=lambda v: 0.05**0.5)),
    ("slab of another width", *(_draws(slab=lambda z, k=k: k * z) for k in (2, 2**0.5))),
    ("clamped draws", *(_draws(to=lambda z, k=k: z.clamp(-k, k)) for k in (1, 2))),
    ("half of the rows copied", _draws(to=_copies)),
    ("half of the rows mirrored", _draws(to=lambda z: _copies(z, -1.0))),
    ("half of the switches copied", _draws(lambda shape, p: _copies(_off(shape, p)) > 0)),
    ("a fixed number in the spike", _draws(_exactly)),
    ("a fixed number in the spike", _draws(lambda s, p: _exactly((math.prod(s),), p).view(s))),
    ("the same latents in the spike", _draws(_first)),
    ("component drawn with randn", _draws(lambda shape, p: torch.randn(shape) < p)),
    ("sign lost", _draws(to=torch.abs)),
)
