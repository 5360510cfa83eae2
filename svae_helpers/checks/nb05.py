"""Checks of notebook 05: the Monte Carlo estimate of KL(q ‖ p)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ._random import Caller, Findings, RandomExercise, RandomMisconception
from ._result import CheckResult
from ._statistics import mean_p, upper_chi2_p
from .nb02 import ROOT3, numpy_noise, seeded_noise, std
from .nb03 import kl_standard

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Prior:
    """log p(z) = log N(z; centre, width²) + a cos(ω (z − centre)), whose mean under q is known.

    The cosine makes it depend on the whole distribution of the noise, not on its variance alone.
    `width` None leaves the cosine alone. Not normalised, which no estimate notices.
    """

    centre: float
    width: float | None
    a: float = 0.0
    omega: float = 1.0

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p per latent, in z's shape."""
        value = self.a * (self.omega * (z - self.centre)).cos()
        if self.width is None:
            return value
        scaled = (z - self.centre) / self.width
        return value - 0.5 * scaled**2 - math.log(self.width) - 0.5 * LOG_2PI

    def expected(self, mu: Tensor, log_var: Tensor) -> Tensor:
        """E_q[log p(z)] per latent, in closed form."""
        damping = (-0.5 * self.omega**2 * log_var.exp()).exp()
        value = self.a * damping * (self.omega * (mu - self.centre)).cos()
        if self.width is None:
            return value
        square = ((mu - self.centre) ** 2 + log_var.exp()) / self.width**2
        return value - 0.5 * square - math.log(self.width) - 0.5 * LOG_2PI

    def kl(self, mu: Tensor, log_var: Tensor) -> Tensor:
        """KL(q ‖ p) per latent, (B, D), in nats."""
        return -0.5 * (1 + LOG_2PI + log_var) - self.expected(mu, log_var)


# In LINEAR q is as wide as p, so log q − log p is linear in ε with a slope δ near 2, and its
# variance δ² is known; the closed-form entropy adds ½. In WAVES mean and width are such that
# E[cos(2ε)] shows: e⁻² for normal noise, negative for uniform noise.
LINEAR = Prior(0.4, math.exp(-0.55))
GENERAL = Prior(0.4, 0.9, a=0.6, omega=2.3)
WAVES = Prior(0.3, None, a=2.0, omega=2 / math.exp(-0.35))


def posterior(kind: Prior, B: int, D: int) -> tuple[Tensor, Tensor]:
    """Return the fixed q on which an estimate is compared with its expectation, (B, D) each."""
    grid = torch.linspace(0, 1, B * D)[torch.arange(B * D) * 7 % (B * D)].reshape(B, D)
    if kind is LINEAR:
        return 0.4 + math.exp(-0.55) * (1.6 + 0.8 * grid), torch.full((B, D), -1.1)
    if kind is GENERAL:
        return 3 * grid - 1.4, -2.5 + 3.2 * grid.flip(0).roll(1, 1)
    return torch.full((B, D), 0.3), torch.full((B, D), -0.7)


SAMPLES = 16
B, D = 24, 6


def _probe(call: Caller, findings: Findings, g: Generator) -> None:
    for rows, latents, K in ((1, 4, 2), (5, 1, 4), (4, 4, 4), (3, 2, 6)):
        q = torch.randn(rows, latents, generator=g), torch.randn(rows, latents, generator=g)
        call((*q, GENERAL.log_prob, K), (rows,))
    _test_scatter(call, findings)
    _test_gradient(call, findings)
    q = posterior(WAVES, B, D)
    errors = _errors(call, WAVES, q, 20)
    findings.repeats = bool((errors[0] - errors[1]).abs().max() < 1e-5)
    text = f"at q = N(0.3, 0.7²) the estimate is {float(errors.mean()):+.3g} nats off on average"
    findings.test("noise", mean_p(errors.flatten(), floor=1e-4), text)
    findings.feature("noise", float(errors.mean()), 0.5)


def _errors(call: Caller, prior: Prior, q: tuple[Tensor, Tensor], calls: int) -> Tensor:
    """Return estimate − exact KL, (calls, B) in nats."""
    exact = prior.kl(*(t.double() for t in q)).sum(1)
    estimates = [call((*q, prior.log_prob, SAMPLES), (q[0].shape[0],))[0] for _ in range(calls)]
    return torch.stack(estimates).detach().double() - exact


def _test_scatter(call: Caller, findings: Findings) -> None:
    q = posterior(LINEAR, B, D)
    rough = _errors(call, LINEAR, q, 2)
    findings.feature("rough offset", float(rough.mean()), 3.0)
    errors = torch.cat([rough, _errors(call, LINEAR, q, 28)])
    offset = float(errors.mean())
    text = f"the estimate is {offset:+.3g} nats off on average"
    findings.test("mean", mean_p(errors.flatten(), floor=1e-4), text)
    findings.feature("offset", offset, 0.5)
    delta = (q[0] - LINEAR.centre) / LINEAR.width
    largest = ((delta**2 + 0.5).sum(1) / SAMPLES).double()  # variance, closed-form entropy or not
    e = errors / largest.sqrt()
    noise = float(e.square().mean().sqrt())
    text = f"the estimate scatters {noise:.3g} times as much as {SAMPLES} samples allow"
    findings.test("scatter", upper_chi2_p(float(e.square().sum()), e.numel()), text)
    together = e.mean(dim=1) * math.sqrt(B)
    text = "the estimates of different images err together: their noise is shared"
    findings.test("images", upper_chi2_p(float(together.square().sum()), together.numel()), text)
    scatter = e - e.mean(0)
    findings.feature("log scatter", math.log(float(scatter.std()) + 1e-2), 0.35)
    apart = float((scatter.mean(dim=1) * math.sqrt(B)).std() / (scatter.std() + 1e-9))
    findings.feature("shared by images", apart, 1.0)


def _test_gradient(call: Caller, findings: Findings) -> None:
    q = posterior(GENERAL, 20, 5)
    tensors = [t.double().requires_grad_() for t in q]
    exact = GENERAL.kl(*tensors).sum(1)
    wanted = torch.autograd.grad(exact.sum(), tensors)
    values, gradients = [], {"mu": [], "log_var": []}
    for _ in range(15):
        value, given = call((*q, GENERAL.log_prob, SAMPLES), (20,), ("mu", "log_var"))
        values.append(value.detach())
        for kept, found in zip(gradients.values(), differentiate(value, given)):
            kept.append(found)
    errors = torch.stack(values).double() - exact.detach()
    text = f"for a curved prior the estimate is {float(errors.mean()):+.3g} nats off on average"
    findings.test("general", mean_p(errors.flatten(), floor=1e-4), text)
    findings.feature("general", float(errors.mean()), 0.3)
    for (name, kept), want in zip(gradients.items(), wanted):
        note_gradient(findings, name, torch.stack(kept).double(), want)


def differentiate(value: Tensor, given: dict[str, Tensor]) -> list[Tensor]:
    """Return the gradients of the sum in mu and log_var; zeros where none arrives."""
    tensors = [given["mu"], given["log_var"]]
    if not value.requires_grad:
        return [torch.zeros_like(t) for t in tensors]
    found = torch.autograd.grad(value.sum(), tensors, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g.detach() for t, g in zip(tensors, found)]


def note_gradient(findings: Findings, name: str, found: Tensor, wanted: Tensor) -> None:
    """Compare the mean of (calls, B, D) gradients with the exact (B, D), projected on it."""
    size = wanted.square().sum(1).mean()
    share = (found * wanted).sum(2) / size  # (calls, B)
    errors = share - (wanted * wanted).sum(1) / size
    text = f"the gradient in `{name}` is {float(share.mean()):.3g} times the right one on average"
    findings.test(f"gradient {name}", mean_p(errors.flatten(), floor=1e-4), text)
    findings.feature(f"gradient {name}", float(share.mean()), 0.4)
    findings.feature(f"no gradient {name}", 3.0 * (not found.any()))
    if not found.any():
        findings.faults[f"gradients do not flow to {name}"] = f"No gradient reaches `{name}`."


def draw(mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
    """Reparameterised draws, (K, B, D)."""
    return mu + std(log_var) * torch.randn(num_samples, *mu.shape)


def log_normal(z: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    """log q(z), per latent."""
    return -0.5 * ((z - mu) ** 2 / log_var.exp() + log_var + LOG_2PI)


def _estimate(
    sampler: Callable = draw,
    integrand: Callable = lambda lq, lp: lq - lp,
    reduce: Callable = lambda t: t.mean(0).sum(-1),
    density: Callable = log_normal,
) -> Callable:
    """Build an estimator from how it draws, what it averages and how it reduces (K, B, D)."""

    def estimate(mu: Tensor, log_var: Tensor, log_prior: Callable, num_samples: int) -> Tensor:
        z = sampler(mu, log_var, num_samples)
        return reduce(integrand(density(z, mu, log_var), log_prior(z)))

    return estimate


def noise(make: Callable) -> Callable:
    """Build a sampler mu + σ·ε from `make(K, mu)`, which draws ε."""
    return lambda mu, log_var, K: mu + std(log_var) * make(K, mu)


def scaled(scale: Callable) -> Callable:
    """Build a sampler mu + scale(log_var)·ε."""
    return lambda mu, log_var, K: mu + scale(log_var) * torch.randn(K, *mu.shape)


def one_sample(findings: Findings) -> bool:
    """Right on average, scattered as one sample is: √16 times as much as allowed, or √18."""
    factor = findings.get("log scatter") - 0.5 * math.log(SAMPLES)
    calm = abs(findings.get("noise")) < 1 and findings.get("shared by images") < 2.5
    return abs(factor) < 0.25 and calm and abs(findings.get("gradient mu") - 1) < 0.5


UNIFORM = (
    noise(lambda K, m: torch.rand(K, *m.shape)),
    noise(lambda K, m: 2 * torch.rand(K, *m.shape) - 1),
    noise(lambda K, m: ROOT3 * (2 * torch.rand(K, *m.shape) - 1)),
)


def _reference(mu: Tensor, log_var: Tensor, log_prior: Callable, num_samples: int) -> Tensor:
    q = torch.distributions.Normal(mu, log_var.exp().sqrt())
    z = q.rsample((num_samples,))
    return (q.log_prob(z) - log_prior(z)).mean(0).sum(1)


MONTE_CARLO_KL = RandomExercise(
    name="monte_carlo_kl",
    number="5.1",
    parameters=("mu", "log_var", "log_prior", "num_samples"),
    reference=_reference,
    probe=_probe,
    misconceptions=(
        RandomMisconception(
            "NumPy's generator",
            _estimate(noise(lambda K, m: numpy_noise(K, *m.shape))),
            "The draws come from NumPy's generator.",
            symptom=lambda f: f.uses_numpy,
        ),
        RandomMisconception(
            "fixed seed",
            _estimate(noise(lambda K, m: seeded_noise(torch.empty(K, *m.shape)))),
            "Two calls give the same estimate: a seed is set inside the function.",
            symptom=lambda f: (
                f.repeats
                and abs(f.get("gradient mu") - 1) < 0.5
                and 1e-4 < abs(f.get("offset")) < 1
                and abs(f.get("noise")) < 1.5
            ),
        ),
        RandomMisconception(
            "ε shared between images",
            _estimate(noise(lambda K, m: torch.randn(K, 1, m.shape[1]))),
            "All images get the same noise; each needs its own.",
            symptom=lambda f: (
                f.get("shared by images") > 3
                and abs(f.get("noise")) < 1
                and f.get("log scatter") < 0.4
            ),
        ),
        RandomMisconception(
            "detached samples",
            (
                _estimate(lambda m, v, K: draw(m, v, K).detach()),
                _estimate(lambda m, v, K: draw(m, v, K).detach(), lambda lq, lp: lq - lp.detach()),
            ),
            "The values are right, but the samples are detached: log p(z) carries no gradient, "
            "and E[∇ log q] = 0, so the prior pulls nowhere. Use `rsample` or mu + σ·ε.",
        ),
        RandomMisconception(
            "prior detached",
            _estimate(integrand=lambda lq, lp: lq - lp.detach()),
            "The values are right, but log p(z) is detached: the prior never pulls on q.",
        ),
        RandomMisconception(
            "no gradient at all",
            _estimate(reduce=lambda t: t.mean(0).sum(-1).detach()),
            "The values are right, but detached as a whole: no gradient reaches q.",
        ),
        RandomMisconception(
            "mean over latents",
            _estimate(reduce=lambda t: t.mean(0).mean(-1)),
            "You average over the latents. Independent latents add their KLs: a mean is a "
            "hidden β of 1/D.",
        ),
        RandomMisconception(
            "batch averaged",
            (
                _estimate(reduce=lambda t: t.mean(0).sum(-1).mean()),
                _estimate(reduce=lambda t: t.mean()),
                _estimate(reduce=lambda t: t.mean(0).sum()),
                _estimate(reduce=lambda t: t.sum()),
            ),
            "You reduce the batch to one number; the answer has one per image, shape (B,).",
        ),
        RandomMisconception(
            "latents not summed",
            _estimate(reduce=lambda t: t.mean(0)),
            "You return one number per latent; sum over the last axis.",
        ),
        RandomMisconception(
            "samples not averaged",
            _estimate(reduce=lambda t: t.sum(-1)),
            "You return one number per sample; average over the first axis.",
        ),
        RandomMisconception(
            "sum over samples",
            _estimate(reduce=lambda t: t.sum(0).sum(-1)),
            "You sum over the samples; an expectation is their mean.",
        ),
        RandomMisconception(
            "sign",
            _estimate(integrand=lambda lq, lp: lp - lq),
            "The sign is the wrong way round: log q(z) − log p(z), drawn from q.",
        ),
        RandomMisconception(
            "log q added",
            _estimate(integrand=lambda lq, lp: -lq - lp),
            "log q(z) has the wrong sign: the KL's integrand is log q(z) − log p(z).",
        ),
        RandomMisconception(
            "log q forgotten",
            _estimate(integrand=lambda lq, lp: -lp),
            "log q(z) is missing: that is the cross-entropy, not the KL.",
        ),
        RandomMisconception(
            "log p forgotten",
            _estimate(integrand=lambda lq, lp: lq + 0 * lp),
            "log p(z) is missing: that is minus the entropy, not the KL.",
        ),
        RandomMisconception(
            "log q without its normaliser",
            (
                _estimate(density=lambda z, m, v: -0.5 * (z - m) ** 2 / v.exp()),
                _estimate(density=lambda z, m, v: -0.5 * ((z - m) ** 2 / v.exp() + v)),
                _estimate(density=lambda z, m, v: -0.5 * ((z - m) ** 2 / v.exp() + LOG_2PI)),
            ),
            "log q lacks − log σ − ½ log(2π), or a part of it.",
        ),
        RandomMisconception(
            "one sample where num_samples were asked for",
            (
                _estimate(lambda m, v, K: draw(m, v, 1)),
                _estimate(lambda m, v, K: draw(m, v, 1).expand(K, *m.shape)),
            ),
            "You use one sample; `num_samples` of them were asked for and averaged.",
            symptom=one_sample,
        ),
        RandomMisconception(
            "ε shared between latents",
            _estimate(noise(lambda K, m: torch.randn(K, m.shape[0], 1))),
            "All latents of an image get the same noise; each needs its own.",
        ),
        RandomMisconception(
            "variance for standard deviation",
            _estimate(scaled(torch.exp)),
            "You multiply the noise by exp(log_var), the variance: σ = exp(log_var / 2).",
        ),
        RandomMisconception(
            "log_var taken for log σ",
            _estimate(scaled(torch.exp), density=lambda z, m, v: log_normal(z, m, 2 * v)),
            "You use a q whose standard deviation is exp(log_var): σ = exp(log_var / 2).",
        ),
        RandomMisconception(
            "log q with the wrong width",
            (
                _estimate(density=lambda z, m, v: log_normal(z, m, 2 * v)),
                _estimate(density=lambda z, m, v: log_normal(z, m, 0.5 * v)),
            ),
            "The draws have the right width, but log q is taken with another one: "
            "`Normal` wants σ = exp(log_var / 2).",
        ),
        RandomMisconception(
            "σ forgotten",
            _estimate(scaled(torch.ones_like)),
            "The noise is not multiplied by σ.",
        ),
        RandomMisconception(
            "uniform noise",
            tuple(_estimate(sampler) for sampler in UNIFORM),
            "The noise is uniform (`rand`); a Gaussian q needs normal noise (`randn`).",
        ),
        RandomMisconception(
            "evaluated at the mean",
            (
                _estimate(lambda m, v, K: m[None].expand(K, *m.shape)),
                lambda m, v, log_prior, K: (-0.5 * (1 + LOG_2PI + v) - log_prior(m)).sum(1),
            ),
            "You take the integrand at mu, without samples. E[log p(z)] is not log p(E[z]).",
        ),
        RandomMisconception(
            "KL to N(0, I)",
            lambda m, v, log_prior, K: kl_standard(m, v).sum(1),
            "That is the KL to N(0, I); the prior here is `log_prior`.",
        ),
        RandomMisconception(
            "log of mean for mean of logs",
            _estimate(reduce=lambda t: t.sum(-1).logsumexp(0) - math.log(t.shape[0])),
            "You average exp(log q − log p) and take the logarithm; the KL is the mean of "
            "log q − log p.",
        ),
    ),
)


def monte_carlo_kl(answer: Callable) -> CheckResult:
    """Check exercise 5.1: `(mu, log_var, log_prior, num_samples) -> (B,)`, in nats.

    z-tests of the estimate against closed forms for three priors and of its gradients in mu and
    log_var (300 to 720 independent estimates each); one-sided χ² tests of the scatter of single
    estimates and of batch means, so that antithetic draws and a closed-form entropy pass.
    False alarms: below 1e-6 a check (`_statistics`).

    Args:
        answer: the learner's function; `log_prior(z)` gives log p per latent, in z's shape.
    """
    return MONTE_CARLO_KL.check(answer)
