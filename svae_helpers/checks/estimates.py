"""What the checks of Monte Carlo KLs share: priors with closed forms, and estimators of parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from .mathematics import LOG_2PI, bce, log_q, log_q_terms, std, uniform
from .mistakes import Terms
from .mistakes import mistake as M
from .random_exercise import Caller, Findings
from .statistics import mean_p, twins, upper_chi2_p


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
        off = z - self.centre
        return self._value(off**2, (self.omega * off).cos())

    def expected(self, mu: Tensor, log_var: Tensor) -> Tensor:
        """E_q[log p(z)] per latent, in closed form."""
        off, damping = mu - self.centre, (-0.5 * self.omega**2 * log_var.exp()).exp()
        return self._value(off**2 + log_var.exp(), damping * (self.omega * off).cos())

    def _value(self, square: Tensor, cosine: Tensor) -> Tensor:
        if self.width is None:
            return self.a * cosine
        normaliser = math.log(self.width) + 0.5 * LOG_2PI
        return self.a * cosine - 0.5 * square / self.width**2 - normaliser

    def kl(self, mu: Tensor, log_var: Tensor) -> Tensor:
        """KL(q ‖ p) per latent, (B, D), in nats."""
        return -0.5 * (1 + LOG_2PI + log_var) - self.expected(mu, log_var)


# In LINEAR q is as wide as p, so log q − log p is linear in ε with a slope δ near 2, and its
# variance δ² is known; the closed-form entropy adds ½. In WAVES E[cos(2ε)] shows: e⁻² for normal
# noise, negative for uniform noise. NARROW has widths as trained models have them.
LINEAR = Prior(0.4, math.exp(-0.55))
GENERAL = Prior(0.4, 0.9, a=0.6, omega=2.3)
WAVES = Prior(0.3, None, a=2.0, omega=2 / math.exp(-0.35))
NARROW = Prior(-0.2, 1.1)


def posterior(kind: Prior, B: int, D: int) -> tuple[Tensor, Tensor]:
    """Return the fixed q on which an estimate is compared with its expectation, (B, D) each."""
    grid = torch.linspace(0, 1, B * D)[torch.arange(B * D) * 7 % (B * D)].reshape(B, D)
    if kind is LINEAR:
        return 0.4 + math.exp(-0.55) * (1.6 + 0.8 * grid), torch.full((B, D), -1.1)
    if kind is WAVES:
        return torch.full((B, D), 0.3), torch.full((B, D), -0.7)
    widths = grid.flip(0).roll(1, 1)
    return 3 * grid - 1.4, -2.5 + 3.2 * widths if kind is GENERAL else -8 + 4 * widths


def probe_kl(call: Caller, seen: Findings, B: int, D: int, K: int, pixels: tuple = ()) -> None:
    """Examine a Monte Carlo KL, or a loss with one: `call(*pixels, mu, log_var, log_prior, K)`.

    Given pixels, the answer is the mean over the images of cross-entropy plus KL. Its values are
    compared with closed forms under four priors (z-tests), its scatter with that of K independent
    draws (one-sided χ², which antithetic draws pass), and its gradients with exact ones.
    """
    mean = (lambda t: t.mean(0, keepdim=True)) if pixels else (lambda t: t)
    base = bce(*(t.double() for t in pixels)).sum(1) if pixels else torch.zeros(B)
    images = B if pixels else 1  # how many of them one number averages

    def exact(prior: Prior, q: Sequence[Tensor]) -> Tensor:
        return mean(prior.kl(*q).sum(1) + base)

    def errors(prior: Prior, calls: int, K: int = K, log_prior: Callable | None = None) -> Tensor:
        q, call.extreme = posterior(prior, B, D), "log_var" if prior is NARROW else ""
        found = call.times(calls, *pixels, *q, log_prior or prior.log_prob, K)
        call.extreme = ""
        return found.reshape(calls, -1) - exact(prior, [t.double() for t in q])

    def note(name: str, found: Tensor, where: str) -> None:
        text = f"{where} it is {found.mean():+.3g} nats off on average"
        seen.test(name, mean_p(found.flatten(), floor=1e-4), text)

    def note_scatter(name: str, e: Tensor, text: str) -> None:
        seen.test(name, upper_chi2_p(float(e.square().sum()), e.numel()), text)

    errors(LINEAR, 2)  # a right answer of this shape is called too, before draws are watched
    kept: list[Tensor] = []

    def watched(z: Tensor) -> Tensor:
        kept.append(z.detach().clone())
        return WAVES.log_prob(z)

    note("waves", errors(WAVES, 24, K, watched), "at q = N(0.3, 0.7²)")
    _note_draws(seen, kept, *posterior(WAVES, B, D), 24 * K)
    note("curved of 2", errors(WAVES, 24, 2), "with 2 draws at q = N(0.3, 0.7²)")
    values, found, wanted = _gradients(call, GENERAL, exact, (B, D, K), 16, pixels)
    note("general", values, "for a curved prior")
    for name, got, want in zip(("mu", "log_var"), found, wanted):
        _note_gradient(seen, name, images * got, images * want)
    note("log_var", errors(NARROW, 24), "for log σ² from −8 to −4")
    _, (got, _), (want, _) = _gradients(call, LINEAR, exact, (B, D, 2), 8, pixels)
    # Pathwise, a draw's gradient in mu is (z − centre)/width², of standard deviation 1/width.
    e = images * (got - want) * LINEAR.width * math.sqrt(2)  # of two draws, so that one shows
    text = f"the gradient scatters {_size(e):.3g} times as much as one that goes through the draws"
    note_scatter("scatter of gradients", e, text)
    delta = (posterior(LINEAR, B, D)[0] - LINEAR.centre) / LINEAR.width
    largest = mean((delta**2 + 0.5).sum(1).double()) / images  # variance, whatever the entropy
    for k, runs in ((K, 48), (2, 160)) if pixels else ((K, 24), (2, 24)):
        found = errors(LINEAR, runs, k)
        note(f"errors of {k}", found, f"with {k} draws")
        e = found / (largest / k).sqrt()
        text = f"it scatters {_size(e):.3g} times as much as {k} draws an image allow"
        note_scatter(f"scatter of {k}", e, text)
        if not pixels:
            text = "the estimates of different images err together: their noise is shared"
            note_scatter(f"images of {k}", e.mean(dim=1) * math.sqrt(B), text)


def _note_draws(seen: Findings, kept: list[Tensor], mu: Tensor, log_var: Tensor, K: int) -> None:
    """Note what is certain of the draws, where log p is asked for z of shape (…, B, D) only."""
    if seen.repeats or not kept or any(z.shape[-2:] != mu.shape for z in kept):
        return
    try:
        e = torch.cat([(z - mu).reshape(-1, *mu.shape) for z in kept]) / std(log_var)
    except RuntimeError:  # z from inside a `torch.vmap` cannot be looked at
        return
    if (different := len(e[:, 0, 0].unique())) < 0.98 * K:
        text = f"log p is asked for {different} different draws of a latent where {K} are due."
        seen.fault("not num_samples draws", text)
    for name in sorted(twins(e)):
        text = f"Some (or all) {name} have the same noise, or its mirror image."
        seen.fault(f"ε shared between {name}", text)


def _size(e: Tensor) -> float:
    return float(e.square().mean().sqrt())


def differentiate(value: Tensor, *tensors: Tensor) -> list[Tensor]:
    """Return the gradients of the sum; zeros where none arrives."""
    total = value.sum() + sum(0 * t.sum() for t in tensors)
    return [g.detach() for g in torch.autograd.grad(total, tensors)]


def _gradients(
    call: Caller, prior: Prior, exact: Callable, sizes: tuple, calls: int, pixels: tuple
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Errors of the values, (calls, …), and gradients in mu and log_var: found and exact ones."""
    B, D, K = sizes
    q = posterior(prior, B, D)
    tensors = [t.double().requires_grad_() for t in q]
    right = exact(prior, tensors)
    wanted = torch.autograd.grad(right.sum(), tensors)
    values, found = [], []
    for _ in range(calls):
        value, given = call(*pixels, *q, prior.log_prob, K, gradients=("mu", "log_var"))
        values.append(value.detach().reshape(-1).double() - right.detach())
        found.append([g.double() for g in differentiate(value, given["mu"], given["log_var"])])
    return torch.stack(values), [torch.stack(kept) for kept in zip(*found)], list(wanted)


def _note_gradient(seen: Findings, name: str, found: Tensor, wanted: Tensor) -> None:
    """Compare the mean of (calls, B, D) gradients with the exact (B, D), projected on it."""
    size = wanted.square().sum(1).mean()
    share = (found * wanted).sum(2) / size  # (calls, B)
    errors = share - (wanted * wanted).sum(1) / size
    if not found.any():
        seen.fault(f"gradients do not flow to {name}", f"No gradient reaches `{name}`.")
    text = f"the gradient in `{name}` is {share.mean():.3g} times the right one on average"
    seen.test(f"gradient {name}", mean_p(errors.flatten(), floor=1e-4), text)


def draw(mu, log_var, num_samples: int, scale: Callable = std, noise: Callable = torch.randn):
    """Reparameterised draws, (K, B, D), with `noise(*shape)` times `scale(log_var)`."""
    return mu + scale(log_var) * noise(num_samples, *mu.shape)


def drawn(**parts: Callable) -> Callable:
    """Draws with another `scale` or `noise`."""
    return partial(draw, **parts)


def centred(K: int, *shape: int) -> Tensor:
    """Noise whose mean over the draws is 0."""
    e = torch.randn(K, *shape)
    return e - e.mean(0) if K > 1 else e


def detached(mu: Tensor, log_var: Tensor, num_samples: int) -> Tensor:
    """Draws that carry no gradient."""
    return draw(mu, log_var, num_samples).detach()


def log_ratio(sampler=draw, integrand=torch.sub, density=log_q, at=lambda z, mu: z) -> Callable:
    """Build log q − log p at K draws, (K, B, D), from how it draws and what it compares, where."""

    def estimate(mu: Tensor, log_var: Tensor, log_prior: Callable, num_samples: int) -> Tensor:
        z = sampler(mu, log_var, num_samples)
        return integrand(density(z, mu, log_var), log_prior(at(z, mu)))

    return estimate


def kl_at_draws(mu: Tensor, log_var: Tensor, log_prior: Callable, num_samples: int) -> Terms:
    """The terms of log q − log p at K draws, (K, B, D) each."""
    z = draw(mu, log_var, num_samples)
    return Terms(log_q_terms(z, mu, log_var) | {"KL: log p": -log_prior(z)})


def score_function(mu: Tensor, log_var: Tensor, log_prior: Callable, num_samples: int) -> Tensor:
    """The right value with the score-function gradient: detached draws, weighted by ∇ log q."""
    z = draw(mu, log_var, num_samples).detach()
    log_density = log_q(z, mu, log_var)
    value = (log_density - log_prior(z)).detach()
    return value + (log_density - log_density.detach()) * value


def _of(integrand: Callable) -> Callable:
    return log_ratio(integrand=integrand)


def _noise(shape: Callable) -> Callable:
    return log_ratio(drawn(noise=lambda *sizes: torch.randn(shape(*sizes))))


def _clamped(m: Tensor, v: Tensor, log_prior: Callable, K: int) -> Tensor:
    return log_ratio()(m, v.clamp(min=-3), log_prior, K)


def _closed(sign: float, twice: float) -> Callable:
    """Build log-ratios with the entropy in closed form, times a sign, log σ² times a factor."""
    return log_ratio(density=lambda z, m, v: -0.5 * sign * (1 + LOG_2PI + twice * v) + 0 * z)


SHARED = (  # mistakes of the log-ratio at K draws, (K, B, D), in 5.1 and in 7.2
    M("ε shared between images", _noise(lambda K, B, D: (K, 1, D))),
    M("ε shared between latents", _noise(lambda K, B, D: (K, B, 1))),
    M("one ε for everything", _noise(lambda K, B, D: (K, 1, 1))),
    M("noise centred over the draws", log_ratio(drawn(noise=centred))),
    M("mu detached in the draws", log_ratio(lambda m, v, K: draw(m.detach(), v, K))),
    M("σ detached in the draws", log_ratio(drawn(scale=lambda v: std(v).detach()))),
    M("draws from N(0, 1)", log_ratio(lambda m, v, K: torch.randn(K, *m.shape))),
    M("weighted by q again", _of(lambda lq, lp: lq.exp() * (lq - lp))),
    M("log q at mu", log_ratio(density=lambda z, m, v: log_q(m, m, v) + 0 * z)),
    M("log q with the wrong sign", _closed(-1, 1)),
    M("log σ² not halved", _closed(1, 2)),
    M("detached samples", log_ratio(detached)),
    M("score function", score_function),
    M("another function of the log-ratio", _of(lambda lq, lp: 0.5 * (lq - lp) ** 2)),
    M("another function of the log-ratio", _of(lambda lq, lp: (lp - lq).expm1() + lq - lp)),
    M("log-ratios made positive", _of(lambda lq, lp: (lq - lp).relu())),
    M("log-ratios made positive", _of(lambda lq, lp: (lq - lp).abs())),
    M("one sample where num_samples were asked for", log_ratio(lambda m, v, K: draw(m, v, 1))),
    M("one sample where num_samples were asked for", log_ratio(lambda *a: draw(*a)[-1:])),
    M("not num_samples draws", log_ratio(lambda m, v, K: draw(m, v, 10))),
    M("variance for standard deviation", log_ratio(drawn(scale=torch.exp))),
    M("prior detached", _of(lambda lq, lp: lq - lp.detach())),
    M("log_var taken for log σ", lambda m, v, p, K: log_ratio()(m, 2 * v, p, K)),
    M("log q with the wrong width", log_ratio(density=lambda z, m, v: log_q(z, m, 2 * v))),
    M("log q with the wrong width", log_ratio(density=lambda z, m, v: log_q(z, m, 0.5 * v))),
    M("clamped log_var", _clamped, extreme="log_var"),
    M("σ forgotten", log_ratio(drawn(scale=torch.ones_like))),
    M("uniform noise", log_ratio(drawn(noise=torch.rand)), log_ratio(drawn(noise=uniform))),
    M("uniform noise", log_ratio(drawn(noise=lambda *shape: 2 * torch.rand(*shape) - 1))),
    M("evaluated at the mean", log_ratio(drawn(noise=torch.zeros)), log_ratio(at=lambda z, m: m)),
    M("evaluated at the mean", log_ratio(at=lambda z, m: z.mean(0))),
)
REDUCED = (  # mistakes in how log-ratios, (K, B, D), become a KL per image, (B,)
    M("mean over latents", lambda t: t.mean(0).mean(-1)),
    M("sum over samples", lambda t: t.sum(0).sum(-1)),
    M("sum over samples, and mean over latents", lambda t: t.sum(0).mean(-1)),
    M("largest sample", lambda t: t.amax(0).sum(-1)),
    M("clamped at 0", lambda t: t.mean(0).sum(-1).relu(), lambda t: t.mean(0).relu().sum(-1)),
    M("log of mean for mean of logs", lambda t: t.sum(-1).logsumexp(0) - math.log(len(t))),
    M("log of mean for mean of logs", lambda t: (t.logsumexp(0) - math.log(len(t))).sum(-1)),
    M("divided by K − 1", lambda t: t.sum(0).sum(-1) / max(len(t) - 1, 1)),
    M("median for mean", lambda t: t.sum(-1).median(0).values),
    M("median for mean", lambda t: t.median(0).values.sum(-1)),
)
