"""Check of notebook 02: a reparameterised sample that carries gradients."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .estimates import differentiate
from .mathematics import std, uniform
from .mistakes import mistake as M
from .random_exercise import Caller, Findings, random_exercise
from .statistics import FAMILY, chi2_p, independence_p, ks_p, normal_p, twins

CALLS, ROWS, LATENTS = 32, 100, 8
CENTRE = torch.tensor([-2.7, 1.3, 0.4, 3.1, -0.8, 1.9, -1.6, 2.2])
LOG_VAR = torch.tensor([-2.6, 1.7, -0.9, 0.8, -8.0, 1.2, -5.2, 0.5])


def _probe(call: Caller, seen: Findings, g: Generator) -> None:
    for shape in ((1, 1), (4, 1), (1, 6), (5,), (3, 4)):
        call.extreme = "" if len(shape) == 2 else None  # are these images, or latents?
        call(torch.randn(shape, generator=g), torch.randn(shape, generator=g))
    mu, log_var = CENTRE.expand(ROWS, LATENTS), LOG_VAR.expand(ROWS, LATENTS)
    call(mu, 0.1 * log_var)
    call.extreme = "log_var"
    e = (call.times(CALLS, mu, log_var) - mu) / std(log_var)  # standard normal where z is right
    _compare_gradients(call, seen)
    _test_noise(e, seen)


def _test_noise(e: Tensor, seen: Findings) -> None:
    n = e.numel()
    text = "(z − mu) / σ does not have a normal distribution"
    seen.test("shape", ks_p(torch.special.ndtr(e)), text)
    seen.test("mean", normal_p(float(e.sum()) / math.sqrt(n)), "z is not centred on mu")
    largest = float(torch.special.erf(e.abs().max() / math.sqrt(2))) ** n
    seen.test("largest", largest, f"of {n} numbers of noise none lies farther out than those here")
    spread = chi2_p(float(e.square().sum()), n)
    seen.test("spread", spread, f"z varies {float(e.std()):.3g} times as much as σ says")
    for d in range(LATENTS):
        p = chi2_p(float(e[..., d].square().sum()), n / LATENTS)
        text = f"at log σ² = {LOG_VAR[d]:.2g} the spread of z does not follow exp(log_var / 2)"
        seen.test(f"spread {d}", p, text)
    _test_shape(e, seen)
    alike, e = twins(e), e / (e.square().mean().sqrt() + 1e-9)
    for name in sorted(alike):
        seen.fault(f"ε shared between {name}", f"Some (or all) {name} have the same noise.")
    for axis, name in ((1, "images"), (2, "latents")):
        sums = e.sum(axis) / math.sqrt(e.shape[axis])  # what is shared adds up or cancels in them
        text = f"the noise of one of the {name} tells the noise of another"
        seen.test(f"sums of {name}", chi2_p(float(sums.square().sum()), sums.numel()), text)
        seen.test(name, independence_p(*(e.unfold(axis, 2, 2).unbind(-1))), text)


def _test_shape(e: Tensor, seen: Findings) -> None:
    """Whether the noise is normal in each latent, but for its mean and width, the same in all."""
    widths = e.std((0, 1))
    normal = ks_p(torch.special.ndtr((e - e.mean((0, 1))) / widths))
    if normal < FAMILY:
        seen.fault("noise not normal", "The noise has another distribution than N(0, 1).")
    elif widths.max() < 1.1 * widths.min() and abs(float(widths.log().mean())) > 0.05:
        text = f"The standard deviation of your noise is {float(widths.mean()):.3g}."
        seen.fault("noise too wide or too narrow", text)


def _compare_gradients(call: Caller, seen: Findings) -> None:
    """A sample mu + σ·ε has ∂z/∂mu = 1 and ∂z/∂log_var = (z − mu) / 2, whatever ε was."""
    mu = torch.linspace(-2, 2.6, 20).reshape(5, 4)
    log_var = torch.linspace(-6, 1.5, 20).flip(0).reshape(5, 4)
    z, given = call(mu, log_var, gradients=("mu", "log_var"))
    wanted = (torch.ones_like(mu), 0.5 * (z.detach() - mu))
    for name, got, want in zip(given, differentiate(z, *given.values()), wanted):
        right = torch.allclose(got, want.to(got), rtol=1e-3, atol=1e-4)
        if not got.any() and not right:
            text = f"No gradient reaches `{name}`: `sample()`, `.detach()` and NumPy cut it."
            seen.fault(f"gradients do not flow to {name}", text)
        elif not right:
            seen.fault(f"gradient {name}", f"The gradient that reaches `{name}` is wrong.")


@random_exercise("2.1", _probe, ["mu", "log_var"])
def reparameterise(mu: Tensor, log_var: Tensor) -> Tensor:
    """`(mu, log_var) -> z`, a draw from q that carries gradients.

    With ε = (z − mu)/σ over 25,600 draws: Kolmogorov–Smirnov, mean (exact), sum of squares over
    all and per width, sums over latents and over images (χ², exact), correlation of neighbours,
    and no two numbers of noise that are the same in every call. The gradients are compared exactly.
    """
    return torch.distributions.Normal(mu, log_var.exp().sqrt()).rsample().to(mu)


def _scaled(width: Callable, noise: Callable = torch.randn) -> Callable:
    """Build a sample mu + width(log_var)·ε, with ε from `noise(*shape)`."""
    return lambda m, v: m + width(v) * noise(*m.shape)


def _noise(make: Callable) -> Callable:
    """Build a sample mu + σ·ε, with ε from `make(*shape)`."""
    return _scaled(std, make)


reparameterise.mistakes(
    ("one ε for everything", _noise(lambda *shape: torch.randn(()))),
    ("ε shared between images", _noise(lambda *s: torch.randn(s[-1]))),
    ("ε shared between latents", _noise(lambda B, *s: torch.randn(B, 1))),
    ("variance for standard deviation", _scaled(torch.exp)),
    ("softplus for exp", *(_scaled(lambda v, a=a: F.softplus(v) ** a) for a in (0.5, 1))),
    ("another base", *(_scaled(lambda v, b=b: b ** (0.5 * v)) for b in (2, 10))),
    ("log_var taken for σ", _scaled(lambda v: v), _scaled(torch.sqrt), _scaled(lambda v: 0.5 * v)),
    ("root taken twice", _scaled(lambda v: (0.25 * v).exp())),
    ("sign of log_var", _scaled(lambda v: (-0.5 * v).exp()), _scaled(lambda v: (-v).exp())),
    M("clamped σ", _scaled(lambda v: std(v.clamp(min=-3))), extreme="log_var"),
    ("σ forgotten", _scaled(torch.ones_like)),
    ("mean forgotten", lambda m, v: std(v) * torch.randn_like(m)),
    ("mean scaled too", lambda m, v: std(v) * (m + torch.randn_like(m))),
    ("noise multiplied by the mean", lambda m, v: m * (1 + std(v) * torch.randn_like(m))),
    ("noise multiplied by the mean", lambda m, v: m * torch.randn_like(m) + std(v)),
    ("no noise", lambda m, v: m + 0 * v),
    ("σ for noise", lambda m, v: m + std(v)),
    (
        "uniform noise, and variance for standard deviation",
        *(_scaled(torch.exp, noise) for noise in (torch.rand, uniform)),
    ),
    ("uniform noise", _noise(torch.rand), _noise(uniform)),
    ("uniform noise", *(_noise(lambda *s, k=k: k * (torch.rand(*s) - 0.5)) for k in (1, 2))),
    ("positive noise only", _noise(lambda *shape: torch.randn(*shape).abs())),
    ("arguments swapped", lambda m, v: v + std(m) * torch.randn_like(m)),
    ("detached sample", lambda m, v: (m + std(v) * torch.randn_like(m)).detach()),
    ("detached σ", _scaled(lambda v: std(v).detach())),
    ("detached mean", lambda m, v: m.detach() + std(v) * torch.randn_like(m)),
    ("noise too wide or too narrow", _scaled(lambda v: 0.8 * std(v))),
    ("noise not normal", _noise(lambda *shape: torch.randn(*shape) ** 2)),
    ("noise not normal", _noise(lambda *shape: 2 * torch.rand(*shape).round() - 1)),
)
