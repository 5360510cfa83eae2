"""The hidden tests of the assignment sparse_vae: what each part asks, and which mistakes it names.

Never handed out. `make grade` runs them in the judge's process (judging.py), with the course's
public engine: `TESTS`, at the end, lists the parts of each graded cell.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.distributions import Laplace, Normal

from svae_helpers import (
    VAE,
    SpikeAndSlab,
    checks,
    elbo_terms,
    kl_monte_carlo,
    load_mnist,
    slab_count,
)
from svae_helpers.checks import Case, CheckResult, exercise, inspection, question, random_exercise
from svae_helpers.checks import mistake as M
from svae_helpers.checks.statistics import chi2_p, mean_p

# Task 1: the log-density.

READY_MADE = (
    "svae_helpers.spike_and_slab:SpikeAndSlab.log_prob",
    "svae_helpers.spike_and_slab:SpikeAndSlab._log_joint",
    "torch.distributions.mixture_same_family:MixtureSameFamily.log_prob",
)


def right_log_prob(z: Tensor, p: float, v: float, b: float) -> Tensor:
    log_spike = -0.5 * z**2 / v - 0.5 * math.log(2 * math.pi * v)
    log_slab = -z.abs() / b - math.log(2 * b)
    return torch.logaddexp(math.log(p) + log_spike, math.log(1 - p) + log_slab)


def densities(z: Tensor, p: float, v: float, b: float) -> tuple[Tensor, Tensor]:
    return p * Normal(0.0, v**0.5).log_prob(z).exp(), (1 - p) * Laplace(0.0, b).log_prob(z).exp()


def log_densities(z: Tensor, v: float, b: float) -> tuple[Tensor, Tensor]:
    return Normal(0.0, v**0.5).log_prob(z), Laplace(0.0, b).log_prob(z)


def lost_half(z: Tensor, p: float, v: float, b: float) -> Tensor:
    log_spike, log_slab = log_densities(z, v, b)
    return torch.logaddexp(log_spike + math.log(p), log_slab + math.log(2 * (1 - p)))


def sum_of_logs(z: Tensor, p: float, v: float, b: float) -> Tensor:
    log_spike, log_slab = log_densities(z, v, b)
    return p * log_spike + (1 - p) * log_slab


def gaussian_slab(z: Tensor, p: float, v: float, b: float) -> Tensor:
    return SpikeAndSlab.gaussian(p, v, b**2, validate_args=False).log_prob(z)


DENSITY_MISTAKES = (
    M(
        "spike and slab swapped",
        lambda z, p, v, b: right_log_prob(z, 1 - p, v, b),
        "spike_prob is the probability that a latent is off: it weighs the spike.",
    ),
    M(
        "spike_var used as a standard deviation",
        lambda z, p, v, b: right_log_prob(z, p, v**2, b),
        "spike_var is a variance; the spike's standard deviation is its root.",
    ),
    M(
        "slab_scale taken for a variance",
        lambda z, p, v, b: right_log_prob(z, p, v, math.sqrt(b / 2)),
        "slab_scale is b itself, and the slab's variance is 2 b².",
    ),
    M(
        "slab_scale taken for a standard deviation",
        lambda z, p, v, b: right_log_prob(z, p, v, b / math.sqrt(2)),
        "slab_scale is b itself; a Laplace density of scale b has the standard deviation b √2.",
    ),
    M(
        "slab_scale taken for a rate",
        lambda z, p, v, b: right_log_prob(z, p, v, 1 / b),
        "slab_scale is b, and the distance from 0 is divided by it.",
    ),
    M(
        "Gaussian slab",
        gaussian_slab,
        "the slab here is Laplace: its exponent is linear in the distance from 0.",
    ),
    M("lost ½", lost_half, "the Laplace density is divided by 2b, not by b: it has two sides."),
    M(
        "weights forgotten",
        lambda z, p, v, b: right_log_prob(z, 0.5, v, b) + math.log(2),
        "the two components are weighted with spike_prob and 1 − spike_prob.",
    ),
    M(
        "sum of logs for log of sum",
        sum_of_logs,
        "a mixture adds densities; the logarithm is last.",
    ),
    M(
        "logarithm forgotten",
        lambda z, p, v, b: right_log_prob(z, p, v, b).exp(),
        "the density itself is returned; its logarithm is wanted.",
    ),
    M(
        "latents summed",
        lambda z, p, v, b: right_log_prob(z, p, v, b).sum(dim=-1),
        "the answer has the shape of z: one log-density for each latent.",
    ),
    M(
        "underflow in the tails",
        lambda z, p, v, b: sum(densities(z, p, v, b)).log(),
        "far out both densities are 0: add them as logarithms.",
        extreme="z",
    ),
    M(
        "gradients do not flow",
        lambda z, p, v, b: right_log_prob(z.detach(), p, v, b),
        "stay in torch from z to the result.",
    ),
)


def ordinary(g: Generator) -> Iterator[Case]:
    for shape, numbers in (
        ((8, 10), (0.8, 0.05, 0.7)),
        ((6,), (0.6, 0.2, 1.3)),
        ((2, 1, 3), (0.9, 0.01, 2.0)),
    ):
        z = torch.randn(shape, generator=g)
        yield Case((torch.where(z > 0, 0.3 * z - 0.01, 3 * z - 0.01), *numbers))


def far(g: Generator) -> Iterator[Case]:
    yield from ordinary(g)
    yield Case((torch.tensor([-300.0, 40.0, 120.0]), 0.8, 0.05, 0.5), extreme="z")


def density(cases: Callable, gradients: tuple = ()) -> Callable:
    """A part of task 1: cases, without the mixtures that the answer is to replace."""

    @exercise("1", cases, gradients=gradients)
    def log_prob(z: Tensor, spike_prob: float, spike_var: float, slab_scale: float) -> Tensor:
        """The log-density of a latent with a Gaussian spike and a Laplace slab, in z's shape."""
        return right_log_prob(z, spike_prob, spike_var, slab_scale)

    log_prob.mistakes(*DENSITY_MISTAKES)

    def judge(student: Any) -> CheckResult:
        with student.without(*READY_MADE):
            result = log_prob(student["log_prob"])
        if student.ready_made:
            text = "✗ 1 build the density from its two components."
            result = CheckResult("failed", text, "ready-made mixture")
        return result

    return judge


# Task 2: the estimate, its gradients, its standard error.

HEAVY = SpikeAndSlab(Normal(0.0, 0.05**0.5), Laplace(0.0, 0.5**0.5), 0.8)
GRID = torch.linspace(-9, 9, 12_001, dtype=torch.float64)[:, None, None]


def exact_kl(mu: Tensor, sigma: Tensor) -> Tensor:
    """By a fine grid, in float64: (B, D)."""
    q = Normal(mu.double(), sigma.double())
    terms = q.log_prob(GRID).exp() * (q.log_prob(GRID) - HEAVY.log_prob(GRID))
    return torch.trapezoid(terms, GRID, dim=0)


def posterior(B: int, D: int) -> tuple[Tensor, Tensor]:
    """One q for each image and latent, wide and narrow: (B, D) each."""
    places = torch.linspace(0, 1, B * D)[torch.arange(B * D) * 7 % (B * D)].reshape(B, D)
    return 2.6 * places - 1.6, 0.25 + 0.5 * places.flip(0).roll(1, 1)


class Recorder:
    """A prior that notes where it is asked."""

    def __init__(self):
        self.drawn: list[Tensor] = []

    def log_prob(self, z: Tensor) -> Tensor:
        self.drawn.append(z.detach())
        return HEAVY.log_prob(z)


def look_at_draws(call: Callable, seen: Any, B: int, D: int, K: int) -> Tensor | None:
    """The ε of 2K draws, (2K, B, D); None, and a fault, where they are no K pairs."""
    (mu, sigma), prior = posterior(B, D), Recorder()
    call(mu, sigma, prior.log_prob, K)  # the first call runs a right answer too
    prior.drawn.clear()
    call(mu, sigma, prior.log_prob, K)
    if any(z.shape[-2:] != (B, D) for z in prior.drawn):
        shapes = " and ".join({str(tuple(z.shape)) for z in prior.drawn})
        seen.fault("shape of draws", f"log_prior is given the shape {shapes}, not (…, B, D).")
        return None
    draws = [z.reshape(-1, B, D) for z in prior.drawn]
    z = torch.cat([torch.empty(0, B, D), *draws])
    if len(z) != 2 * K:
        seen.fault("number of draws", f"{len(z)} draws for {K} pairs; a pair has 2.")
        return None
    if not torch.allclose(z.mean(dim=0), mu, atol=1e-4):
        seen.fault("independent draws", "The draws do not average to μ, as those of pairs do.")
    return (z - mu) / sigma


def examine_estimate(call: Callable, seen: Any, g: Generator) -> None:
    for B, D, K in ((2, 3, 4), (1, 2, 2), (3, 1, 7)):
        look_at_draws(call, seen, B, D, K)
    several = [look_at_draws(call, seen, 4, 5, 8) for _ in range(6)]
    if all(epsilon is not None for epsilon in several):
        epsilon = several[0]
        if torch.allclose(epsilon[:, 0], epsilon[:, 1], atol=1e-3):
            seen.fault("ε shared between images", "All images have the same ε.")
        if torch.allclose(epsilon[..., 0], epsilon[..., 1], atol=1e-3):
            seen.fault("ε shared between latents", "All latents have the same ε.")
        if torch.allclose(epsilon.abs(), epsilon[0].abs(), atol=1e-3):
            seen.fault("ε shared between pairs", "All pairs have the same ε.")
        squares = torch.stack(several).double().square() / 2  # both of a pair have the same
        text = f"ε has the standard deviation {float(epsilon.std()):.3g}"
        seen.test("width", chi2_p(float(squares.sum()), 6 * 8 * 20), text)
    mu, sigma = posterior(10, 3)
    values = [call(mu, sigma, HEAVY.log_prob, 6)[0].detach().double() for _ in range(60)]
    seen.repeated(values[0], values[1])
    if not (seen.uses_torch or seen.repeats):
        seen.fault("another generator", "torch's generator is left as it was.")
    errors = torch.stack(values) - exact_kl(mu, sigma)
    text = f"on average the estimate is {float(errors.mean()):+.3f} nats off"
    seen.test("estimate", mean_p(errors.flatten(), floor=1e-4), text)


def examine_gradients(call: Callable, seen: Any, g: Generator) -> None:
    mu, sigma = (t.requires_grad_() for t in posterior(20, 3))
    wanted = torch.autograd.grad(exact_kl(mu, sigma).sum(), [mu, sigma])
    found: dict[str, list[Tensor]] = {"mu": [], "sigma": []}
    values = []
    for _ in range(16):
        value, given = call(
            mu.detach(), sigma.detach(), HEAVY.log_prob, 50, gradients=("mu", "sigma")
        )
        values.append(value[0].detach().double().flatten())
        tensors = [given[name] for name in found]
        slopes = [None, None]
        if value[0].requires_grad:
            slopes = torch.autograd.grad(value[0].sum(), tensors, allow_unused=True)
        for kept, slope, t in zip(found.values(), slopes, tensors):
            kept.append(torch.zeros_like(t) if slope is None else slope)
    seen.repeated(values[0], values[1])
    for (name, kept), want in zip(found.items(), wanted):
        errors = torch.stack(kept).double() - want
        if not torch.stack(kept).any():
            seen.fault(f"gradients do not flow to {name}", f"No gradient reaches `{name}`.")
        text = f"the gradient in `{name}` is {float(errors.mean()):+.3f} off on average"
        seen.test(f"gradient {name}", mean_p(errors.flatten(), floor=1e-3), text)


def examine_error(call: Callable, seen: Any, g: Generator) -> None:
    mu, sigma = posterior(16, 3)
    for K, calls in ((12, 60), (4, 90)):
        answers = [call(mu, sigma, HEAVY.log_prob, K) for _ in range(calls)]
        kl, error = (torch.stack(part).detach().double() for part in zip(*answers))
        seen.repeated(kl[0], kl[1])
        spread = (kl - kl.mean(0)).square() * calls / (calls - 1)
        ratio = float(error.square().mean() / (spread.mean() + 1e-12))
        text = f"squared, the standard error of {K} pairs is {ratio:.2g} times the variance"
        seen.test(f"standard error {K}", mean_p((error**2 - spread).flatten(), floor=1e-5), text)


def pairs(
    noise: Callable = lambda K, mu: torch.randn(K, *mu.shape),
    second: Callable = lambda epsilon: -epsilon,
    width: Callable = lambda sigma: sigma,
    ratio: Callable = lambda lq, lp: lq - lp,
    error: Callable = lambda a, b: ((a + b) / 2).std(0) / math.sqrt(len(a)),
    value: Callable = lambda mean: mean.mean(0),
    draw: Callable = lambda z: z,
) -> Callable:
    """Put an estimator together; without arguments it is the right one."""

    def answer(mu: Tensor, sigma: Tensor, log_prior: Callable, num_pairs: int) -> tuple:
        epsilon, q = noise(num_pairs, mu), Normal(mu, sigma)
        draws = [draw(mu + width(sigma) * e) for e in (epsilon, second(epsilon))]
        a, b = (ratio(q.log_prob(z), log_prior(z)) for z in draws)
        return value((a + b) / 2), error(a, b)

    return answer


def together(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([a, b])


def one_sided(mu: Tensor, sigma: Tensor, log_prior: Callable, num_pairs: int) -> tuple:
    z = mu + sigma * torch.randn(num_pairs, *mu.shape)
    terms = Normal(mu, sigma).log_prob(z) - log_prior(z)
    return terms.mean(0), terms.std(0) / math.sqrt(num_pairs)


def as_if_of(K: int) -> Callable:
    return lambda a, b: ((a + b) / 2).std(0) / math.sqrt(K)


def of_its_own(K: int, mu: Tensor) -> Tensor:
    generator = Generator()
    generator.seed()
    return torch.randn(K, *mu.shape, generator=generator)


DRAW_MISTAKES = (  # the estimate alone is worse for them
    M(
        "independent draws",
        pairs(second=torch.randn_like),
        "each ε comes with both signs, so the draws average to μ.",
    ),
    M("one draw a pair", one_sided, "a pair has two draws, μ + σε and μ − σε: 2K in all."),
    M(
        "half the pairs",
        lambda m, s, p, K: pairs()(m, s, p, max(K // 2, 2)),
        lambda m, s, p, K: pairs(error=as_if_of(K))(m, s, p, max(K // 2, 2)),
        "num_pairs counts pairs, not draws: 2K draws in all.",
    ),
    M(
        "ε shared between images",
        pairs(lambda K, m: torch.randn(K, 1, m.shape[1]).expand(K, *m.shape)),
        "every image and every latent has its own ε.",
    ),
    M(
        "ε shared between latents",
        pairs(lambda K, m: torch.randn(K, m.shape[0], 1).expand(K, *m.shape)),
        "every image and every latent has its own ε.",
    ),
    M(
        "another generator",
        pairs(of_its_own),
        "draw from torch's global generator, which `seed_everything` sets: none of your own.",
    ),
)
VALUE_MISTAKES = (  # the estimate is another, and so are its gradients
    M(
        "wrong width",
        pairs(width=torch.square),
        pairs(width=torch.sqrt),
        pairs(width=torch.ones_like),
        "the draws are μ ± σε, and sigma is σ itself: no square, no root, no exponential.",
    ),
    M(
        "uniform noise",
        pairs(lambda K, m: torch.rand(K, *m.shape)),
        pairs(lambda K, m: 2 * torch.rand(K, *m.shape) - 1),
        "ε is drawn from N(0, 1): torch.randn, not torch.rand.",
    ),
    M("KL subtracted", pairs(ratio=lambda q, p: p - q), "KL(q ‖ p) is the mean of log q − log p."),
    M("log q forgotten", pairs(ratio=lambda q, p: -p), "the integrand is log q − log p."),
    M("log p forgotten", pairs(ratio=lambda q, p: q + 0 * p), "the integrand is log q − log p."),
    M("pairs not averaged", pairs(value=lambda t: t.sum(0)), "average over the K pairs."),
    M("the two of a pair added", pairs(ratio=lambda q, p: 2 * (q - p)), "average a pair's two."),
)
SHARED_MISTAKES = (
    M(
        "ε shared between pairs",
        pairs(lambda K, m: torch.randn(1, *m.shape).expand(K, *m.shape)),
        "every pair has its own ε.",
    ),
    M(
        "latents summed",
        pairs(value=lambda t: t.mean(0).sum(-1)),
        "both parts have the shape of mu, (B, D): nothing is summed over latents.",
    ),
    M("estimate alone", lambda *a: pairs()(*a)[0], "return two tensors: estimate, standard error."),
)
GRADIENT_MISTAKES = (
    M(
        "gradients do not flow",
        pairs(value=lambda t: t.mean(0).detach()),
        "the answer is cut off from μ and σ: `.detach()`, `.item()` and `torch.no_grad()` do that.",
    ),
    M(
        "detached draws",
        pairs(draw=lambda z: z.detach()),
        "the draws are cut off from μ and σ: z = μ ± σε carries gradients.",
    ),
    M(
        "log p detached",
        pairs(ratio=lambda q, p: q - p.detach()),
        "log p is cut off, so the prior does not pull.",
    ),
    M("log q detached", pairs(ratio=lambda q, p: q.detach() - p), "log q is cut off."),
)
ERROR_MISTAKES = (
    M(
        "spread for standard error",
        pairs(error=lambda a, b: ((a + b) / 2).std(0)),
        pairs(error=lambda a, b: together(a, b).std(0)),
        "the standard error of a mean falls as 1/√K.",
    ),
    M(
        "draws taken for independent",
        pairs(error=lambda a, b: together(a, b).std(0) / math.sqrt(2 * len(a))),
        pairs(error=lambda a, b: together(a, b).std(0) / math.sqrt(len(a))),
        "the 2K draws are no 2K independent ones: average each pair first.",
    ),
    M(
        "divided by the root of 2K",
        pairs(error=lambda a, b: ((a + b) / 2).std(0) / math.sqrt(2 * len(a))),
        "K means of pairs are averaged: divide by √K.",
    ),
    M(
        "variance for standard error",
        pairs(error=lambda a, b: ((a + b) / 2).var(0) / len(a)),
        "that is the estimate's variance; the standard error is its root.",
    ),
    M(
        "divided by K",
        pairs(error=lambda a, b: ((a + b) / 2).std(0) / len(a)),
        "a standard deviation falls as 1/√K, not as 1/K.",
    ),
    M(
        "K for K − 1",
        pairs(error=lambda a, b: ((a + b) / 2).std(0, unbiased=False) / math.sqrt(len(a))),
        "the squared standard error is too small by (K − 1)/K: take the unbiased variance.",
    ),
    M(
        "error of one draw",
        pairs(error=lambda a, b: a.std(0) / math.sqrt(len(a))),
        "the standard error is that of the pairs' means, not of one of the two draws.",
    ),
)


def estimator(probe: Callable, *mistakes: Any, gradients: tuple = ()) -> Callable:
    """The check of a part of task 2; the mistakes are those that the part refuses."""

    @random_exercise("2", probe, gradients)
    def antithetic_kl(mu: Tensor, sigma: Tensor, log_prior: Callable, num_pairs: int) -> tuple:
        """KL(q ‖ p) per latent from antithetic pairs: (estimate, standard error), (B, D) each."""
        return pairs()(mu, sigma, log_prior, num_pairs)

    antithetic_kl.mistakes(*mistakes)
    return antithetic_kl


ESTIMATE = estimator(examine_estimate, *SHARED_MISTAKES, *DRAW_MISTAKES, *VALUE_MISTAKES)
GRADIENTS = estimator(
    examine_gradients,
    *GRADIENT_MISTAKES,
    *SHARED_MISTAKES[1:],
    *VALUE_MISTAKES,
    gradients=("mu", "sigma"),
)
ERROR = estimator(examine_error, *ERROR_MISTAKES, *SHARED_MISTAKES)


# Task 3: the model, its active latents, and the prior's own number.

OFF, SPIKE_VAR, SLAB_SCALE, LATENTS, HIDDEN = 0.8, 0.05, math.sqrt(0.5), 16, 200


def count_read_off(mu, spike_prob, spike_var, slab_scale):
    """Runs in the submission's process: a VAE whose encoder reads the means off the pixels."""
    import torch
    from torch.distributions import Laplace, Normal

    from svae_helpers import VAE, SpikeAndSlab

    class ReadOff(torch.nn.Module):
        def forward(self, x):
            means = 20 * x[:, : mu.shape[1]] - 10
            return means, torch.full_like(means, -2.0)

    prior = SpikeAndSlab(Normal(0.0, spike_var**0.5), Laplace(0.0, slab_scale), spike_prob)
    model = VAE(mu.shape[1], prior=prior, encoder=ReadOff(), hidden_dim=8)
    images = torch.full((len(mu), 784), 0.5)
    images[:, : mu.shape[1]] = (mu + 10) / 20
    return active_latents(model, images)  # the submission's


def describe_training(images, seed):
    """Runs in the submission's process: what it trains, as plain numbers."""
    import torch

    model = train_laplace_vae(images, seed)  # noqa: F821  the submission's
    if not isinstance(model, torch.nn.Module):
        return "nothing" if model is None else f"a {type(model).__name__}"
    prior = getattr(model, "prior", None)
    spike, slab = getattr(prior, "spike", None), getattr(prior, "slab", None)
    numbers = {
        "spike_prob": getattr(prior, "spike_prob", None),
        "variance of the spike": getattr(spike, "variance", None),
        "variance of the slab": getattr(slab, "variance", None),
    }
    return {
        "kinds": [type(thing).__name__ for thing in (model, prior, spike, slab)],
        "numbers": {k: v if v is None else torch.as_tensor(v) for k, v in numbers.items()},
        "sizes": [getattr(model, "latent_dim", 0), getattr(model, "hidden_dim", 0)],
        "weights": {k: v.detach() for k, v in model.state_dict().items()},
    }


def log_odds(z: Tensor, p: float, v: float, b: float) -> Tensor:
    """log of slab over spike, weights included; positive where a latent is active."""
    log_spike, log_slab = log_densities(z, v, b)
    return log_slab + math.log(1 - p) - log_spike - math.log(p)


def count_cases(g: Generator) -> Iterator[Case]:
    for B, D, p, v, b in (
        (30, 16, 0.8, 0.05, 0.7),
        (20, 9, 0.6, 0.01, 1.0),
        (1, 12, 0.9, 0.1, 2.0),
    ):
        z = (b * torch.randn(B, D, generator=g)).clamp(-9, 9)
        near = log_odds(z, p, v, b).abs() < 0.02
        yield Case((torch.where(near, z + 0.1 * z.sign(), z), p, v, b))


@exercise("3", count_cases, unit="latents")
def active_latents(mu: Tensor, spike_prob: float, spike_var: float, slab_scale: float) -> Tensor:
    """How many latents of each image are active, for known means and priors."""
    return (log_odds(mu, spike_prob, spike_var, slab_scale) > 0).sum(dim=1)


active_latents.mistakes(
    (
        "threshold at 0",
        lambda mu, p, v, b: (mu != 0).sum(dim=1),
        lambda mu, p, v, b: (mu > 0).sum(dim=1),
        "the spike has a width; compare the slab's responsibility with ½.",
    ),
    (
        "inactive counted",
        lambda mu, p, v, b: (log_odds(mu, p, v, b) <= 0).sum(dim=1),
        "you count the latents that are off.",
    ),
    (
        "Gaussian crossover",
        lambda mu, p, v, b: slab_count(mu, SpikeAndSlab.gaussian(p, v, 2 * b**2, False)),
        "that threshold belongs to a Gaussian slab; use the model's own prior.",
    ),
    (
        "expected count",
        lambda mu, p, v, b: log_odds(mu, p, v, b).sigmoid().sum(dim=1),
        "you add up responsibilities; count those above ½.",
    ),
    (
        "fraction for count",
        lambda mu, p, v, b: (log_odds(mu, p, v, b) > 0).float().mean(dim=1),
        "that is the share of the active latents; their number is wanted.",
    ),
    (
        "averaged over images",
        lambda mu, p, v, b: (log_odds(mu, p, v, b) > 0).sum(dim=1).float().mean(),
        "the answer has one number for each image, shape (N,).",
    ),
    (
        "counted over images",
        lambda mu, p, v, b: (log_odds(mu, p, v, b) > 0).sum(dim=0),
        "the answer has one number for each image, shape (N,), not one for each latent.",
    ),
    (
        "absolute value forgotten",
        lambda mu, p, v, b: ((log_odds(mu, p, v, b) > 0) & (mu > 0)).sum(dim=1),
        "a latent far below 0 is active too.",
    ),
    (
        "latents not summed",
        lambda mu, p, v, b: log_odds(mu, p, v, b) > 0,
        "add them up over the latents of each image.",
    ),
)


def count(student: Any) -> CheckResult:
    return active_latents(student.define(count_read_off, "active_latents"))


@inspection("3")
def laplace_prior(seen: Any, train: Callable, about: Callable) -> str:
    """The model's prior."""
    found = described(seen, about)
    _, prior, _, slab = found["kinds"]
    if prior != "SpikeAndSlab":
        seen.fault("prior", f"the model's prior is to be a SpikeAndSlab, not a {prior}.")
    if slab != "Laplace":
        seen.fault("slab", f"the slab is to be Laplace, not {slab}.")
    for name, wanted in (
        ("spike_prob", OFF),
        ("variance of the spike", SPIKE_VAR),
        ("variance of the slab", 2 * SLAB_SCALE**2),
    ):
        value = found["numbers"][name].double()
        if not torch.allclose(value, torch.tensor(wanted).double(), atol=1e-4):
            seen.fault(name, f"Yours is {float(value.flatten()[0]):.4g}; wanted {wanted:.4g}.")
    return "The prior is right."


@inspection("3")
def training(seen: Any, train: Callable, about: Callable) -> str:
    """The model's size, and what it has learned."""
    found, (_, test) = described(seen, about), load_mnist(binarise="static")
    if found["sizes"] != [LATENTS, HIDDEN]:
        latents, hidden = found["sizes"]
        seen.fault("size", f"{latents} latents and {hidden} hidden units; wanted 16 and 200.")
    prior = SpikeAndSlab(Normal(0.0, SPIKE_VAR**0.5), Laplace(0.0, SLAB_SCALE), OFF)
    model = VAE(LATENTS, prior=prior, hidden_dim=HIDDEN)
    if model.load_state_dict(found["weights"], strict=False).missing_keys:
        seen.fault("model", "train the course's VAE, with its own encoder and decoder.")
    with torch.no_grad():
        elbo = float(elbo_terms(model, test.images, kl_monte_carlo).elbo.mean())
    if not -175 < elbo < -145:
        seen.fault("training", f"Yours is {elbo:.0f} nats. Are it all images, and 5 epochs?")
    return f"The ELBO on test digits is {elbo:.0f} nats."


@inspection("3")
def seeds(seen: Any, train: Callable, describe: Callable) -> str:
    """What the seed decides."""
    images = load_mnist(binarise="static")[0].images[:256]
    runs = [seen.call(describe, images, seed)["weights"] for seed in (5, 5, 6)]
    first, again, other = (torch.cat([t.flatten() for t in run.values()]) for run in runs)
    if not torch.equal(first, again):
        seen.fault("seed", "Two runs with one seed differ.")
    if torch.equal(first, other):
        seen.fault("seed ignored")
    return "One seed gives one model, another gives another."


def described(seen: Any, about: Callable) -> dict:
    found = seen.call(about)
    if not isinstance(found, dict):
        seen.fault("model", f"return the trained model, not {found}.")
    if None in found["numbers"].values():
        seen.fault(
            "prior", f"the model's prior is to be a SpikeAndSlab, not a {found['kinds'][1]}."
        )
    return found


laplace_prior.mistakes(
    {
        "spike_prob": "spike_prob is the probability that a latent is off, 0.8.",
        "variance of the spike": "its variance is to be 0.05; Normal takes its root.",
        "variance of the slab": "its variance 2b² is to be 1.",
    }
)
training.mistakes({"training": "the ELBO on test digits is to be from −175 to −145 nats."})
seeds.mistakes(
    {
        "seed": "seed_everything(seed) comes before the model, and fit gets seed=seed.",
        "seed ignored": "another seed gives the same model: is the seed a fixed number?",
    }
)


def trained(check: Callable, once: bool = True) -> Callable:
    """A part of task 3 about the training; the large one is done once for all parts."""

    def judge(student: Any) -> CheckResult:
        mine = student["train_laplace_vae"]
        describe = student.define(describe_training, "train_laplace_vae")

        def about() -> Any:
            if "training" not in student.kept:
                images = load_mnist(binarise="static")[0].images
                try:
                    student.kept["training"] = describe(images, 4)
                except BaseException as error:
                    student.kept["training"] = error
            found = student.kept["training"]
            if isinstance(found, BaseException):
                raise found
            return found

        return check(mine, about if once else describe)

    return judge


def beyond(z: float) -> tuple[float, float]:
    """P(|z| larger) for the spike and for the slab of task 3."""
    return math.erfc(z / math.sqrt(2 * SPIKE_VAR)), math.exp(-z / SLAB_SCALE)


def crossover() -> float:
    z = torch.linspace(0, 3, 300_001, dtype=torch.float64)
    return float(z[int((log_odds(z, OFF, SPIKE_VAR, SLAB_SCALE) < 0).sum())])


@question("3", distance=0.05, unit="latents")
def prior_active() -> float:
    """How many of 16 latents, drawn from the prior, have a slab responsibility above ½."""
    spike, slab = beyond(crossover())
    return LATENTS * (OFF * spike + (1 - OFF) * slab)


prior_active.mistakes(
    (
        "slab latents",
        lambda: LATENTS * (1 - OFF),
        "that many are drawn from the slab; not all of these land where the slab is likelier.",
    ),
    (
        "spike latents forgotten",
        lambda: LATENTS * (1 - OFF) * beyond(crossover())[1],
        "some latents of the spike land past the crossover too.",
    ),
    (
        "Gaussian slab",
        lambda: (
            LATENTS
            * (
                OFF * math.erfc(GAUSSIAN / math.sqrt(2 * SPIKE_VAR))
                + (1 - OFF) * math.erfc(GAUSSIAN / math.sqrt(2))
            )
        ),
        "that is the number of a Gaussian slab of variance 1.",
    ),
    ("one latent's", lambda: prior_active.right() / LATENTS, "that is for one latent; times 16."),
    ("latents that are off", lambda: LATENTS - prior_active.right(), "that many are off."),
)
GAUSSIAN = float(SpikeAndSlab.gaussian(OFF, SPIKE_VAR).crossover)

# Task 4: four faults, one part each.

FAULTS = {
    "batch": "the cross-entropy is summed over the batch beside a KL that is averaged",
    "posterior": "q's standard deviation is exp(log_var / 2)",
    "spike": "spike_var is a variance, and Normal takes a standard deviation",
    "detached": "log p(z) sees a detached z, so the prior does not pull (no value shows it)",
}
CHOICES = [[f for i, f in enumerate(FAULTS) if number >> i & 1] for number in range(16)]


def loss_with(faults: list[str]) -> Callable:
    """The loss with a choice of the faults left in."""

    def loss(logits, x, mu, log_var, z, spike_prob, spike_var):
        cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        width = (log_var if "posterior" in faults else 0.5 * log_var).exp()
        code = z.detach() if "detached" in faults else z
        prior = SpikeAndSlab.gaussian(spike_prob, spike_var ** (2 if "spike" in faults else 1))
        total = cross_entropy if "batch" in faults else cross_entropy / len(x)
        kl = Normal(mu, width).log_prob(z) - prior.log_prob(code)
        return total + kl.sum(dim=-1).mean()

    return loss


def value_and_gradients(loss: Callable, arguments: tuple) -> Tensor:
    """The loss and its gradients in logits, mu, log_var and z, side by side."""
    tensors = [t.detach().clone().requires_grad_() for t in arguments[:5]]
    value = loss(*tensors, *arguments[5:])
    tensors.pop(1)  # x
    slopes = [None] * 4
    if value.requires_grad:
        slopes = torch.autograd.grad(value, tensors, allow_unused=True)
    slopes = [torch.zeros_like(t) if s is None else s for t, s in zip(tensors, slopes)]
    return torch.cat([value.detach().reshape(1), *(s.flatten() for s in slopes)]).double()


def left_in(faults: list[str]) -> str:
    return f"left in: {', '.join(faults)}"


@inspection("4")
def mended_loss(seen: Any, loss: Callable) -> str:
    """The loss without its four faults."""
    matches = CHOICES
    for B, P, D, p, v in ((5, 7, 3, 0.8, 0.05), (3, 4, 6, 0.6, 0.3)):
        mu, log_var = torch.randn(B, D), torch.randn(B, D)
        z = mu + (0.5 * log_var).exp() * torch.randn(B, D)
        arguments = (torch.randn(B, P), torch.rand(B, P).round(), mu, log_var, z, p, v)

        def mine(*arguments: Any) -> Tensor:
            return seen.call(loss, *arguments, like=torch.tensor(0.0))

        found = value_and_gradients(mine, arguments)
        matches = [
            faults
            for faults in matches
            if torch.allclose(found, value_and_gradients(loss_with(faults), arguments), 1e-3, 1e-3)
        ]
    if matches and matches[0]:
        seen.fault(left_in(matches[0]))
    if not matches:
        other = checks.sparse_vae_loss(loss)  # the course's check knows other mistakes
        text = other.message.split(" ", 2)[2]
        seen.fault(other.misconception or "another fault", text)
    return "All four faults are mended."


mended_loss.mistakes({left_in(f): "; ".join(FAULTS[name] for name in f) + "." for f in CHOICES[1:]})


def mended(fault: str) -> Callable:
    """A part of task 4: this fault is not left in."""

    def judge(student: Any) -> CheckResult:
        with student.without("svae_helpers.checks.nb06_sparse_vae_loss:sparse_vae_loss._formula"):
            result = mended_loss(student["mended_loss"])
        if student.ready_made:
            text = "✗ 4 write the loss; the check's own is not to be called."
            return CheckResult("failed", text, "ready-made loss")
        named = result.misconception or ""
        if named.startswith("left in: ") and fault not in named.removeprefix("left in: "):
            return CheckResult("passed", f"✓ 4 {fault}: mended.")
        return result

    return judge


TESTS = {
    "task-1-tests": [
        (1.5, "ordinary z", density(ordinary)),
        (1, "z far out", density(far)),
        (0.5, "gradients", density(ordinary, ("z",))),
    ],
    "task-2-tests": [
        (1.5, "the estimate", lambda student: ESTIMATE(student["antithetic_kl"])),
        (1, "its gradients", lambda student: GRADIENTS(student["antithetic_kl"])),
        (1.5, "its standard error", lambda student: ERROR(student["antithetic_kl"])),
    ],
    "task-3-tests": [
        (1, "the prior", trained(laplace_prior)),
        (0.5, "training", trained(training)),
        (0.5, "the seed", trained(seeds, once=False)),
        (1, "active latents", count),
        (1, "the prior's own number", lambda student: prior_active(student.value("prior_active"))),
    ],
    "task-4-tests": [(0.75, fault, mended(fault)) for fault in FAULTS],
}
