"""Checks of notebook 04: the spike-and-slab density, its samples, its responsibility."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor

from ._exact import Case, Evidence, Exercise, Misconception
from ._random import Caller, Findings, RandomExercise, RandomMisconception
from ._result import CheckResult
from ._statistics import correlation, independence_p, ks_p, mean_p


def log_normal(z: Tensor, variance: float) -> Tensor:
    """log N(z; 0, variance), in nats."""
    return -0.5 * (z**2 / variance + math.log(2 * math.pi * variance))


def spike_and_slab(z: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    """Log-density of a latent under the prior with slab variance 1, in z's shape."""
    return torch.logaddexp(
        math.log(spike_prob) + log_normal(z, spike_var),
        math.log1p(-spike_prob) + log_normal(z, 1.0),
    )


def _mixture(z: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    # Another route than the one that the course teaches: slab first, the spike's excess on top.
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    d = 0.5 * (1 / spike_var - 1)
    slab = torch.distributions.Normal(torch.zeros_like(z), torch.ones_like(z)).log_prob(z)
    return math.log1p(-spike_prob) + slab + torch.nn.functional.softplus(c - d * z**2)


def _responsibility(z: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    return torch.sigmoid(0.5 * (1 / spike_var - 1) * z**2 - c)


def _densities(z: Tensor, p: float, v: float) -> tuple[Tensor, Tensor]:
    return p * log_normal(z, v).exp(), (1 - p) * log_normal(z, 1.0).exp()


def _cases(g: Generator) -> list[Case]:
    def draw(*shape: int, width: float = 1.1) -> Tensor:
        return width * torch.randn(*shape, generator=g)

    far = torch.tensor([[-21.0, 26.0, 38.0], [45.0, -33.0, 60.0]])
    return [
        Case((draw(6, 5), 0.8, 0.05)),
        Case((draw(40), 0.63, 0.21)),
        Case((draw(4, 1, width=0.3), 0.93, 0.01)),
        Case((draw(1, 7), 0.7, 0.4)),
        Case((draw(2, 3, 4), 0.55, 0.09)),
        Case((draw(1), 0.85, 0.12)),
        Case((far, 0.8, 0.05), extreme=True),
        Case((far / 2.9, 0.9, 0.0025), extreme=True),
    ]


def _underflow(evidence: Evidence) -> bool:
    return evidence.wrong_only_in_extremes()


UNDERFLOW = (
    "It is right near 0 only. Far out both densities are 0 in float32, and their logarithm or "
    "ratio is infinite, NaN or clamped: stay with logarithms (`torch.logaddexp`, "
    "`torch.logsumexp`)."
)
SWAPPED = (
    "That is what you get when `spike_prob` weighs the slab: in this course it is the probability "
    "that the latent is off, drawn from the spike."
)
VARIANCE = "You use `spike_var` as a standard deviation; it is a variance, so σ = √spike_var."

LOG_PROB = Exercise(
    name="log_prob",
    number="4.1",
    parameters=("z", "spike_prob", "spike_var"),
    reference=_mixture,
    cases=_cases,
    differentiable=("z",),
    layout="element",
    misconceptions=(
        Misconception(
            "spike and slab swapped",
            lambda z, p, v: spike_and_slab(z, 1 - p, v),
            SWAPPED,
        ),
        Misconception(
            "spike_var used as a standard deviation",
            lambda z, p, v: spike_and_slab(z, p, v**2),
            VARIANCE,
        ),
        Misconception(
            "root taken twice",
            lambda z, p, v: spike_and_slab(z, p, v**0.5),
            "You use √spike_var as the variance; `spike_var` is the variance already.",
        ),
        Misconception(
            "sum of logs for log of sum",
            (
                lambda z, p, v: p * log_normal(z, v) + (1 - p) * log_normal(z, 1.0),
                lambda z, p, v: (
                    math.log(p) + log_normal(z, v) + math.log(1 - p) + log_normal(z, 1.0)
                ),
                lambda z, p, v: log_normal(z, v) + log_normal(z, 1.0),
            ),
            "You add log-densities. A mixture adds densities, and the logarithm comes last.",
        ),
        Misconception(
            "underflow",
            (
                lambda z, p, v: sum(_densities(z, p, v)).log(),
                lambda z, p, v: (sum(_densities(z, p, v)) + 1e-12).log(),
                lambda z, p, v: sum(_densities(z, p, v)).clamp(min=1e-30).log(),
            ),
            UNDERFLOW,
            symptom=_underflow,
        ),
        Misconception(
            "logarithm forgotten",
            lambda z, p, v: sum(_densities(z, p, v)),
            "You return the density; its logarithm is asked for.",
        ),
        Misconception(
            "weights forgotten",
            (
                lambda z, p, v: torch.logaddexp(log_normal(z, v), log_normal(z, 1.0)),
                lambda z, p, v: spike_and_slab(z, 0.5, v),
            ),
            "The two components are not weighted with `spike_prob` and 1 − `spike_prob`.",
        ),
        Misconception(
            "weights without a logarithm",
            (
                lambda z, p, v: torch.logaddexp(p + log_normal(z, v), 1 - p + log_normal(z, 1.0)),
                lambda z, p, v: torch.logaddexp(p * log_normal(z, v), (1 - p) * log_normal(z, 1.0)),
            ),
            "Inside a log-sum-exp a weight is added as its logarithm: log π + log N(z).",
        ),
        Misconception(
            "normaliser forgotten",
            lambda z, p, v: torch.logaddexp(
                math.log(p) - z**2 / (2 * v), math.log(1 - p) - z**2 / 2
            ),
            "The Gaussians lack − ½ log(2π · variance). It differs between spike and slab, so it "
            "is no constant that can be left out.",
        ),
        Misconception(
            "2π forgotten",
            lambda z, p, v: _mixture(z, p, v) + 0.5 * math.log(2 * math.pi),
            "The Gaussians lack − ½ log(2π): 0.919 nats a latent.",
        ),
        Misconception(
            "lost ½",
            (
                lambda z, p, v: torch.logaddexp(
                    math.log(p) + 2 * log_normal(z, v), math.log(1 - p) + 2 * log_normal(z, 1.0)
                ),
                lambda z, p, v: torch.logaddexp(
                    math.log(p) - z**2 / v - 0.5 * math.log(2 * math.pi * v),
                    math.log(1 - p) - z**2 - 0.5 * math.log(2 * math.pi),
                ),
                lambda z, p, v: torch.logaddexp(
                    math.log(p) - z**2 / (2 * v) - math.log(2 * math.pi * v),
                    math.log(1 - p) - z**2 / 2 - math.log(2 * math.pi),
                ),
            ),
            "A factor ½ is lost in the Gaussian log-density: −z²/(2·variance) "
            "− ½ log(2π·variance).",
        ),
        Misconception(
            "spike only",
            (
                lambda z, p, v: log_normal(z, v),
                lambda z, p, v: math.log(p) + log_normal(z, v),
            ),
            "The slab is missing.",
        ),
        Misconception(
            "slab only",
            (
                lambda z, p, v: log_normal(z, 1.0),
                lambda z, p, v: math.log(1 - p) + log_normal(z, 1.0),
            ),
            "The spike is missing. It is a narrow Gaussian, not a point at 0.",
        ),
        Misconception(
            "larger component only",
            lambda z, p, v: torch.maximum(
                math.log(p) + log_normal(z, v), math.log(1 - p) + log_normal(z, 1.0)
            ),
            "You keep the larger of the two components; a mixture adds both.",
        ),
        Misconception(
            "summed over latents",
            (
                lambda z, p, v: spike_and_slab(z, p, v).sum(-1),
                lambda z, p, v: spike_and_slab(z, p, v).sum(),
            ),
            "You sum over the latents; here one log-density per latent is asked for, in z's shape.",
        ),
        Misconception(
            "moment-matched Gaussian",
            lambda z, p, v: log_normal(z, p * v + 1 - p),
            "That is one Gaussian with the mixture's variance. It has neither the spike's peak "
            "nor the slab's tails.",
        ),
        Misconception(
            "sign",
            lambda z, p, v: -spike_and_slab(z, p, v),
            "The sign is the wrong way round: log p(z), not − log p(z).",
        ),
    ),
)

SLAB_RESPONSIBILITY = Exercise(
    name="slab_responsibility",
    number="4.3",
    parameters=("z", "spike_prob", "spike_var"),
    reference=_responsibility,
    cases=_cases,
    differentiable=("z",),
    layout="element",
    unit="",
    absolute=2e-5,
    misconceptions=(
        Misconception(
            "responsibility of the spike",
            lambda z, p, v: 1 - _responsibility(z, p, v),
            "That is the spike's responsibility. The slab's is asked for: 1 far out.",
        ),
        Misconception(
            "spike and slab swapped",
            lambda z, p, v: _responsibility(z, 1 - p, v),
            SWAPPED,
        ),
        Misconception(
            "weights forgotten",
            lambda z, p, v: _responsibility(z, 0.5, v),
            "The prior weights `spike_prob` and 1 − `spike_prob` are missing: Bayes' rule weighs "
            "each density with them.",
        ),
        Misconception(
            "spike_var used as a standard deviation",
            lambda z, p, v: _responsibility(z, p, v**2),
            VARIANCE,
        ),
        Misconception(
            "root taken twice",
            lambda z, p, v: _responsibility(z, p, v**0.5),
            "You use √spike_var as the variance; `spike_var` is the variance already.",
        ),
        Misconception(
            "underflow",
            (
                lambda z, p, v: _densities(z, p, v)[1] / sum(_densities(z, p, v)),
                lambda z, p, v: _densities(z, p, v)[1] / (sum(_densities(z, p, v)) + 1e-12),
            ),
            UNDERFLOW,
            symptom=_underflow,
        ),
        Misconception(
            "hard decision",
            (
                lambda z, p, v: (_responsibility(z, p, v) > 0.5).to(z) + 0 * z,
                lambda z, p, v: (_responsibility(z, p, v) > 0.5).to(z),
            ),
            "You decide for one component. A responsibility is a probability, between 0 and 1.",
        ),
        Misconception(
            "log-responsibility",
            lambda z, p, v: math.log(1 - p) + log_normal(z, 1.0) - spike_and_slab(z, p, v),
            "That is the responsibility's logarithm; exponentiate it.",
        ),
        Misconception(
            "not normalised",
            lambda z, p, v: _densities(z, p, v)[1],
            "You stop at prior times density. Divide by the sum over both components.",
        ),
        Misconception(
            "odds for a probability",
            lambda z, p, v: (math.log((1 - p) / p) + log_normal(z, 1.0) - log_normal(z, v)).exp(),
            "That is slab to spike, the odds. A probability divides by slab plus spike.",
        ),
        Misconception(
            "logit for a probability",
            lambda z, p, v: math.log((1 - p) / p) + log_normal(z, 1.0) - log_normal(z, v),
            "That is the log-odds; the sigmoid turns it into a probability.",
        ),
        Misconception(
            "prior weight only",
            (lambda z, p, v: torch.full_like(z, 1 - p), lambda z, p, v: 1 - p + 0 * z),
            "You return the slab's prior weight; it has not seen z yet.",
        ),
        Misconception(
            "normaliser forgotten",
            lambda z, p, v: torch.sigmoid(math.log((1 - p) / p) + 0.5 * (1 / v - 1) * z**2),
            "The densities lack 1/√variance, which differs between spike and slab.",
        ),
        Misconception(
            "lost ½",
            (
                lambda z, p, v: torch.sigmoid(
                    (1 / v - 1) * z**2 - math.log(p / (1 - p)) + 0.5 * math.log(v)
                ),
                lambda z, p, v: torch.sigmoid(
                    0.5 * (1 / v - 1) * z**2 - math.log(p / (1 - p)) + math.log(v)
                ),
            ),
            "A factor ½ is lost: the Gaussian's log-density is −z²/(2·variance) "
            "− ½ log(2π·variance).",
        ),
        Misconception(
            "log-densities for densities",
            lambda z, p, v: (
                (1 - p) * log_normal(z, 1.0) / (p * log_normal(z, v) + (1 - p) * log_normal(z, 1.0))
            ),
            "You divide log-densities. Bayes' rule divides densities; a quotient of them is a "
            "difference of logarithms.",
        ),
        Misconception(
            "weighted twice",
            lambda z, p, v: (1 - p) * _responsibility(z, p, v),
            "The prior weight is in the responsibility already; you multiply by it once more.",
        ),
    ),
)


def log_prob(answer: Callable) -> CheckResult:
    """Check exercise 4.1: `(z, spike_prob, spike_var) -> log p`, in z's shape and in nats.

    Args:
        answer: the learner's function; the slab's variance is 1.
    """
    return LOG_PROB.check(answer)


def slab_responsibility(answer: Callable) -> CheckResult:
    """Check exercise 4.3: `(z, spike_prob, spike_var) -> P(slab | z)`, in z's shape.

    Args:
        answer: the learner's function; the slab's variance is 1.
    """
    return SLAB_RESPONSIBILITY.check(answer)


SETTINGS = ((0.8, 0.05), (0.63, 0.31), (0.5, 0.7), (0.92, 0.01))
CALLS, ROWS, LATENTS = 10, 240, 8


def _cdf(z: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    spike = torch.special.ndtr(z / math.sqrt(spike_var))
    return spike_prob * spike + (1 - spike_prob) * torch.special.ndtr(z)


def _probe_sample(call: Caller, findings: Findings, g: Generator) -> None:
    for shape in ((1,), (7,), (1, 1), (5, 1), (1, 6), (2, 3, 4)):
        call((shape, 0.7, 0.2), shape)
    signed, sizes, looks = [], [], []
    for k, (p, v) in enumerate(SETTINGS):
        draws = [call(((ROWS, LATENTS), p, v), (ROWS, LATENTS))[0] for _ in range(CALLS)]
        z = torch.stack(draws).detach().double()  # (calls, rows, latents)
        findings.repeats |= bool((z[0] - z[1]).abs().max() < 1e-6)
        u = _cdf(z, p, v)
        findings.feature(f"mean {k}", float(z.mean() / (z.std() + 1e-9)))
        findings.feature(f"log sd {k}", math.log(float(z.std()) + 1e-3))
        far = z.abs() > 2.5 * math.sqrt(v)
        findings.feature(f"far {k}", 4 * float(far.double().mean()))
        findings.feature(f"near {k}", 4 * float((z.abs() < 0.3 * math.sqrt(v)).double().mean()))
        findings.feature(f"zero {k}", float((z == 0).double().mean()))
        at = f"with spike_prob = {p}, spike_var = {v}"
        text = f"{at} the draws do not follow the mixture's distribution function"
        findings.test(f"shape {k}", ks_p(u), text)
        variance = p * v + 1 - p
        text = f"{at} the draws' variance is {float(z.var()):.3g}, and {variance:.3g} is right"
        if k < 3:  # at spike_prob .92 the skewness of z² asks for more draws than these
            findings.test(f"variance {k}", mean_p(z.square().flatten() - variance), text)
        looks.append(z)
        # Both are uniform where z is right; the second one knows the component, not the sign.
        signed.append((u - 0.5) * math.sqrt(12))
        sizes.append((2 * _cdf(z.abs(), p, v) - 1.5) * math.sqrt(12))
    for kind, parts in (("draw", signed), ("size", sizes)):
        w = torch.stack(parts)
        latents, images = (w[..., 0::2], w[..., 1::2]), (w[:, :, 0::2], w[:, :, 1::2])
        text = f"one latent's {kind} tells the {kind} of another in the same row"
        findings.test(f"latents {kind}", independence_p(*latents), text)
        text = f"one row's {kind} tells the {kind} of another"
        findings.test(f"images {kind}", independence_p(*images), text)
    _describe(torch.stack(looks), findings)


def _describe(z: Tensor, findings: Findings) -> None:
    """Note what tells shared components and shared noise apart; z: (settings, calls, rows, D)."""
    size = (z.abs() + 1e-3).log()
    size = (size - size.mean(dim=(1, 2, 3), keepdim=True)) / (size.std(dim=(1, 2, 3)).max() + 1e-9)
    for kind, w in (("sign", z.sign()), ("size", size)):
        findings.feature(f"latents {kind}", correlation(w[..., 0::2], w[..., 1::2]))
        findings.feature(f"rows {kind}", correlation(w[:, :, 0::2], w[:, :, 1::2]))
    centred = z - z.mean(dim=(2, 3), keepdim=True)
    variance = centred.square().mean(dim=(2, 3))  # (settings, calls)
    kurtosis = centred.pow(4).mean(dim=(2, 3)) / variance.square().clamp(min=1e-18)
    widths = (variance.amin(dim=1) / variance.amax(dim=1).clamp(min=1e-18)).sqrt()
    # One Gaussian in each call, and not always the same one.
    by_call = bool((kurtosis[[0, 3]] < 3.8).all()) and bool((widths < 0.9).any())
    findings.feature("one Gaussian a call", 3.0 * by_call)
    findings.feature("constant in a call", 3.0 * float(bool((variance < 1e-12).all())))


def _draws(
    spike: Callable = lambda shape, p: torch.rand(shape) < p,
    noise: Callable = torch.randn,
    width: Callable = math.sqrt,
) -> Callable:
    """Build a sampler from who is in the spike, what noise, and how wide the spike is."""
    return lambda shape, p, v: noise(shape) * torch.where(spike(shape, p), width(v), 1.0)


def _uniform(shape: tuple) -> Tensor:
    return (2 * torch.rand(shape) - 1) * math.sqrt(3)


def _numpy_sample(shape: tuple, p: float, v: float) -> Tensor:
    on = np.random.rand(*shape) >= p
    return torch.from_numpy(np.random.randn(*shape) * np.where(on, 1.0, v**0.5)).float()


def _mixed_sample(shape: tuple, p: float, v: float) -> Tensor:
    on = torch.from_numpy(np.random.rand(*shape) >= p)
    return torch.randn(shape) * torch.where(on, 1.0, v**0.5)


def _seeded_sample(shape: tuple, p: float, v: float) -> Tensor:
    g = torch.Generator().manual_seed(0)
    spike = torch.rand(shape, generator=g) < p
    return torch.randn(shape, generator=g) * torch.where(spike, v**0.5, 1.0)


def _reference_sample(shape: tuple, spike_prob: float, spike_var: float) -> Tensor:
    weights = torch.tensor([spike_prob, 1 - spike_prob])
    widths = torch.tensor([math.sqrt(spike_var), 1.0])
    components = torch.distributions.Normal(torch.zeros(2), widths)
    choice = torch.distributions.Categorical(weights)
    return torch.distributions.MixtureSameFamily(choice, components).sample(shape)


def _shared(f: Findings, this: str, other: str, kind: str, level: float) -> bool:
    return f.get(f"{this} {kind}") > level and abs(f.get(f"{other} {kind}")) < 0.6 * level


SAMPLE = RandomExercise(
    name="sample",
    number="4.2",
    parameters=("shape", "spike_prob", "spike_var"),
    reference=_reference_sample,
    probe=_probe_sample,
    misconceptions=(
        RandomMisconception(
            "fixed seed",
            _seeded_sample,
            "Two calls give the same draw: a seed is set inside the function. The caller sets it.",
            symptom=lambda f: f.repeats and f.get("log sd 0") > -4,
        ),
        RandomMisconception(
            "NumPy's generator",
            (_numpy_sample, _mixed_sample),
            "The draws come from NumPy's generator.",
            symptom=lambda f: f.uses_numpy,
        ),
        RandomMisconception(
            "one component for the whole call",
            _draws(spike=lambda shape, p: torch.rand(()) < p),
            "Every latent of a call comes from the same component. Each latent draws its own.",
            symptom=lambda f: f.get("one Gaussian a call") > 1 and f.get("constant in a call") < 1,
        ),
        RandomMisconception(
            "one component per vector",
            _draws(spike=lambda shape, p: (torch.rand(*shape[:-1], 1) < p).expand(shape)),
            "All latents of a vector come from the same component. Each latent draws its own: the "
            "prior is a product of mixtures.",
            symptom=lambda f: (
                _shared(f, "latents", "rows", "size", 0.06) and f.get("latents sign") < 0.3
            ),
        ),
        RandomMisconception(
            "one component per latent for all rows",
            _draws(spike=lambda shape, p: (torch.rand(shape[-1]) < p).expand(shape)),
            "All rows use the same components. Each latent of each row draws its own.",
            symptom=lambda f: f.get("rows size") > 0.06 and f.get("rows sign") < 0.3,
        ),
        RandomMisconception(
            "noise shared between rows",
            (
                lambda shape, p, v: _draws()((shape[-1],), p, v).expand(shape),
                _draws(noise=lambda shape: torch.randn(shape[-1]).expand(shape)),
            ),
            "All rows share their noise; each element of the shape is a draw of its own.",
            symptom=lambda f: _shared(f, "rows", "latents", "sign", 0.6),
        ),
        RandomMisconception(
            "noise shared between latents",
            (
                lambda shape, p, v: _draws()((*shape[:-1], 1), p, v).expand(shape),
                _draws(noise=lambda shape: torch.randn(*shape[:-1], 1).expand(shape)),
            ),
            "All latents of a row share their noise; each element of the shape is a draw of its "
            "own.",
            symptom=lambda f: _shared(f, "latents", "rows", "sign", 0.6),
        ),
        RandomMisconception(
            "one draw for everything",
            lambda shape, p, v: _draws()((1,), p, v).expand(shape),
            "Every element is the same number; each is a draw of its own.",
            symptom=lambda f: f.get("constant in a call") > 1 and not f.repeats,
        ),
        RandomMisconception(
            "spike and slab swapped",
            _draws(spike=lambda shape, p: torch.rand(shape) >= p),
            SWAPPED,
        ),
        RandomMisconception(
            "spike_var used as a standard deviation",
            _draws(width=lambda v: v),
            VARIANCE,
        ),
        RandomMisconception(
            "root taken twice",
            _draws(width=lambda v: v**0.25),
            "You take the root of the spike's width twice: σ = √spike_var.",
        ),
        RandomMisconception(
            "average of spike and slab",
            lambda shape, p, v: p * v**0.5 * torch.randn(shape) + (1 - p) * torch.randn(shape),
            "You add weighted draws of both components. A mixture picks one of them.",
        ),
        RandomMisconception(
            "moment-matched Gaussian",
            lambda shape, p, v: (p * v + 1 - p) ** 0.5 * torch.randn(shape),
            "That is one Gaussian with the mixture's variance. A mixture picks a component for "
            "each latent.",
        ),
        RandomMisconception(
            "slab added to the spike",
            lambda shape, p, v: (
                v**0.5 * torch.randn(shape) + (torch.rand(shape) >= p) * torch.randn(shape)
            ),
            "A latent that is on gets spike plus slab. It is drawn from the slab alone.",
        ),
        RandomMisconception(
            "spike of width 0",
            lambda shape, p, v: (torch.rand(shape) >= p) * torch.randn(shape),
            "Latents that are off are exactly 0. The spike has a width: √spike_var.",
        ),
        RandomMisconception(
            "slab of width 0",
            lambda shape, p, v: (torch.rand(shape) < p) * v**0.5 * torch.randn(shape),
            "Latents that are on are exactly 0. They come from the slab, N(0, 1).",
        ),
        RandomMisconception(
            "spike only",
            lambda shape, p, v: v**0.5 * torch.randn(shape),
            "Every draw comes from the spike.",
        ),
        RandomMisconception(
            "slab only",
            lambda shape, p, v: torch.randn(shape),
            "Every draw comes from the slab.",
        ),
        RandomMisconception(
            "uniform noise",
            (
                _draws(noise=_uniform),
                _draws(noise=torch.rand),
                _draws(noise=lambda shape: 2 * torch.rand(shape) - 1),
            ),
            "The noise is uniform (`rand`); spike and slab are Gaussian (`randn`).",
        ),
        RandomMisconception(
            "spike_prob ignored",
            _draws(spike=lambda shape, p: torch.rand(shape) < 0.5),
            "Half of the latents are off whatever `spike_prob` says.",
        ),
        RandomMisconception(
            "component drawn with randn",
            (_draws(spike=lambda shape, p: torch.randn(shape) < p),),
            "You compare a normal draw with `spike_prob`; a probability is compared with a "
            "uniform one (`torch.rand`).",
        ),
        RandomMisconception(
            "sign lost",
            lambda shape, p, v: _draws()(shape, p, v).abs(),
            "All draws are positive.",
        ),
    ),
)


def sample(answer: Callable) -> CheckResult:
    """Check exercise 4.2: `(shape, spike_prob, spike_var) -> z`, independent prior draws.

    Four priors, 19,200 draws each: Kolmogorov–Smirnov against the exact distribution function,
    a z-test of the variance, and the correlation of neighbours (with and without their sign) along
    both axes. False alarms: below 1e-6 a check (`_statistics`).

    Args:
        answer: the learner's function of a tuple and two Python numbers; slab variance 1.
    """
    return SAMPLE.check(answer)
