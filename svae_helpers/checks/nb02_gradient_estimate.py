"""Check of notebook 02: the pathwise gradient of an expectation, from samples."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from .estimates import centred, detached, draw, drawn
from .mathematics import std, uniform
from .random_exercise import Caller, Findings, random_exercise
from .statistics import chi2_p, mean_p

SAMPLES, DIMENSIONS, CALLS = 16, 60, 24
MU = torch.linspace(-2.1, 2.6, DIMENSIONS)
LOG_VAR = torch.linspace(-1.9, 1.1, DIMENSIONS)[torch.arange(DIMENSIONS) * 7 % DIMENSIONS]
SCALE = 0.5 + 0.01 * torch.arange(DIMENSIONS)


def _coupled(z: Tensor) -> Tensor:
    """f(z) = Σ_j sin(ω_j (z_a − z_b − mu_a + mu_b)) / ω_j over pairs of latents (a, b).

    ω_j² (σ_a² + σ_b²) = 4, so the gradient in mu_a is a mean of cos(2ε), of expectation exp(−2).
    """
    omega = 2 / LOG_VAR.exp().reshape(-1, 2).sum(1).sqrt()
    centre = MU[0::2] - MU[1::2]
    return ((omega * (z[..., 0::2] - z[..., 1::2] - centre)).sin() / omega).sum(-1)


def _probe(call: Caller, seen: Findings, g: Generator) -> None:
    for D, K in ((1, 4), (3, 1), (4, 4)):
        mu, log_var = torch.randn(D, generator=g), torch.randn(D, generator=g)
        call(lambda z: (z**3).sum(-1), mu, log_var, K)
    curved = call.times(CALLS, _coupled, MU, LOG_VAR, SAMPLES)
    left, right = curved[:, 0::2], -curved[:, 1::2]
    linear = call.times(CALLS, lambda z: (0.5 * SCALE * z**2).sum(-1), MU, LOG_VAR, 2)
    wanted = (SCALE * MU).double()
    e = (linear - wanted) / (SCALE * std(LOG_VAR)).double() * math.sqrt(2)  # N(0, 1)
    mu = MU[-2:]  # so few latents that even a score function shows what it is on average
    few = call.times(CALLS, lambda z: (z - mu).sum(-1), mu, LOG_VAR[-2:], 64).mean(1)
    seen.test("few latents", mean_p(few - 1), f"for a sum it is {few.mean():.3g} on average, not 1")
    for side in (left, right):
        text = f"for an f that couples two latents it is {side.mean():.3g} on average, not 0.135"
        seen.test(f"curved {len(seen.tests)}", mean_p(side.flatten() - math.exp(-2)), text)
    text = "the gradient of z² is wrong on average"
    seen.test("mean", mean_p(e.flatten()), text)
    # The slope on mu sees an error that the plain mean cancels over positive and negative mu.
    seen.test("slope", mean_p((e * MU.sign()).flatten()), text)
    for name, part in ("", e), (" where σ is small", e[:, LOG_VAR < -0.4]):
        text = (
            f"it scatters {part.square().mean().sqrt():.3g} times as much as 2 independent samples"
        )
        seen.test(f"scatter{name}", chi2_p(float(part.square().sum()), part.numel()), text + name)
    _test_manners(call, seen)


def _test_manners(call: Caller, seen: Findings) -> None:
    """The caller's tensors stay as they are, whether they need gradients or not."""
    arguments = (lambda z: (z**2).sum(-1), MU[:3], LOG_VAR[:3], 4)
    too = ", too" * bool(seen.failed)  # known mistakes of these names are right on average
    answer, given = call(*arguments, gradients=("mu", "log_var"))
    if changed := [name for name, tensor in given.items() if tensor.grad is not None]:
        text = f"The caller's `{changed[0]}.grad` has changed."
        seen.fault(f"caller's gradient changed{too}", text)
    if answer.requires_grad:
        text = "Your answer hangs on a graph; plain values are asked for."
        seen.fault(f"graph attached{too}", text)
    call(*arguments)
    if changed := [name for name, tensor in call.given.items() if tensor.requires_grad]:
        text = f"The caller's `{changed[0]}` now needs gradients."
        seen.fault(f"caller's tensor changed{too}", text)


def _own(mu: Tensor) -> Tensor:
    return mu.detach().clone().requires_grad_()


def _gradient(draws=draw, reduce=torch.mean, leaf=_own, wrt: int = 0) -> Callable:
    """Build a pathwise estimator from its parts; `wrt` is 1 for the gradient in log_var."""

    def estimate(f: Callable, mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
        m, v = leaf(mu), log_var.detach().clone().requires_grad_(wrt == 1)
        return torch.autograd.grad(reduce(f(draws(m, v, num_samples))), (m, v)[wrt])[0]

    return estimate


@random_exercise("2.2", _probe)
def gradient_estimate(f: Callable, mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
    """`(f, mu, log_var, num_samples) -> (D,)`, a pathwise gradient; f maps (K, D) to (K,).

    For a quadratic f the estimate from K = 2 is exactly normal with variance σ²/K: mean, and a χ²
    test that K − 1, 10·K or mirrored draws fail. For an f of coupled pairs it is exp(−2) on
    average, which a wrong noise, width or sharing changes: z-tests of 720 estimates.
    """
    return _gradient()(f, mu, log_var, num_samples)


def _by_backward(leaf: Callable, log_var_too: bool = False) -> Callable:
    """Build one that reads the gradient from the leaf."""

    def estimate(f: Callable, mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor | None:
        m, v = leaf(mu), log_var if log_var_too else log_var.detach()
        f(draw(m, v, num_samples)).mean().backward()
        return m.grad

    return estimate


def _score_function(f: Callable, mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
    mu, log_var = mu.detach(), log_var.detach()
    z = draw(mu, log_var, num_samples)
    return (f(z)[:, None] * (z - mu) / log_var.exp()).mean(0)


def _with_baseline(f: Callable, *arguments: Tensor | int) -> Tensor:
    def less(z: Tensor) -> Tensor:
        return (f(z) - f(z).mean()) * len(z) / max(len(z) - 1, 1)

    return _score_function(less, *arguments)


def _mirrored(K: int, D: int) -> Tensor:
    half = torch.randn((K + 1) // 2, D)
    return torch.cat([half, -half])[:K]


def _with_graph(f: Callable, mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
    return _gradient()(f, mu, log_var, num_samples) + 0 * _own(mu)


gradient_estimate.mistakes(
    ("mu needs a gradient of its own", _gradient(leaf=lambda mu: mu)),
    ("copied, but not detached", _by_backward(lambda mu: mu.clone().requires_grad_())),
    ("caller's gradient changed", _by_backward(lambda mu: mu.requires_grad_())),
    ("caller's gradient changed", _by_backward(_own, log_var_too=True)),
    ("caller's tensor changed", _gradient(leaf=lambda mu: mu.requires_grad_())),
    ("graph attached", _with_graph),
    ("detached samples", _gradient(detached)),
    ("detached samples", _gradient(lambda m, v, K: detached(m, v, K) + 0 * m)),
    ("score function", _score_function),
    ("score function with a baseline", _with_baseline),
    (
        "pathwise and score-function gradients added",
        lambda *a: _gradient()(*a) + _score_function(*a),
    ),
    ("one gradient for all latents", lambda f, m, *a: _gradient()(f, m, *a).sum().expand(len(m))),
    ("f of the mean draw", _gradient(lambda *a: draw(*a).mean(0, keepdim=True))),
    ("noise centred over the draws", _gradient(drawn(noise=centred))),
    ("one sample where num_samples were asked for", _gradient(lambda m, v, K: draw(m, v, 1))),
    ("one sample where num_samples were asked for", _gradient(lambda *a: draw(*a)[-1:])),
    ("more draws than asked for", _gradient(lambda m, v, K: draw(m, v, 10 * K))),
    ("more draws than asked for", _gradient(lambda m, v, K: draw(m, v, K + 1))),
    ("mirrored draws", _gradient(drawn(noise=_mirrored))),
    ("sum over samples", _gradient(reduce=torch.sum)),
    ("divided by K twice", _gradient(reduce=lambda values: values.mean() / len(values))),
    ("variance for standard deviation", _gradient(drawn(scale=torch.exp))),
    ("log_var taken for σ", _gradient(drawn(scale=lambda v: v))),
    ("σ forgotten", _gradient(drawn(scale=torch.ones_like))),
    ("gradient at the mean", _gradient(drawn(noise=torch.zeros))),
    ("ε shared between latents", _gradient(drawn(noise=lambda K, D: torch.randn(K, 1)))),
    ("uniform noise", _gradient(drawn(noise=torch.rand)), _gradient(drawn(noise=uniform))),
    ("uniform noise", _gradient(drawn(noise=lambda K, D: 2 * torch.rand(K, D) - 1))),
    ("gradient with respect to log_var", _gradient(wrt=1)),
    ("gradient with respect to σ", lambda f, m, v, K: _gradient(wrt=1)(f, m, v, K) * 2 / std(v)),
    ("gradient in ε for one in mu", lambda f, m, v, K: _gradient()(f, m, v, K) * std(v)),
    ("sign", _gradient(reduce=lambda values: -values.mean())),
)
