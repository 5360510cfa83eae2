"""Checks of notebook 07: counting active latents, and mending a faulty sparse-VAE loss."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ._exact import Case, Exercise, Misconception
from ._random import Caller, Findings, RandomExercise, RandomMisconception
from ._result import CheckResult
from ._statistics import mean_p, upper_chi2_p
from .nb02 import numpy_noise, seeded_noise
from .nb03 import BERNOULLI, bce, draw_pixels, kl_standard
from .nb04 import SWAPPED, VARIANCE
from .nb05 import (
    GENERAL,
    LINEAR,
    UNIFORM,
    WAVES,
    Prior,
    differentiate,
    draw,
    log_normal,
    noise,
    note_gradient,
    posterior,
    scaled,
)


def _crossover(spike_prob: float, spike_var: float) -> float:
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    return math.sqrt(c / (0.5 / spike_var - 0.5))


def _torch_crossover(spike_prob: float, spike_var: float) -> Tensor:
    # NaN instead of an error where no crossover exists.
    c = math.log(spike_prob / (1 - spike_prob)) - 0.5 * math.log(spike_var)
    return (torch.tensor(c) / (0.5 / spike_var - 0.5)).sqrt()


def _count(mu: Tensor, threshold: float) -> Tensor:
    return (mu.abs() > threshold).sum(1)


def _reference(mu: Tensor, spike_prob: float, spike_var: float) -> Tensor:
    # Bayes' rule instead of the crossover: is the slab the likelier of the two?
    spike = torch.distributions.Normal(0.0, spike_var**0.5).log_prob(mu) + math.log(spike_prob)
    slab = torch.distributions.Normal(0.0, 1.0).log_prob(mu) + math.log1p(-spike_prob)
    return (slab > spike).sum(dim=1).double()


def _cases(g: Generator) -> list[Case]:
    def draw(B: int, D: int, p: float, v: float) -> Case:
        edge = _crossover(p, v)
        mu = 2.2 * edge * torch.randn(B, D, generator=g)
        close = (mu.abs() - edge).abs() < 2e-3 * edge
        return Case((torch.where(close, 1.3 * mu, mu), p, v))

    return [
        draw(6, 200, 0.8, 0.05),
        draw(5, 150, 0.65, 0.2),
        draw(4, 300, 0.93, 0.01),
        draw(7, 90, 0.55, 0.6),
        draw(1, 60, 0.8, 0.0025),
        draw(9, 1, 0.75, 0.1),
    ]


def _squared_edge(p: float, v: float) -> float:
    return _crossover(p, v) ** 2


def _soft(mu: Tensor, p: float, v: float) -> Tensor:
    c = math.log(p / (1 - p)) - 0.5 * math.log(v)
    return torch.sigmoid((0.5 / v - 0.5) * mu**2 - c)


ACTIVE_COUNT = Exercise(
    name="active_count",
    number="7.1",
    parameters=("mu", "spike_prob", "spike_var"),
    reference=_reference,
    cases=_cases,
    unit="latents",
    integers=True,
    misconceptions=(
        Misconception(
            "threshold at 0",
            (
                lambda m, p, v: (m > 0).sum(1),
                lambda m, p, v: (m != 0).sum(1),
                lambda m, p, v: (m.abs() > 1e-2).sum(1),
                lambda m, p, v: (m.abs() > 1e-6).sum(1),
            ),
            "You count means that are not (nearly) 0. The spike has a width: a latent is active "
            "where the slab explains its mean better than the spike, past the crossover.",
        ),
        Misconception(
            "absolute value forgotten",
            lambda m, p, v: (m > _crossover(p, v)).sum(1),
            "You miss the negative means: compare |μ| with the crossover.",
        ),
        Misconception(
            "inactive counted",
            lambda m, p, v: (m.abs() <= _crossover(p, v)).sum(1),
            "You count the latents that are off.",
        ),
        Misconception(
            "spike and slab swapped",
            (
                lambda m, p, v: (_soft(m, 1 - p, v) > 0.5).sum(1),
                lambda m, p, v: _count(m, _crossover(1 - p, v)),
                lambda m, p, v: (m.abs() > _torch_crossover(1 - p, v)).sum(1),
            ),
            SWAPPED,
        ),
        Misconception(
            "weights forgotten",
            lambda m, p, v: (_soft(m, 0.5, v) > 0.5).sum(1),
            "The prior weights are missing: at the crossover π times the spike's density equals "
            "1 − π times the slab's.",
        ),
        Misconception(
            "normaliser forgotten",
            lambda m, p, v: _count(m, math.sqrt(math.log(p / (1 - p)) / (0.5 / v - 0.5))),
            "At the crossover the densities meet with their normalisers 1/√variance; yours lack "
            "them.",
        ),
        Misconception(
            "spike_var used as a standard deviation",
            lambda m, p, v: _count(m, _crossover(p, v**2)),
            VARIANCE,
        ),
        Misconception(
            "root forgotten",
            lambda m, p, v: _count(m, _squared_edge(p, v)),
            "The formula gives the crossover's square; take the root.",
        ),
        Misconception(
            "lost ½",
            (
                lambda m, p, v: _count(m, _crossover(p, v) / math.sqrt(2)),
                lambda m, p, v: _count(m, _crossover(p, v) * math.sqrt(2)),
                lambda m, p, v: _count(
                    m, math.sqrt((math.log(p / (1 - p)) - math.log(v)) / (0.5 / v - 0.5))
                ),
            ),
            "A factor ½ is lost in the crossover: z² = (logit π − ½ log v) / (½ (1/v − 1)).",
        ),
        Misconception(
            "threshold at the spike's width",
            (
                lambda m, p, v: _count(m, math.sqrt(v)),
                lambda m, p, v: _count(m, 2 * math.sqrt(v)),
                lambda m, p, v: _count(m, 3 * math.sqrt(v)),
                lambda m, p, v: _count(m, v),
            ),
            "Your threshold is a multiple of the spike's width. The crossover also knows how "
            "likely and how wide the slab is.",
        ),
        Misconception(
            "fixed threshold",
            (
                lambda m, p, v: _count(m, 0.5),
                lambda m, p, v: _count(m, 0.1),
                lambda m, p, v: _count(m, 1.0),
            ),
            "Your threshold does not depend on the prior; the crossover does.",
        ),
        Misconception(
            "prior's own number",
            (
                lambda m, p, v: (1 - p) * m.shape[1] + 0 * m.sum(1),
                lambda m, p, v: torch.full((m.shape[0],), (1 - p) * m.shape[1]),
            ),
            "(1 − π)·D is what the prior expects; here the given means are counted.",
        ),
        Misconception(
            "expected count",
            lambda m, p, v: _soft(m, p, v).sum(1),
            "You add up responsibilities: another definition of active. Here latents past the "
            "crossover are counted.",
        ),
        Misconception(
            "fraction for count",
            lambda m, p, v: (m.abs() > _crossover(p, v)).float().mean(1),
            "You return a fraction; a count is a sum.",
        ),
        Misconception(
            "wrong axis",
            lambda m, p, v: (m.abs() > _crossover(p, v)).sum(0),
            "You count the images in which each latent is active; count latents in each image.",
        ),
        Misconception(
            "batch averaged",
            lambda m, p, v: _count(m, _crossover(p, v)).float().mean(),
            "You average over the batch; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "batch summed",
            lambda m, p, v: _count(m, _crossover(p, v)).sum(),
            "You sum over the batch; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "latents not summed",
            lambda m, p, v: (m.abs() > _crossover(p, v)).float(),
            "You return one number per latent; sum over the last axis.",
        ),
    ),
)


def active_count(answer: Callable) -> CheckResult:
    """Check exercise 7.1: `(mu, spike_prob, spike_var) -> (B,)`, latents past the crossover.

    Args:
        answer: the learner's function of a (B, D) tensor and two Python numbers; the slab's
            variance is 1. Integers and floats are both right.
    """
    return ACTIVE_COUNT.check(answer)


IMAGES, PIXELS, LATENTS, SAMPLES = 24, 9, 6, 128


def _probe(call: Caller, findings: Findings, g: Generator) -> None:
    for rows, pixels, latents, K in ((1, 5, 3, 2), (4, 6, 1, 4), (3, 3, 3, 2)):
        q = torch.randn(rows, latents, generator=g), torch.randn(rows, latents, generator=g)
        call((*draw_pixels(g, rows, pixels), *q, GENERAL.log_prob, K), ())
    # Fixed pixels and posterior: what a mistake does to the value is then the same each time.
    pixels = draw_pixels(torch.Generator().manual_seed(7), IMAGES, PIXELS)
    rough = _errors(call, LINEAR, pixels, 4)
    findings.feature("rough offset", float(rough.mean()), 1.2)
    errors = torch.cat([rough, _errors(call, LINEAR, pixels, 66)])
    text = f"the loss is {float(errors.mean()):+.3g} nats off on average"
    findings.test("mean", mean_p(errors, floor=1e-4), text)
    findings.feature("offset", float(errors.mean()), 0.45)
    delta = (posterior(LINEAR, IMAGES, LATENTS)[0] - LINEAR.centre) / LINEAR.width
    largest = float((delta**2 + 0.5).sum()) / (SAMPLES * IMAGES**2)
    e = errors / math.sqrt(largest)
    scatter = float(e.square().mean().sqrt())
    text = f"the loss scatters {scatter:.3g} times as much as {SAMPLES} samples an image allow"
    findings.test("scatter", upper_chi2_p(float(e.square().sum()), e.numel()), text)
    findings.feature("log scatter", math.log(float(e.std()) + 1e-2), 0.5)
    errors = _errors(call, WAVES, pixels, 16)
    findings.repeats = bool((errors[0] - errors[1]).abs() < 1e-5)
    text = f"at q = N(0.3, 0.7²) the loss is {float(errors.mean()):+.3g} nats off on average"
    findings.test("noise", mean_p(errors, floor=1e-4), text)
    findings.feature("noise", float(errors.mean()), 0.6)
    _compare_gradients(call, findings, pixels)


def _errors(call: Caller, prior: Prior, pixels: tuple[Tensor, Tensor], calls: int) -> Tensor:
    q = posterior(prior, IMAGES, LATENTS)
    exact = prior.kl(*(t.double() for t in q)).sum(1).mean() + _cross_entropy(pixels)
    losses = [call((*pixels, *q, prior.log_prob, SAMPLES), ())[0] for _ in range(calls)]
    return torch.stack(losses).detach().double() - exact


def _cross_entropy(pixels: tuple[Tensor, Tensor]) -> Tensor:
    return -BERNOULLI.reference(*(t.double() for t in pixels)).mean()


def _compare_gradients(call: Caller, findings: Findings, pixels: tuple[Tensor, Tensor]) -> None:
    q = posterior(GENERAL, IMAGES, LATENTS)
    tensors = [t.double().requires_grad_() for t in q]
    exact = GENERAL.kl(*tensors).sum(1).mean()
    wanted = torch.autograd.grad(exact, tensors)
    exact = exact.detach() + _cross_entropy(pixels)
    values, gradients = [], {"mu": [], "log_var": []}
    for _ in range(16):
        arguments = (*pixels, *q, GENERAL.log_prob, SAMPLES)
        value, given = call(arguments, (), ("logits", "mu", "log_var"))
        values.append(value.detach())
        if len(values) == 1:
            _compare_logits(findings, value, given["logits"], pixels)
        for kept, found in zip(gradients.values(), differentiate(value, given)):
            kept.append(found)
    errors = torch.stack(values).double() - exact
    text = f"for a curved prior the loss is {float(errors.mean()):+.3g} nats off on average"
    findings.test("general", mean_p(errors, floor=1e-4), text)
    findings.feature("general", float(errors.mean()), 0.25)
    for (name, kept), want in zip(gradients.items(), wanted):
        note_gradient(findings, name, torch.stack(kept).double(), want)


def _compare_logits(
    findings: Findings, value: Tensor, logits: Tensor, pixels: tuple[Tensor, Tensor]
) -> None:
    want = (pixels[0].sigmoid() - pixels[1]) / IMAGES
    found = None
    if value.requires_grad:
        (found,) = torch.autograd.grad(value, logits, allow_unused=True, retain_graph=True)
    right = found is not None and torch.allclose(found, want, rtol=1e-3, atol=1e-5)
    findings.feature("gradient logits", _level(found, right))
    if found is None or not found.any():
        findings.faults["gradients do not flow to logits"] = "No gradient reaches `logits`."
    elif not right:
        findings.faults["gradient logits"] = "The gradient that reaches `logits` is wrong."


def _level(found: Tensor | None, right: bool) -> float:
    if right:
        return 3.0
    return 0.0 if found is None or not found.any() else 1.0


def _loss(
    reconstruct: Callable = lambda b: b.sum(1).mean(),
    sampler: Callable = draw,
    integrand: Callable = lambda lq, lp: lq - lp,
    regularise: Callable = lambda t: t.mean(0).sum(1).mean(),
    cross_entropy: Callable = bce,
    density: Callable = log_normal,
) -> Callable:
    """Put a loss together; `regularise` reduces the (K, B, D) integrand."""

    def loss(
        logits: Tensor,
        x: Tensor,
        mu: Tensor,
        log_var: Tensor,
        log_prior: Callable,
        num_samples: int,
    ) -> Tensor:
        z = sampler(mu, log_var, num_samples)
        kl = regularise(integrand(density(z, mu, log_var), log_prior(z)))
        return reconstruct(cross_entropy(logits, x)) + kl

    return loss


def _detached(mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
    return draw(mu, log_var, num_samples).detach()


def _reference_loss(
    logits: Tensor,
    x: Tensor,
    mu: Tensor,
    log_var: Tensor,
    log_prior: Callable,
    num_samples: int,
) -> Tensor:
    q = torch.distributions.Normal(mu, log_var.exp().sqrt())
    z = q.rsample((num_samples,))
    kl = (q.log_prob(z) - log_prior(z)).sum(2).mean(0)
    return (kl - BERNOULLI.reference(logits, x)).mean()


FIND_THE_BUG = RandomExercise(
    name="find_the_bug",
    number="7.2",
    parameters=("logits", "x", "mu", "log_var", "log_prior", "num_samples"),
    reference=_reference_loss,
    probe=_probe,
    misconceptions=(
        RandomMisconception(
            "NumPy's generator",
            _loss(sampler=noise(lambda K, m: numpy_noise(K, *m.shape))),
            "The draws come from NumPy's generator.",
            symptom=lambda f: f.uses_numpy,
        ),
        RandomMisconception(
            "fixed seed",
            _loss(sampler=noise(lambda K, m: seeded_noise(torch.empty(K, *m.shape)))),
            "Two calls give the same loss: a seed is set inside the function.",
            symptom=lambda f: (
                f.repeats
                and abs(f.get("gradient mu") - 1) < 0.5
                and 1e-4 < abs(f.get("offset")) < 1
                and abs(f.get("noise")) < 1
            ),
        ),
        RandomMisconception(
            "detached samples and mean over latents",
            (
                _loss(sampler=_detached, regularise=torch.mean),
                _loss(sampler=_detached, regularise=lambda t: t.mean(0).mean(1).sum()),
            )[:1],
            "Both faults are still there: detached samples (the prior pulls nowhere) and a mean "
            "over the latents (a hidden β of 1/D).",
        ),
        RandomMisconception(
            "detached samples",
            _loss(sampler=_detached),
            "One fault is left: the samples are detached, so log p(z) carries no gradient, and "
            "E[∇ log q] = 0: the prior pulls nowhere. Use `rsample` or mu + σ·ε.",
        ),
        RandomMisconception(
            "mean over latents",
            _loss(regularise=torch.mean),
            "One fault is left: the KL is averaged over the latents, beside a cross-entropy that "
            "is summed over the pixels: a hidden β of 1/D.",
        ),
        RandomMisconception(
            "prior detached",
            _loss(integrand=lambda lq, lp: lq - lp.detach()),
            "log p(z) is detached: the prior never pulls on q.",
        ),
        RandomMisconception(
            "KL detached",
            _loss(regularise=lambda t: t.mean(0).sum(1).mean().detach()),
            "The KL is detached as a whole: it never pulls on the encoder.",
        ),
        RandomMisconception(
            "mean over pixels",
            _loss(reconstruct=torch.mean),
            "Now the cross-entropy is averaged over the pixels: that multiplies the KL by their "
            "number. Sum both, and average over the batch only.",
        ),
        RandomMisconception(
            "mean over everything",
            _loss(reconstruct=torch.mean, regularise=torch.mean),
            "Pixels and latents are averaged, each over its own number. Sum both, and average "
            "over the batch only.",
        ),
        RandomMisconception(
            "batch summed",
            _loss(lambda b: b.sum(), regularise=lambda t: t.mean(0).sum()),
            "You sum over the batch. Per image means the average over the batch.",
        ),
        RandomMisconception(
            "batch summed in one term",
            (
                _loss(lambda b: b.sum()),
                _loss(regularise=lambda t: t.mean(0).sum()),
                _loss(lambda b: b.sum(), regularise=torch.mean),
                _loss(lambda b: b.sum(), sampler=_detached, regularise=torch.mean),
            ),
            "One term is summed over the batch and the other averaged: a hidden β that changes "
            "with the batch size.",
        ),
        RandomMisconception(
            "batch not averaged",
            _loss(lambda b: b.sum(1), regularise=lambda t: t.mean(0).sum(1)),
            "You return one number per image; average over the batch.",
        ),
        RandomMisconception(
            "KL subtracted",
            _loss(integrand=lambda lq, lp: lp - lq),
            "The KL is subtracted. In the loss, minus the ELBO, it is added.",
        ),
        RandomMisconception(
            "sign",
            _loss(lambda b: -b.sum(1).mean(), integrand=lambda lq, lp: lp - lq),
            "That is the ELBO. The loss is minus the ELBO.",
        ),
        RandomMisconception(
            "KL forgotten",
            _loss(regularise=lambda t: 0 * t.sum()),
            "The KL is missing.",
        ),
        RandomMisconception(
            "reconstruction forgotten",
            _loss(reconstruct=lambda b: 0 * b.sum()),
            "The reconstruction term is missing.",
        ),
        RandomMisconception(
            "log q forgotten",
            _loss(integrand=lambda lq, lp: -lp),
            "log q(z) is missing: that is the cross-entropy, not the KL.",
        ),
        RandomMisconception(
            "one sample where num_samples were asked for",
            _loss(sampler=lambda m, v, K: draw(m, v, 1)),
            "You use one sample; `num_samples` of them were asked for and averaged.",
            symptom=lambda f: (
                abs(f.get("log scatter") - 0.5 * math.log(SAMPLES)) < 0.35
                and abs(f.get("noise")) < 1
                and abs(f.get("gradient mu") - 1) < 0.5
                and f.get("gradient logits") > 2
            ),
        ),
        RandomMisconception(
            "sum over samples",
            _loss(regularise=lambda t: t.sum(0).sum(1).mean()),
            "You sum over the samples; an expectation is their mean.",
        ),
        RandomMisconception(
            "ε shared between latents",
            _loss(sampler=noise(lambda K, m: torch.randn(K, m.shape[0], 1))),
            "All latents of an image get the same noise; each needs its own.",
        ),
        RandomMisconception(
            "ε shared between images",
            _loss(sampler=noise(lambda K, m: torch.randn(K, 1, m.shape[1]))),
            "All images get the same noise; each needs its own.",
        ),
        RandomMisconception(
            "uniform noise",
            tuple(_loss(sampler=sampler) for sampler in UNIFORM),
            "The noise is uniform (`rand`); a Gaussian q needs normal noise (`randn`).",
        ),
        RandomMisconception(
            "variance for standard deviation",
            _loss(sampler=scaled(torch.exp)),
            "You multiply the noise by exp(log_var), the variance: σ = exp(log_var / 2).",
        ),
        RandomMisconception(
            "log_var taken for log σ",
            _loss(sampler=scaled(torch.exp), density=lambda z, m, v: log_normal(z, m, 2 * v)),
            "You use a q whose standard deviation is exp(log_var): σ = exp(log_var / 2).",
        ),
        RandomMisconception(
            "evaluated at the mean",
            _loss(sampler=lambda m, v, K: m[None]),
            "You take the KL's integrand at mu, without samples.",
        ),
        RandomMisconception(
            "KL to N(0, I)",
            lambda l, x, m, v, log_prior, K: (bce(l, x).sum(1) + kl_standard(m, v).sum(1)).mean(),
            "That is the KL to N(0, I); the prior here is `log_prior`.",
        ),
        RandomMisconception(
            "sigmoid twice",
            _loss(cross_entropy=lambda l, x: bce(l.sigmoid(), x)),
            "You hand probabilities to a function that wants logits.",
        ),
        RandomMisconception(
            "squared error",
            (
                _loss(cross_entropy=lambda l, x: (l.sigmoid() - x) ** 2),
                _loss(cross_entropy=lambda l, x: F.mse_loss(l, x, reduction="none")),
            ),
            "The reconstruction is a squared error. These pixels are Bernoulli: cross-entropy.",
        ),
    ),
)


def find_the_bug(answer: Callable) -> CheckResult:
    """Check exercise 7.2: the mended sparse-VAE loss, in nats per image.

    The answer is `(logits, x, mu, log_var, log_prior, num_samples) -> scalar`: cross-entropy
    summed over the pixels plus log q − log p summed over the latents and averaged over num_samples
    reparameterised draws, both averaged over the batch. z-tests against closed forms in value and
    gradient, a one-sided χ² test of the scatter; the logits' gradient is compared exactly. False
    alarms: below 1e-6 a check (`_statistics`).

    Args:
        answer: the learner's function; x is binary.
    """
    return FIND_THE_BUG.check(answer)
