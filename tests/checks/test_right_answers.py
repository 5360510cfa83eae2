"""Right answers in any honest spelling pass."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)

from svae_helpers import checks
from svae_helpers.checks.estimates import GENERAL

from .catalogue import EXACT, FUNCTIONS, RANDOM


def normal(mu, log_var):
    return Normal(mu, torch.exp(log_var / 2))


def mixture(z, spike_prob, spike_var):
    return MixtureSameFamily(
        Categorical(torch.tensor([spike_prob, 1 - spike_prob])),
        Normal(torch.zeros(2), torch.tensor([spike_var**0.5, 1.0])),
    )


def joint(z, spike_prob, spike_var):
    spike = Normal(0.0, math.sqrt(spike_var)).log_prob(z) + math.log(spike_prob)
    slab = Normal(0.0, 1.0).log_prob(z) + math.log(1 - spike_prob)
    return torch.stack([spike, slab])


def loop_log_marginal(log_joint, log_q):
    columns = []
    for b in range(log_joint.shape[1]):
        total = torch.tensor(-torch.inf)
        for k in range(log_joint.shape[0]):
            total = torch.logaddexp(total, log_joint[k, b] - log_q[k, b])
        columns.append(total - math.log(log_joint.shape[0]))
    return torch.stack(columns)


def loop_gaussian_kl(mu, log_var):
    rows = []
    for m, v in zip(mu, log_var):
        total = 0.0
        for d in range(m.numel()):
            total = total + 0.5 * (m[d] ** 2 + v[d].exp() - 1 - v[d])
        rows.append(total)
    return torch.stack(rows)


def printing_elbo(log_joint, log_q):
    print("look:", log_joint.shape)
    return torch.mean(log_joint - log_q, dim=0)


def keyword_only_log_prob(*, z, spike_prob, spike_var):
    return torch.logsumexp(joint(z, spike_prob, spike_var), 0)


def bernoulli_kl(gate_prob, slab_prob):
    return kl_divergence(
        Bernoulli(gate_prob, validate_args=False), Bernoulli(torch.tensor(slab_prob))
    )


def standard(mu):
    return Normal(torch.zeros_like(mu), torch.ones_like(mu))


SPELLINGS = {
    "log_marginal": [
        lambda log_joint, log_q: (log_joint - log_q).logsumexp(0) - math.log(len(log_q)),
        lambda a, b: torch.logsumexp((a - b).double() - math.log(a.size(0)), dim=0),
        loop_log_marginal,
    ],
    "elbo": [
        printing_elbo,
        lambda log_joint, log_q: log_joint.mean(0) - log_q.mean(0),
        lambda a, b: torch.stack([a[k] - b[k] for k in range(len(a))]).double().mean(0),
    ],
    "bernoulli_log_likelihood": [
        lambda logits, x: Bernoulli(logits=logits).log_prob(x).sum(-1),
        lambda l, x: -F.binary_cross_entropy_with_logits(l, x, reduction="none").sum(1),
        lambda l, x: (x * F.logsigmoid(l) + (1 - x) * F.logsigmoid(-l)).sum(1),
        lambda l, x: F.logsigmoid((2 * x - 1) * l).sum(1),
        lambda l, x: torch.where(x == 1, F.logsigmoid(l), F.logsigmoid(-l)).sum(1),
        lambda l, x: (x * l - F.softplus(l)).double().sum(1),
        lambda l, x: Independent(Bernoulli(logits=l), 1).log_prob(x),
    ],
    "gaussian_kl": [
        lambda mu, log_var: kl_divergence(normal(mu, log_var), standard(mu)).sum(-1),
        lambda m, v: -0.5 * (1 + v - m.pow(2) - v.exp()).sum(dim=1),
        lambda m, v: 0.5 * (m.double() ** 2 + torch.expm1(v.double()) - v).sum(1),
        loop_gaussian_kl,
    ],
    "vae_loss": [
        lambda l, x, m, v: (
            (
                F.binary_cross_entropy_with_logits(l, x, reduction="sum")
                - 0.5 * (1 + v - m**2 - v.exp()).sum()
            )
            / len(x)
        ),
        lambda logits, x, mu, log_var: (
            kl_divergence(normal(mu, log_var), standard(mu)).sum(1)
            - Bernoulli(logits=logits).log_prob(x).sum(1)
        ).mean(),
    ],
    "log_prob": [
        lambda z, spike_prob, spike_var: mixture(z, spike_prob, spike_var).log_prob(z),
        lambda z, p, v: torch.logaddexp(*joint(z, p, v)),
        lambda z, p, v: torch.logsumexp(joint(z.double(), p, v), dim=0),
        keyword_only_log_prob,
    ],
    "slab_responsibility": [
        lambda z, spike_prob, spike_var: joint(z, spike_prob, spike_var).softmax(0)[1],
        lambda z, p, v: torch.sigmoid(joint(z, p, v)[1] - joint(z, p, v)[0]),
        lambda z, p, v: (joint(z, p, v)[1] - joint(z, p, v).logsumexp(0)).exp(),
        lambda z, p, v: 1 / (1 + torch.exp(joint(z, p, v)[0] - joint(z, p, v)[1])),
    ],
    "sparse_vae_loss": [
        lambda logits, x, mu, log_var, z, spike_prob, spike_var: (
            F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
            + normal(mu, log_var).log_prob(z).sum(1)
            - torch.logaddexp(*joint(z, spike_prob, spike_var)).sum(1)
        ).mean(),
        lambda l, x, m, v, z, p, s: (
            (
                -Bernoulli(logits=l).log_prob(x).sum()
                + (normal(m, v).log_prob(z) - mixture(z, p, s).log_prob(z)).sum()
            )
            / l.shape[0]
        ),
    ],
    "active_count": [
        lambda mu, spike_prob, spike_var: joint(mu, spike_prob, spike_var).argmax(0).sum(1),
        lambda m, p, v: (joint(m, p, v).softmax(0)[1] > 0.5).float().sum(-1),
        lambda m, p, v: torch.tensor([int((joint(row, p, v).diff(dim=0) > 0).sum()) for row in m]),
    ],
    "gated_kl": [
        lambda gate_prob, mu, log_var, slab_prob: (
            bernoulli_kl(gate_prob, slab_prob)
            + gate_prob * kl_divergence(normal(mu, log_var), standard(mu))
        ).sum(1),
        lambda g, m, v, a: (
            torch.xlogy(g, g / a)
            + torch.xlogy(1 - g, (1 - g) / (1 - a))
            + 0.5 * g * (m**2 + v.exp() - 1 - v)
        ).sum(1),
        lambda g, m, v, a: (
            -torch.special.entr(g.double())
            - torch.special.entr(1 - g.double())
            - g * math.log(a)
            - (1 - g) * math.log(1 - a)
            + 0.5 * g * (m**2 + v.exp() - 1 - v)
        ).sum(1),
    ],
    "aggregate_kl": [
        lambda mu, log_var, z, log_p: (
            normal(mu, log_var).log_prob(z[:, None]).logsumexp(1) - math.log(len(z)) - log_p
        ).mean(0),
        lambda m, v, z, p: (
            torch.stack(
                [torch.stack([normal(a, b).log_prob(row) for a, b in zip(m, v)]) for row in z]
            )
            .logsumexp(1)
            .sub(p)
            .mean(0)
            - math.log(len(m))
        ),
        lambda m, v, z, p: torch.stack(
            [
                (
                    MixtureSameFamily(
                        Categorical(torch.ones(len(m))), normal(m[:, d], v[:, d])
                    ).log_prob(z[:, d])
                    - p[:, d]
                ).mean()
                for d in range(m.shape[1])
            ]
        ),
    ],
}


def antithetic(shape):
    half = torch.randn((shape[0] + 1) // 2, *shape[1:])
    return torch.cat([half, -half])[: shape[0]]


def gradient(f, mu, log_var, num_samples):
    mu = mu.detach().clone().requires_grad_()
    z = normal(mu, log_var.detach()).rsample((num_samples,))
    f(z).mean().backward()
    return mu.grad


def gradient_by_autograd(f, mu, log_var, num_samples):
    leaf = mu.detach().clone().requires_grad_()
    z = leaf + torch.exp(log_var / 2).detach() * torch.randn(num_samples, *mu.shape)
    (g,) = torch.autograd.grad(f(z).mean(), leaf)
    return g


def gradient_by_loop(f, mu, log_var, num_samples):
    total = torch.zeros_like(mu)
    for _ in range(num_samples):
        m = mu.detach().clone().requires_grad_()
        f((m + torch.exp(log_var.detach() / 2) * torch.randn_like(m))[None]).sum().backward()
        total += m.grad
    return total / num_samples


def kl(mu, log_var, log_prior, num_samples):
    z = mu + torch.exp(log_var / 2) * torch.randn(num_samples, *mu.shape)
    return (normal(mu, log_var).log_prob(z) - log_prior(z)).mean(0).sum(-1)


def kl_antithetic(mu, log_var, log_prior, num_samples):
    z = mu + torch.exp(log_var / 2) * antithetic((num_samples, *mu.shape))
    return (normal(mu, log_var).log_prob(z) - log_prior(z)).sum(-1).mean(0)


def kl_closed_entropy(mu, log_var, log_prior, num_samples):
    z = normal(mu, log_var).rsample((num_samples,))
    return (-normal(mu, log_var).entropy() - log_prior(z).mean(0)).sum(1)


def kl_antithetic_closed_entropy(mu, log_var, log_prior, num_samples):
    z = mu + torch.exp(log_var / 2) * antithetic((num_samples, *mu.shape))
    return (-normal(mu, log_var).entropy() - log_prior(z).mean(0)).sum(1)


def kl_by_loop(mu, log_var, log_prior, num_samples):
    total = torch.zeros(mu.shape[0])
    for _ in range(num_samples):
        z = normal(mu, log_var).rsample()
        total = total + (normal(mu, log_var).log_prob(z) - log_prior(z)).sum(1)
    return total / num_samples


def loss(kl_of):
    def mended(logits, x, mu, log_var, log_prior, num_samples):
        bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        return (bce + kl_of(mu, log_var, log_prior, num_samples)).mean()

    return mended


def own_generator(mu, log_var):
    generator = torch.Generator()
    generator.seed()
    return mu + torch.exp(log_var / 2) * torch.randn(mu.shape, generator=generator)


def sample_by_where(shape, spike_prob, spike_var):
    spike = math.sqrt(spike_var) * torch.randn(shape)
    return torch.where(torch.rand(shape) < spike_prob, spike, torch.randn(shape))


def sample_by_loop(shape, spike_prob, spike_var):
    on = torch.bernoulli(torch.full(shape, 1 - spike_prob)).bool()
    z = torch.empty(shape)
    z[on] = torch.randn(int(on.sum()))
    z[~on] = spike_var**0.5 * torch.randn(int((~on).sum()))
    return z


RANDOM_SPELLINGS = {
    "reparameterise": [
        lambda mu, log_var: mu + torch.exp(0.5 * log_var) * torch.randn_like(mu),
        lambda mu, log_var: mu - log_var.exp().sqrt() * torch.randn(mu.shape),
        lambda mu, log_var: normal(mu, log_var).rsample(),
        lambda m, v: m.double() + (v.double() / 2).exp() * torch.randn(m.shape).double(),
        own_generator,
    ],
    "gradient_estimate": [
        gradient,
        gradient_by_autograd,
        *[gradient, gradient_by_autograd] * 5,
        gradient_by_loop,
    ],
    "sample": [
        lambda shape, spike_prob, spike_var: mixture(None, spike_prob, spike_var).sample(shape),
        sample_by_where,
        sample_by_loop,
    ],
    "monte_carlo_kl": [
        kl,
        kl_antithetic,
        kl_closed_entropy,
        kl_antithetic_closed_entropy,
        *[kl, kl_antithetic, kl_closed_entropy] * 2,
        kl_by_loop,
    ],
    "find_the_bug": [
        loss(kl),
        loss(kl_antithetic),
        loss(kl_closed_entropy),
        loss(kl_antithetic_closed_entropy),
    ],
}


def test_every_exercise_has_spellings():
    assert SPELLINGS.keys() == EXACT.keys()
    assert RANDOM_SPELLINGS.keys() == RANDOM.keys()


@pytest.mark.parametrize("name", SPELLINGS)
def test_right_spellings_pass(name):
    for spelling in SPELLINGS[name]:
        for seed in range(5):
            torch.manual_seed(seed)
            checks.ALL[name](spelling).require()


@pytest.mark.parametrize("name", RANDOM_SPELLINGS)
def test_right_random_spellings_pass(name):
    """100 seeds an exercise, shared out among its spellings."""
    spellings = RANDOM_SPELLINGS[name]
    for seed in range(100):
        torch.manual_seed(seed)
        checks.ALL[name](spellings[seed % len(spellings)]).require()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_reference_passes(name):
    reference = {**EXACT, **RANDOM}[name].reference
    checks.ALL[name](reference).require()


def test_the_courses_own_helpers_pass():
    from svae_helpers import (
        SpikeAndSlab,
        bernoulli_log_likelihood,
        kl_monte_carlo,
        kl_normal_standard,
        slab_count,
    )

    class Elementwise:
        def __init__(self, log_prior):
            self.log_prob = log_prior

    def prior(spike_prob, spike_var):
        return SpikeAndSlab.gaussian(spike_prob=spike_prob, spike_var=spike_var)

    helpers = {
        "bernoulli_log_likelihood": bernoulli_log_likelihood,
        "gaussian_kl": lambda mu, log_var: kl_normal_standard(normal(mu, log_var)).sum(1),
        "log_prob": lambda z, p, v: prior(p, v).log_prob(z),
        "slab_responsibility": lambda z, p, v: prior(p, v).slab_responsibility(z),
        "sample": lambda shape, p, v: prior(p, v).sample(shape),
        "active_count": lambda mu, p, v: slab_count(mu, prior(p, v)),
        "monte_carlo_kl": lambda mu, log_var, log_prior, K: kl_monte_carlo(
            normal(mu, log_var), Elementwise(log_prior), K
        ).sum(1),
    }
    for name, helper in helpers.items():
        checks.ALL[name](helper).require()


def test_the_gated_helper_passes():
    from svae_helpers import GatedNormal, kl_gated

    def helper(gate_prob, mu, log_var, slab_prob):
        q = GatedNormal(loc=mu, scale=torch.exp(log_var / 2), gate_prob=gate_prob)
        p = GatedNormal(gate_prob=slab_prob)
        return kl_gated(q, p).sum(1)

    checks.gated_kl(helper).require()


def test_the_helper_of_the_marginals_passes():
    from svae_helpers import SpikeAndSlab, kl_marginals

    class Given(SpikeAndSlab):
        """A prior whose log-density at the draw is what the check hands over."""

        def __init__(self, log_p):
            self.log_p = log_p

        def log_prob(self, value):
            return self.log_p

    def helper(mu, log_var, z, log_p):
        return kl_marginals(normal(mu, log_var), Given(log_p), z)

    checks.aggregate_kl(helper).require()


def test_closed_forms_of_the_test_priors():
    """The exact values that estimates are held against agree with quadrature."""
    from scipy.integrate import quad

    mu, log_var = torch.tensor(0.7), torch.tensor(-0.9)
    q = normal(mu, log_var)
    integrand = lambda z: float(
        q.log_prob(torch.tensor(z)).exp() * GENERAL.log_prob(torch.tensor(z))
    )
    expected, _ = quad(integrand, -6, 7, limit=200)
    assert abs(expected - float(GENERAL.expected(mu, log_var))) < 1e-5
