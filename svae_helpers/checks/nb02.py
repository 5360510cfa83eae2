"""Checks of notebook 02: a reparameterised sample, and the gradient that it carries."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor

from ._random import Caller, Findings, RandomExercise, RandomMisconception
from ._result import CheckResult
from ._statistics import (
    chi2_p,
    correlation,
    independence_p,
    ks_p,
    mean_p,
    normal_p,
    upper_chi2_p,
)

CALLS, ROWS, LATENTS = 6, 400, 8
ROOT3 = math.sqrt(3)


def std(log_var: Tensor) -> Tensor:
    """σ = exp(log_var / 2)."""
    return (0.5 * log_var).exp()


def numpy_noise(*shape: int) -> Tensor:
    """Standard normal noise from NumPy's global generator: what no answer may use."""
    return torch.from_numpy(np.random.randn(*shape)).float()


def seeded_noise(like: Tensor) -> Tensor:
    """Standard normal noise that is the same in each call: what no answer may use."""
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(0))


def _probe_sample(call: Caller, findings: Findings, g: Generator) -> None:
    for shape in ((1, 1), (4, 1), (1, 6), (5,), (3, 4)):
        mu, log_var = torch.randn(shape, generator=g), torch.randn(shape, generator=g)
        call((mu, log_var), shape)
    centre = torch.tensor([-2.7, 1.3, 0.4, 3.1, -0.8, 1.9, -1.6, 2.2])
    log_var = torch.tensor([-2.6, 1.7, -0.9, 0.8, -1.9, 1.2, -3.2, 0.5]).expand(ROWS, LATENTS)
    errors = []
    for _ in range(CALLS):
        mu = centre + 0.1 * torch.randn(ROWS, LATENTS, generator=g)
        z, _tensors = call((mu, log_var), (ROWS, LATENTS))
        errors.append(((z.detach() - mu) / std(log_var)).double())
    e = torch.stack(errors)  # (calls, images, latents): standard normal where z is right
    findings.repeats = bool((e[0] - e[1]).abs().max() < 1e-3) and bool(e.isfinite().all())
    _describe_noise(e, findings)
    _test_noise(e, findings)
    _compare_gradients(call, findings, g)


def _test_noise(e: Tensor, findings: Findings) -> None:
    n = e.numel()
    findings.test(
        "shape", ks_p(torch.special.ndtr(e)), "(z − mu) / σ does not have a normal distribution"
    )
    findings.test("mean", normal_p(float(e.sum()) / math.sqrt(n)), "z is not centred on mu")
    # Half the degrees of freedom: room for draws in antithetic pairs over the batch.
    spread = chi2_p(float(e.square().mean()) * n / 2, n / 2)
    findings.test("spread", spread, f"z varies {float(e.std()):.3g} times as much as σ says")
    half = n / LATENTS / 2
    for d in range(LATENTS):
        p = chi2_p(float(e[..., d].square().mean()) * half, half)
        findings.test(f"spread {d}", p, "the spread of z does not follow exp(log_var / 2)")
    p = independence_p(e[..., 0::2], e[..., 1::2])
    findings.test("latents", p, "the noise of one latent tells the noise of another")
    p = independence_p(e[:, 0::2], e[:, 1::2], one_sided=True)
    findings.test("images", p, "the noise of one image tells the noise of another")
    p = independence_p(e[:, : ROWS // 2], e[:, ROWS // 2 :], one_sided=True)
    findings.test("halves", p, "the noise of one image tells the noise of another")


def _describe_noise(e: Tensor, findings: Findings) -> None:
    for d in range(LATENTS):
        column = e[..., d]
        findings.feature(f"mean {d}", float(column.mean() / (column.std() + 0.05)), 0.25)
        findings.feature(f"log sd {d}", math.log(float(column.std()) + 1e-3), 0.25)
    centred = e - e.mean(dim=(0, 1))
    scaled = centred / (centred.std(dim=(0, 1)) + 1e-3)
    findings.feature("kurtosis", float(scaled.pow(4).mean()))
    findings.feature("latents", correlation(centred[..., 0::2], centred[..., 1::2]))
    findings.feature("images", correlation(centred[:, 0::2], centred[:, 1::2]))


def _compare_gradients(call: Caller, findings: Findings, g: Generator) -> None:
    """A sample mu + σ·ε has ∂z/∂mu = 1 and ∂z/∂log_var = (z − mu) / 2, whatever ε was."""
    mu = 1.5 * torch.randn(5, 4, generator=g) + 0.3
    log_var = torch.randn(5, 4, generator=g) - 0.6
    z, tensors = call((mu, log_var), (5, 4), ("mu", "log_var"))
    gradients: tuple = (None, None)
    if z.requires_grad:
        gradients = torch.autograd.grad(z.sum(), list(tensors.values()), allow_unused=True)
    wanted = (torch.ones_like(mu), 0.5 * (z.detach() - mu))
    for name, got, want in zip(("mu", "log_var"), gradients, wanted):
        got = torch.zeros_like(want) if got is None else got
        right = torch.allclose(got, want.to(got), rtol=1e-3, atol=1e-4)
        findings.feature(f"gradient {name}", 1.0 if right else 3.0 * float(got.any()))
        if right:
            continue
        if not got.any():
            findings.faults[f"gradients do not flow to {name}"] = (
                f"No gradient reaches `{name}`: `sample()`, `.detach()`, `torch.no_grad()` and "
                "NumPy all cut it."
            )
        else:
            findings.faults[f"gradient {name}"] = f"The gradient that reaches `{name}` is wrong."


def _shared_by_images(findings: Findings) -> bool:
    return findings.get("images") > 0.6 and not findings.repeats and findings.get("latents") < 0.6


REPARAMETERISE = RandomExercise(
    name="reparameterise",
    number="2.1",
    parameters=("mu", "log_var"),
    reference=lambda mu, log_var: (
        torch.distributions.Normal(mu, log_var.exp().sqrt()).rsample().to(mu)
    ),
    probe=_probe_sample,
    misconceptions=(
        RandomMisconception(
            "one ε for everything",
            lambda m, v: m + std(v) * torch.randn(()),
            "One number of noise serves every image and latent; each needs its own: "
            "`torch.randn_like(mu)`.",
            symptom=lambda f: f.get("images") > 0.6 and f.get("latents") > 0.6 and not f.repeats,
        ),
        RandomMisconception(
            "ε shared between images",
            (
                lambda m, v: m + std(v) * torch.randn(m.shape[-1]),
                lambda m, v: m + std(v) * torch.randn(1, m.shape[-1]).expand(m.shape),
            )[:1],
            "All images get the same noise; each needs its own: `torch.randn_like(mu)`.",
            symptom=_shared_by_images,
        ),
        RandomMisconception(
            "ε shared between latents",
            lambda m, v: m + std(v) * torch.randn(*m.shape[:-1], 1),
            "All latents of an image get the same noise; each needs its own: "
            "`torch.randn_like(mu)`.",
        ),
        RandomMisconception(
            "variance for standard deviation",
            lambda m, v: m + v.exp() * torch.randn_like(m),
            "You multiply the noise by exp(log_var). That is the variance (or `log_var` taken for "
            "log σ): σ = exp(log_var / 2).",
        ),
        RandomMisconception(
            "log_var taken for σ",
            (
                lambda m, v: m + v * torch.randn_like(m),
                lambda m, v: m + v.abs().sqrt() * torch.randn_like(m),
                lambda m, v: m + 0.5 * v * torch.randn_like(m),
                lambda m, v: m + v.sqrt() * torch.randn_like(m),
            ),
            "You use `log_var` as if it were σ or σ². It is a logarithm: σ = exp(log_var / 2).",
        ),
        RandomMisconception(
            "root taken twice",
            lambda m, v: m + (0.25 * v).exp() * torch.randn_like(m),
            "You take the root of σ: exp(log_var / 2) is the standard deviation already.",
        ),
        RandomMisconception(
            "sign of log_var",
            (
                lambda m, v: m + (-0.5 * v).exp() * torch.randn_like(m),
                lambda m, v: m + (-v).exp() * torch.randn_like(m),
            ),
            "You divide by σ where you should multiply: σ = exp(+log_var / 2).",
        ),
        RandomMisconception(
            "σ forgotten",
            lambda m, v: m + torch.randn_like(m),
            "The noise is not multiplied by σ.",
        ),
        RandomMisconception(
            "mean forgotten",
            lambda m, v: std(v) * torch.randn_like(m),
            "`mu` is not added.",
        ),
        RandomMisconception(
            "mean scaled too",
            lambda m, v: std(v) * (m + torch.randn_like(m)),
            "You multiply `mu` by σ too: mind the brackets, mu + σ·ε.",
        ),
        RandomMisconception(
            "no noise",
            lambda m, v: m + 0 * v,
            "You return the mean: nothing is drawn.",
        ),
        RandomMisconception(
            "σ for noise",
            lambda m, v: m + std(v),
            "You add σ itself, without noise.",
        ),
        RandomMisconception(
            "uniform noise",
            (
                lambda m, v: m + std(v) * torch.rand_like(m),
                lambda m, v: m + std(v) * (torch.rand_like(m) - 0.5),
                lambda m, v: m + std(v) * (2 * torch.rand_like(m) - 1),
                lambda m, v: m + std(v) * ROOT3 * (2 * torch.rand_like(m) - 1),
            ),
            "The noise is uniform (`rand`); a Gaussian posterior needs normal noise (`randn`).",
        ),
        RandomMisconception(
            "arguments swapped",
            lambda m, v: v + std(m) * torch.randn_like(m),
            "You have `mu` and `log_var` in each other's place.",
        ),
        RandomMisconception(
            "detached sample",
            (
                lambda m, v: torch.distributions.Normal(m, std(v)).sample(),
                lambda m, v: (m + std(v) * torch.randn_like(m)).detach(),
                lambda m, v: torch.normal(m.detach(), std(v).detach()),
            ),
            "The draws are right, but detached: `sample()` cuts the gradient, `rsample()` or "
            "mu + σ·ε carries it.",
        ),
        RandomMisconception(
            "detached σ",
            lambda m, v: m + std(v).detach() * torch.randn_like(m),
            "The draws are right, but no gradient reaches `log_var`.",
        ),
        RandomMisconception(
            "detached mean",
            lambda m, v: m.detach() + std(v) * torch.randn_like(m),
            "The draws are right, but no gradient reaches `mu`.",
        ),
        RandomMisconception(
            "NumPy's generator",
            lambda m, v: m + std(v) * numpy_noise(*m.shape),
            "The draws come from NumPy's generator.",
            symptom=lambda f: f.uses_numpy,
        ),
        RandomMisconception(
            "fixed seed",
            lambda m, v: m + std(v) * seeded_noise(m),
            "Two calls give the same noise: a seed is set inside the function. The caller sets it.",
            symptom=lambda f: f.repeats and abs(f.get("kurtosis") - 3) < 0.5,
        ),
    ),
)

SAMPLES, DIMENSIONS = 16, 60


def _pairs(mu: Tensor, log_var: Tensor) -> Callable[[Tensor], Tensor]:
    """Build f(z) = Σ_j sin(ω_j (z_a − z_b − mu_a + mu_b)) / ω_j over pairs of latents (a, b).

    ω_j² (σ_a² + σ_b²) = 4, so the gradient in mu_a is a mean of cos(2ε), of expectation exp(−2).
    """
    omega = 2 / log_var.exp().reshape(-1, 2).sum(1).sqrt()
    centre = mu[0::2] - mu[1::2]

    def f(z: Tensor) -> Tensor:
        return ((omega * (z[..., 0::2] - z[..., 1::2] - centre)).sin() / omega).sum(-1)

    return f


def _probe_gradient(call: Caller, findings: Findings, g: Generator) -> None:
    for D, K in ((1, 4), (3, 2), (4, 4)):
        mu, log_var = torch.randn(D, generator=g), torch.randn(D, generator=g)
        call((lambda z: (z**3).sum(-1), mu, log_var, K), (D,))
    mu = torch.linspace(-2.1, 2.6, DIMENSIONS)
    log_var = torch.linspace(-1.9, 1.1, DIMENSIONS)[torch.arange(DIMENSIONS) * 7 % DIMENSIONS]
    f = _pairs(mu, log_var)
    curved = []
    for k in range(24):
        curved.append(call((f, mu, log_var, SAMPLES), (DIMENSIONS,))[0].detach().double())
        if k == 3:
            findings.feature("rough", float(torch.stack(curved)[:, 0::2].mean()), 0.8)
    curved = torch.stack(curved)
    findings.repeats = bool((curved[0] - curved[1]).abs().max() < 1e-4)
    left, right = curved[:, 0::2], -curved[:, 1::2]
    for name, side in (("left", left), ("right", right)):
        p = mean_p(side.flatten() - math.exp(-2))
        text = (
            f"for an f that couples two latents the gradient is {float(side.mean()):.3g} on "
            f"average, and {math.exp(-2):.3g} is right"
        )
        findings.feature(f"curved {name}", float(side.mean()), 0.3)
        findings.test(f"curved {name}", p, text)
    scale = 0.5 + 0.01 * torch.arange(DIMENSIONS)
    linear = torch.stack(
        [
            call((lambda z: (0.5 * scale * z**2).sum(-1), mu, log_var, SAMPLES), (DIMENSIONS,))[0]
            .detach()
            .double()
            for _ in range(16)
        ]
    )
    wanted = (scale * mu).double()
    e = (linear - wanted) / (scale * std(log_var)).double() * math.sqrt(SAMPLES)  # N(0, 1)
    findings.test("mean", mean_p(e.flatten()), "the gradient of z² is wrong on average")
    # The slope on mu sees an error that the plain mean cancels over positive and negative mu.
    p = mean_p((e * mu.sign()).flatten())
    findings.test("slope", p, "the gradient of z² is wrong on average")
    p = upper_chi2_p(float(e.square().sum()), e.numel())
    noise = float(e.square().mean().sqrt())
    text = f"the estimate scatters {noise:.3g} times as much as {SAMPLES} samples allow"
    findings.test("scatter", p, text)
    findings.feature("slope", float((linear.mean(0) * wanted).sum() / wanted.square().sum()), 0.15)
    findings.feature("offset", float((linear.mean(0) - wanted).mean()), 0.15)
    scatter = (linear - linear.mean(0)).div(scale * std(log_var)).double() * math.sqrt(SAMPLES)
    findings.feature("log scatter", math.log(float(scatter.std()) + 1e-2), 0.35)
    findings.feature("shared", correlation(scatter[:, 0::2], scatter[:, 1::2]), 0.5)
    same = bool(linear.std(dim=1).max() < 1e-6) and bool(linear.any())
    findings.feature("same for all latents", float(same))


def _gradient(
    noise: Callable = torch.randn,
    scale: Callable = std,
    reduce: Callable = torch.mean,
    sign: float = 1.0,
    wrt: str = "mu",
) -> Callable:
    """Build a pathwise estimator from its parts; `noise(K, D)` draws ε."""

    def estimate(f: Callable, mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
        m = mu.detach().clone().requires_grad_()
        v = log_var.detach().clone().requires_grad_()
        z = m + scale(v) * noise(num_samples, m.numel())
        return sign * torch.autograd.grad(reduce(f(z)), m if wrt == "mu" else v)[0]

    return estimate


def _score_function(f: Callable, mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
    z = mu + std(log_var) * torch.randn(num_samples, mu.numel())
    return (f(z)[:, None] * (z - mu) / log_var.exp()).mean(0)


def _score_with_baseline(f: Callable, mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
    z = mu + std(log_var) * torch.randn(num_samples, mu.numel())
    value = f(z)
    value = (value - value.mean()) * num_samples / (num_samples - 1)
    return (value[:, None] * (z - mu) / log_var.exp()).mean(0)


def _detached(f: Callable, mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
    m = mu.detach().clone().requires_grad_()
    z = torch.distributions.Normal(m, std(log_var)).sample((num_samples,))
    return torch.autograd.grad(f(z).mean(), m)[0]


def _zero(f: Callable, mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
    m = mu.detach().clone().requires_grad_()
    z = torch.distributions.Normal(m, std(log_var)).sample((num_samples,))
    return torch.autograd.grad(f(z).mean() + 0 * m.sum(), m)[0]


def _detached_backward(f: Callable, mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
    m = mu.detach().clone().requires_grad_()
    z = torch.distributions.Normal(m, std(log_var)).sample((num_samples,))
    f(z).mean().backward()
    return m.grad


def _value(f: Callable, mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
    z = mu + std(log_var) * torch.randn(num_samples, mu.numel())
    return f(z).mean().expand(mu.shape)


GRADIENT_ESTIMATE = RandomExercise(
    name="gradient_estimate",
    number="2.2",
    parameters=("f", "mu", "log_var", "num_samples"),
    reference=_gradient(),
    probe=_probe_gradient,
    misconceptions=(
        RandomMisconception(
            "detached samples",
            (_detached, _zero, _detached_backward),
            "The samples are detached, so f(z) does not depend on mu for autograd: `sample()` "
            "cuts the path, `rsample()` or mu + σ·ε keeps it.",
        ),
        RandomMisconception(
            "score function",
            (_score_function, _score_with_baseline),
            "That is the score-function estimate. It is right on average, but scatters far more; "
            "here the gradient goes through z = mu + σ·ε into f.",
            symptom=lambda f: (
                f.get("log scatter") > math.log(8) and f.get("slope") < 10 and f.get("shared") < 0.5
            ),
        ),
        RandomMisconception(
            "one sample where num_samples were asked for",
            (
                _gradient(noise=lambda K, D: torch.randn(1, D)),
                _gradient(noise=lambda K, D: torch.randn(1, D).expand(K, D)),
                _gradient(reduce=lambda values: values[0]),
            ),
            "You use one sample; `num_samples` of them were asked for and averaged.",
        ),
        RandomMisconception(
            "sum over samples",
            _gradient(reduce=torch.sum),
            "You sum over the samples; an expectation is their mean.",
        ),
        RandomMisconception(
            "divided by the number of latents",
            (_gradient(reduce=lambda values: values.mean() / DIMENSIONS),),
            "You divide by the number of latents as well; only the samples are averaged.",
            symptom=lambda f: (
                abs(f.get("slope") - 1 / DIMENSIONS) < 1e-3 and f.get("log scatter") < -2
            ),
        ),
        RandomMisconception(
            "variance for standard deviation",
            _gradient(scale=torch.exp),
            "You multiply the noise by exp(log_var), the variance: σ = exp(log_var / 2).",
        ),
        RandomMisconception(
            "log_var taken for σ",
            _gradient(scale=lambda v: v),
            "You use `log_var` as σ. It is a logarithm: σ = exp(log_var / 2).",
        ),
        RandomMisconception(
            "σ forgotten",
            _gradient(scale=torch.ones_like),
            "The noise is not multiplied by σ.",
        ),
        RandomMisconception(
            "gradient at the mean",
            (
                _gradient(noise=torch.zeros),
                lambda f, m, v, K: torch.func.grad(lambda t: f(t[None])[0])(m),
            ),
            "You differentiate f at mu itself, without samples. E[f(z)] is not f(E[z]).",
        ),
        RandomMisconception(
            "ε shared between latents",
            _gradient(noise=lambda K, D: torch.randn(K, 1).expand(K, D)),
            "All latents get the same noise; each needs its own.",
            symptom=lambda f: f.get("shared") > 0.9 and 0.5 < f.get("slope") < 1.5,
        ),
        RandomMisconception(
            "uniform noise",
            (
                _gradient(noise=torch.rand),
                _gradient(noise=lambda K, D: 2 * torch.rand(K, D) - 1),
                _gradient(noise=lambda K, D: ROOT3 * (2 * torch.rand(K, D) - 1)),
            ),
            "The noise is uniform (`rand`); a Gaussian q needs normal noise (`randn`).",
        ),
        RandomMisconception(
            "gradient with respect to log_var",
            (_gradient(wrt="log_var"),),
            "That is the gradient with respect to `log_var`; it is asked for with respect to `mu`.",
        ),
        RandomMisconception(
            "sign",
            _gradient(sign=-1.0),
            "The sign is the wrong way round: the gradient of E[f(z)], not of − E[f(z)].",
        ),
        RandomMisconception(
            "value for gradient",
            _value,
            "You return the mean of f; its gradient is asked for.",
            symptom=lambda f: f.get("same for all latents") == 1,
        ),
        RandomMisconception(
            "NumPy's generator",
            _gradient(noise=numpy_noise),
            "The draws come from NumPy's generator.",
            symptom=lambda f: f.uses_numpy,
        ),
        RandomMisconception(
            "fixed seed",
            _gradient(noise=lambda K, D: seeded_noise(torch.empty(K, D))),
            "Two calls give the same estimate: a seed is set inside the function.",
            symptom=lambda f: (
                f.repeats and 0.5 < f.get("slope") < 1.5 and f.get("curved left") < 0.5
            ),
        ),
    ),
)


def reparameterise(answer: Callable) -> CheckResult:
    """Check exercise 2.1: `(mu, log_var) -> z`, a draw from q that carries gradients.

    With ε = (z − mu)/σ over 19,200 draws: Kolmogorov–Smirnov, mean (exact), sum of squares over
    all and per width (exact χ², at half the degrees of freedom so that antithetic pairs pass too),
    correlation between latents and between images. The gradients are compared exactly:
    ∂z/∂mu = 1 and ∂z/∂log_var = (z − mu)/2. False alarms: below 1e-6 a check (`_statistics`).

    Args:
        answer: the learner's function of two tensors of one shape.
    """
    return REPARAMETERISE.check(answer)


def gradient_estimate(answer: Callable) -> CheckResult:
    """Check exercise 2.2: `(f, mu, log_var, num_samples) -> (D,)`, a pathwise gradient.

    For a quadratic f the pathwise estimate is exactly normal with variance σ²/K: mean, and a
    one-sided χ² of the scatter (less is welcome: antithetic draws). For an f of coupled pairs its
    expectation is exp(−2), which a wrong noise, width or sharing changes: z-tests over 720
    independent estimates. False alarms: below 1e-6 a check (`_statistics`).

    Args:
        answer: the learner's function; f maps (K, D) to (K,).
    """
    return GRADIENT_ESTIMATE.check(answer)
