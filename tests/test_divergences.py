"""KL(q ‖ p) against SciPy, closed forms and limits; the article's two faults as a regression."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from torch.distributions import Independent, Laplace, Normal, kl_divergence

from svae_helpers import (
    GatedNormal,
    SpikeAndSlab,
    expected_slab_responsibility,
    kl_bounds,
    kl_gated,
    kl_marginals,
    kl_monte_carlo,
    kl_normal_standard,
    kl_quadrature,
)
from tests.oracles import kl_normal_to_mixture

FALSE_ALARM = 1e-6
Z_LIMIT = stats.norm.isf(FALSE_ALARM / 2)

mus = st.floats(-5, 5)
sigmas = st.floats(math.log(1e-3), math.log(5)).map(math.exp)
spike_vars = st.floats(math.log(1e-4), math.log(0.5)).map(math.exp)
spike_probs = st.floats(0.01, 0.99)
slab_vars = st.sampled_from([0.5, 1.0, 4.0])


def normal(mu, sigma, dtype=torch.float64, requires_grad=False):
    return Normal(
        *(
            torch.tensor([[value]], dtype=dtype, requires_grad=requires_grad)
            for value in (mu, sigma)
        )
    )


@settings(deadline=None, max_examples=150)
@given(mus, sigmas, spike_probs, spike_vars, slab_vars)
def test_quadrature_agrees_with_scipy(mu, sigma, spike_prob, spike_var, slab_var):
    exact = kl_normal_to_mixture(mu, sigma, spike_prob, spike_var, slab_var)
    p = SpikeAndSlab.gaussian(spike_prob, spike_var, slab_var)
    for num_nodes, bound in ((64, 1e-7), (32, 2e-4)):
        got = kl_quadrature(normal(mu, sigma), p, num_nodes).item()
        assert abs(got - exact) <= bound * max(1, 1e-3 * exact)  # quad itself errs by 1e-10 of it
    single = kl_quadrature(normal(mu, sigma, torch.float32), p).item()
    assert abs(single - exact) <= 1e-4 * max(1, 0.01 * exact)


@settings(deadline=None, max_examples=100)
@given(st.floats(-0.5, 0.5), sigmas, st.sampled_from([0.01, 0.5, 0.8, 0.99]), spike_vars)
def test_quadrature_is_right_where_q_meets_the_spike(mu, sigma, spike_prob, spike_var):
    exact = kl_normal_to_mixture(mu, sigma, spike_prob, spike_var)
    got = kl_divergence(normal(mu, sigma), SpikeAndSlab.gaussian(spike_prob, spike_var)).item()
    assert abs(got - exact) <= 1e-7


@settings(deadline=None, max_examples=60)
@given(mus, sigmas, spike_probs, spike_vars)
def test_quadrature_gradients_agree_with_central_differences(mu, sigma, spike_prob, spike_var):
    q = normal(mu, sigma, requires_grad=True)
    p = SpikeAndSlab.gaussian(spike_prob, spike_var)
    gradients = torch.autograd.grad(kl_quadrature(q, p).sum(), (q.loc, q.scale))
    step = 1e-3 * min(sigma, spike_var**0.5)
    for index, gradient in enumerate(gradients):
        shifted = [0.0, 0.0]
        values = []
        for sign in (-2, -1, 1, 2):
            shifted[index] = sign * step
            values.append(
                kl_normal_to_mixture(mu + shifted[0], sigma + shifted[1], spike_prob, spike_var)
            )
        difference = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * step)
        noise = 1e-9 * max(1, abs(values[0])) * sigma / step  # of the oracle's differences
        assert abs(sigma * (gradient.item() - difference)) <= 1e-5 + noise


def test_quadrature_is_differentiable_in_every_parameter():
    q_and_p = [
        torch.tensor(values, dtype=torch.float64, requires_grad=True)
        for values in ([0.1, -1.0], [0.2, 0.5], [0.8, 0.3], [0.05, 0.2], [1.0, 1.5])
    ]

    def kl(mu, sigma, spike_prob, spike_var, slab_var):
        return kl_quadrature(
            Normal(mu, sigma), SpikeAndSlab.gaussian(spike_prob, spike_var, slab_var)
        )

    assert torch.autograd.gradcheck(kl, q_and_p)


@pytest.mark.parametrize("mu, sigma", [(0.0, 0.3), (1.5, 0.1), (-4.0, 2.0)])
@pytest.mark.parametrize(
    "spike_prob, spike_var, variance",
    [(0.0, 0.05, 1.0), (1.0, 0.05, 0.05), (0.7, 1.0, 1.0), (0.01, 1.0, 1.0)],
)
def test_limits_are_gaussian_kls(mu, sigma, spike_prob, spike_var, variance):
    q = normal(mu, sigma, requires_grad=True)
    want = kl_divergence(q, Normal(0.0, torch.tensor(variance, dtype=torch.float64).sqrt()))
    got = kl_quadrature(q, SpikeAndSlab.gaussian(spike_prob, spike_var))
    torch.testing.assert_close(got, want, atol=1e-9, rtol=1e-9)
    for ours, exact in zip(
        torch.autograd.grad(got.sum(), (q.loc, q.scale)),
        torch.autograd.grad(want.sum(), (q.loc, q.scale)),
        strict=True,
    ):
        torch.testing.assert_close(ours, exact, atol=1e-8, rtol=1e-8)


@given(mus, sigmas, spike_probs, spike_vars)
def test_kl_is_positive_and_even_in_mu(mu, sigma, spike_prob, spike_var):
    p = SpikeAndSlab.gaussian(spike_prob, spike_var)
    kl = kl_quadrature(normal(mu, sigma), p).item()
    assert kl > -1e-9
    assert kl == pytest.approx(kl_quadrature(normal(-mu, sigma), p).item(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    "spike_var, floor, best_sigma, at_spike, at_slab",
    [
        (0.05, 0.089319, 0.2708, 0.109879, 0.670268),
        (0.01, 0.156920, 0.1112, 0.164560, 1.027520),
        (0.0025, 0.188496, 0.0531, 0.191245, 1.241539),
    ],
)
def test_the_floor_of_a_gaussian_posterior(spike_var, floor, best_sigma, at_spike, at_slab):
    sigma = torch.linspace(0.02, 1.2, 59_001, dtype=torch.float64)
    kl = kl_quadrature(
        Normal(torch.zeros_like(sigma), sigma), SpikeAndSlab.gaussian(0.8, spike_var)
    )
    assert kl.min().item() == pytest.approx(floor, abs=1e-6)
    assert sigma[kl.argmin()].item() == pytest.approx(best_sigma, abs=3e-4)
    for width, want in ((spike_var**0.5, at_spike), (1.0, at_slab)):
        got = kl_quadrature(normal(0.0, width), SpikeAndSlab.gaussian(0.8, spike_var)).item()
        assert got == pytest.approx(want, abs=1e-6)


def gauss_hermite(q, p, num_nodes=64):
    """The obvious rule around q, kept as the mistake that the tests above must catch."""
    import numpy as np

    nodes, weights = (torch.tensor(v) for v in np.polynomial.hermite_e.hermegauss(num_nodes))
    z = q.loc + q.scale * nodes.reshape(-1, 1, 1)
    return (weights.reshape(-1, 1, 1) * (q.log_prob(z) - p.log_prob(z))).sum(0) / (
        2 * math.pi
    ) ** 0.5


def test_gauss_hermite_would_be_caught():
    q, p = normal(0.0, 3.0), SpikeAndSlab.gaussian(0.8, 0.0025)
    exact = kl_normal_to_mixture(0.0, 3.0, 0.8, 0.0025)
    assert abs(gauss_hermite(q, p).item() - exact) > 0.005
    assert abs(kl_quadrature(q, p).item() - exact) < 1e-7


def test_kl_adds_over_latents_and_broadcasts():
    torch.manual_seed(0)
    q = Normal(torch.randn(3, 4, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64) + 0.1)
    p = SpikeAndSlab.gaussian(torch.tensor([0.2, 0.5, 0.8, 0.9]), 0.05)
    kl = kl_quadrature(q, p)
    assert kl.shape == (3, 4) and kl.dtype == torch.float64
    alone = kl_quadrature(
        normal(q.loc[2, 1].item(), q.scale[2, 1].item()), SpikeAndSlab.gaussian(0.5)
    )
    assert kl[2, 1].item() == pytest.approx(alone.item())
    assert kl_quadrature(Normal(q.loc.float(), q.scale.float()), p).dtype == torch.float32


def test_other_components_are_refused_in_words():
    q = normal(0.0, 1.0)
    for prior in (
        SpikeAndSlab(Normal(0.0, 0.2), Laplace(0.0, 1.0), 0.8),
        SpikeAndSlab(Normal(0.1, 0.2), Normal(0.0, 1.0), 0.8),
    ):
        with pytest.raises(NotImplementedError, match="kl_monte_carlo"):
            kl_divergence(q, prior)
    with pytest.raises(NotImplementedError, match="kl_monte_carlo"):
        kl_quadrature(Laplace(0.0, 1.0), SpikeAndSlab.gaussian())
    with pytest.raises(ValueError, match="spike_var must not exceed slab_var"):
        kl_divergence(q, SpikeAndSlab(Normal(0.0, 2.0), Normal(0.0, 1.0), 0.8))
    with pytest.raises(ValueError, match="num_nodes"):
        kl_quadrature(q, SpikeAndSlab.gaussian(), 0)
    with pytest.raises(ValueError, match="num_samples"):
        kl_monte_carlo(q, SpikeAndSlab.gaussian(), 0)
    with pytest.raises(NotImplementedError, match="Gaussian"):
        kl_bounds(q, SpikeAndSlab(Normal(0.0, 0.2), Laplace(0.0, 1.0), 0.8))


def test_components_given_as_normals_are_as_good():
    q = normal(0.3, 0.5)
    plain = SpikeAndSlab(
        *(Normal(torch.zeros((), dtype=torch.float64), s) for s in (0.05**0.5, 1.0)), 0.8
    )
    torch.testing.assert_close(kl_divergence(q, plain), kl_divergence(q, SpikeAndSlab.gaussian()))


@given(mus, sigmas, spike_probs, spike_vars)
def test_bounds_sandwich_the_exact_value(mu, sigma, spike_prob, spike_var):
    q, p = normal(mu, sigma), SpikeAndSlab.gaussian(spike_prob, spike_var)
    lower, upper = kl_bounds(q, p)
    exact = kl_quadrature(q, p)
    assert (lower <= exact + 1e-7).all() and (exact <= upper + 1e-7).all()
    assert lower.shape == upper.shape == (1, 1)


def test_bounds_meet_the_gaussian_kl_in_the_limit():
    q = normal(1.0, 0.5)
    for spike_prob, variance in ((0.0, 1.0), (1.0, 0.05)):
        _, upper = kl_bounds(q, SpikeAndSlab.gaussian(spike_prob))
        want = kl_divergence(q, Normal(0.0, torch.tensor(variance, dtype=torch.float64).sqrt()))
        torch.testing.assert_close(upper, want)


@given(mus, sigmas)
def test_closed_form_agrees_with_torch(mu, sigma):
    q = normal(mu, sigma)
    standard = Normal(torch.zeros((), dtype=torch.float64), 1.0)
    torch.testing.assert_close(kl_normal_standard(q), kl_divergence(q, standard))


def test_monte_carlo_is_unbiased_and_its_error_falls_as_root_k():
    torch.manual_seed(1)
    rows = 20_000
    q = Normal(torch.full((rows, 1), 0.4), torch.full((rows, 1), 0.6))
    p = SpikeAndSlab.gaussian()
    exact = kl_normal_to_mixture(0.4, 0.6, 0.8, 0.05)
    deviations = {}
    for num_samples in (1, 4, 16):
        estimates = kl_monte_carlo(q, p, num_samples).double()
        z_score = (estimates.mean() - exact) / (estimates.std() / rows**0.5)
        assert abs(z_score.item()) < Z_LIMIT
        deviations[num_samples] = estimates.std().item()
    # The ratio of two such standard deviations errs by about 2%.
    assert deviations[1] / deviations[4] == pytest.approx(2, rel=0.1)
    assert deviations[4] / deviations[16] == pytest.approx(2, rel=0.1)


def test_monte_carlo_gradient_is_unbiased():
    torch.manual_seed(2)
    q = normal(0.4, 0.6, requires_grad=True)
    p = SpikeAndSlab.gaussian()
    exact = torch.autograd.grad(kl_quadrature(q, p).sum(), (q.loc, q.scale))
    for index, parameter in enumerate(("loc", "scale")):
        rows = Normal(*(torch.full((50_000, 1), v, requires_grad=True) for v in (0.4, 0.6)))
        gradients = torch.autograd.grad(kl_monte_carlo(rows, p, 1).sum(), getattr(rows, parameter))[
            0
        ]
        z_score = (gradients.mean() - exact[index].item()) / (gradients.std() / 50_000**0.5)
        assert abs(z_score.item()) < Z_LIMIT


def article_kl(q, p, num_samples=10, detached=True, mean=True):
    """The article's estimator, with each of its two faults to switch off."""
    z = q.sample((num_samples,)) if detached else q.rsample((num_samples,))
    difference = q.log_prob(z) - p.log_prob(z)
    return difference.mean() if mean else difference.mean(dim=0).sum()


def batch_of(rows, mu=0.8, sigma=0.5):
    mus = torch.full((rows, 4), mu, requires_grad=True)
    return mus, Normal(mus, torch.full((rows, 4), sigma))


def test_detached_samples_leave_no_gradient_in_expectation():
    torch.manual_seed(3)
    p = SpikeAndSlab.gaussian()
    pulls = {}
    for detached in (True, False):
        mu, q = batch_of(20_000)
        gradient = torch.autograd.grad(article_kl(q, p, detached=detached, mean=False), mu)[0]
        pulls[detached] = (gradient.mean() / (gradient.std() / gradient.numel() ** 0.5)).item()
        if not detached:
            exact_q = normal(0.8, 0.5, requires_grad=True)
            exact = torch.autograd.grad(kl_quadrature(exact_q, p).sum(), exact_q.loc)[0].item()
            assert gradient.mean().item() == pytest.approx(exact, rel=0.02)
    assert abs(pulls[True]) < Z_LIMIT  # the article's: noise around zero
    assert abs(pulls[False]) > 10 * Z_LIMIT  # ours: a real pull


def test_a_mean_over_latents_and_batch_is_b_times_d_too_small():
    p = SpikeAndSlab.gaussian()
    gradients = []
    for estimator in (
        lambda q: article_kl(q, p, detached=False, mean=True),
        lambda q: kl_monte_carlo(q, p, 10).sum(),
    ):
        torch.manual_seed(4)
        mu, q = batch_of(8)
        gradients.append(torch.autograd.grad(estimator(q), mu)[0])
    torch.testing.assert_close(gradients[0] * 8 * 4, gradients[1])


@settings(deadline=None, max_examples=40)
@given(st.floats(0.001, 0.999), mus, sigmas, st.floats(0.01, 0.99))
def test_gated_kl_agrees_with_quadrature(gate, mu, sigma, slab_prob):
    gate, mu, sigma = (torch.tensor(v, dtype=torch.float64) for v in (gate, mu, sigma))
    q = GatedNormal(gate_prob=gate, loc=mu, scale=sigma)
    p = GatedNormal(gate_prob=torch.tensor(slab_prob, dtype=torch.float64))

    def integrand(t):
        z = mu + sigma * t
        log_ratio = (q.log_prob(z) - p.log_prob(z)).item()
        return gate.item() * math.exp(-0.5 * t * t) / math.sqrt(2 * math.pi) * log_ratio

    on_part, _ = quad(integrand, -10, 10, limit=200)
    off_part = (1 - gate.item()) * (math.log1p(-gate.item()) - math.log1p(-slab_prob))
    assert kl_gated(q, p).item() == pytest.approx(on_part + off_part, rel=1e-7, abs=1e-7)
    assert kl_divergence(q, p).item() == pytest.approx(kl_gated(q, p).item())


@pytest.mark.parametrize("gate, want", [(0.0, -math.log(0.8)), (1.0, -math.log(0.2) + 0.5)])
def test_gated_kl_at_the_ends(gate, want):
    q = GatedNormal(gate_prob=torch.tensor(gate), loc=torch.tensor(1.0), scale=torch.tensor(1.0))
    assert kl_gated(q, GatedNormal(gate_prob=0.2)).item() == pytest.approx(want, abs=1e-6)


def test_gated_kl_trains_from_a_closed_gate():
    gate_logits = torch.tensor([-200.0, -100.0, 0.0, 200.0], requires_grad=True)
    q = GatedNormal(gate_logits, torch.ones(4), torch.ones(4), validate_args=False)
    kl_gated(q, GatedNormal(gate_prob=0.2)).sum().backward()
    assert torch.isfinite(gate_logits.grad).all()


@given(st.floats(-3, 3), sigmas, spike_probs, spike_vars)
@settings(deadline=None, max_examples=25)
def test_expected_responsibility_agrees_with_quadrature(mu, sigma, spike_prob, spike_var):
    p = SpikeAndSlab.gaussian(spike_prob, spike_var)

    def integrand(t):
        z = torch.tensor(mu + sigma * t, dtype=torch.float64)
        return math.exp(-0.5 * t * t) / math.sqrt(2 * math.pi) * p.slab_responsibility(z).item()

    crossings = [(k * float(p.crossover) - mu) / sigma for k in (-2, -1, 0, 1, 2)]
    points = sorted({c for c in crossings if abs(c) < 9} | {0.0})
    want = quad(integrand, -9, 9, points=points, epsabs=1e-9, limit=300)[0]
    assert expected_slab_responsibility(normal(mu, sigma), p).item() == pytest.approx(
        want, abs=1e-6
    )


# ---- the aggregate, latent by latent


def exact_marginals(q, log_p, limit=9.0):
    """KL of each latent's mixture of posteriors, by the trapezoid rule in float64."""
    grid = torch.linspace(-limit, limit, 40_001, dtype=torch.float64)
    kls = []
    for loc, scale in zip(q.loc.T.double(), q.scale.T.double(), strict=True):
        log_q = torch.logsumexp(Normal(loc, scale).log_prob(grid[:, None]), dim=1)
        log_q = log_q - math.log(len(loc))
        kls.append(torch.trapezoid(log_q.exp() * (log_q - log_p(grid)), grid))
    return torch.stack(kls)


PRIORS = {
    "dense": Normal(0.0, 1.0),
    "wide spike": SpikeAndSlab.gaussian(0.8, 0.05),
    "narrow spike": SpikeAndSlab.gaussian(0.8, 0.0025),
}


@pytest.mark.parametrize("name", PRIORS)
def test_marginals_are_unbiased_for_the_batchs_own_aggregate(name):
    torch.manual_seed(0)
    q = Normal(torch.randn(6, 3), 0.1 + 0.4 * torch.rand(6, 3))
    estimates = torch.stack([kl_marginals(q, PRIORS[name]) for _ in range(1_500)])
    error = estimates.std(dim=0) / len(estimates) ** 0.5
    wanted = exact_marginals(q, PRIORS[name].log_prob)
    assert ((estimates.mean(dim=0) - wanted).abs() < 5 * error).all()


def test_marginals_are_nought_where_the_aggregate_is_the_prior():
    """Every posterior of a collapsed latent is the prior: no draw can tell them apart."""
    q = Normal(torch.zeros(20, 2), torch.ones(20, 2))
    torch.testing.assert_close(kl_marginals(q, Normal(0.0, 1.0)), torch.zeros(2))


def test_marginals_of_one_image_are_its_kl():
    torch.manual_seed(0)
    q = Normal(torch.tensor([[0.5, -1.0]]), torch.tensor([[0.3, 0.8]]))
    z = q.sample()
    wanted = (q.log_prob(z) - PRIORS["wide spike"].log_prob(z))[0]
    torch.testing.assert_close(kl_marginals(q, PRIORS["wide spike"], z), wanted)


def test_small_batches_overestimate_the_marginals_of_all_images():
    """The KL is convex: the mean over batches lies above the whole set's, less so for larger."""
    torch.manual_seed(0)
    q = Normal(torch.randn(2_000, 1), torch.full((2_000, 1), 0.2))
    whole = exact_marginals(q, Normal(0.0, 1.0).log_prob).item()
    means = []
    for size in (8, 64):
        batches = [torch.randint(2_000, (size,)) for _ in range(400)]
        parts = [kl_marginals(Normal(q.loc[b], q.scale[b]), Normal(0.0, 1.0)) for b in batches]
        means.append(torch.stack(parts).mean().item())
    assert means[0] > means[1] + 0.05 > whole + 0.05


def test_gradient_of_the_marginals_agrees_with_quadrature():
    torch.manual_seed(0)
    loc = torch.tensor([[-1.0], [0.2], [1.4]], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([[0.3], [0.5], [0.2]], dtype=torch.float64, requires_grad=True)
    q, prior = Normal(loc, scale), PRIORS["wide spike"]
    exact = exact_marginals(q, prior.log_prob).sum()
    wanted = torch.cat(torch.autograd.grad(exact, (loc, scale)))
    found = []
    for _ in range(1_000):
        found.append(torch.cat(torch.autograd.grad(kl_marginals(q, prior).sum(), (loc, scale))))
    found = torch.stack(found)
    error = found.std(dim=0) / len(found) ** 0.5
    assert ((found.mean(dim=0) - wanted).abs() < 5 * error).all()


def test_marginals_of_gates_agree_with_quadrature():
    torch.manual_seed(0)
    gates = torch.tensor([[0.9, 0.1], [0.2, 0.4], [0.5, 1.0]], dtype=torch.float64)
    loc, scale = torch.randn(3, 2).double(), 0.2 + torch.rand(3, 2).double()
    q, p = GatedNormal(gate_prob=gates, loc=loc, scale=scale), GatedNormal(gate_prob=0.2)
    grid = torch.linspace(-9, 9, 40_001, dtype=torch.float64)
    density = (gates * Normal(loc, scale).log_prob(grid[:, None, None]).exp()).mean(dim=1)
    log_p = math.log(0.2) + Normal(0.0, 1.0).log_prob(grid)[:, None]
    shut = 1 - gates.mean(dim=0)
    wanted = torch.trapezoid(torch.xlogy(density, density) - density * log_p, grid, dim=0)
    wanted = wanted + shut * (shut.log() - math.log(0.8))
    estimates = torch.stack([kl_marginals(q, p) for _ in range(1_500)])
    error = estimates.std(dim=0) / len(estimates) ** 0.5
    assert ((estimates.mean(dim=0) - wanted).abs() < 5 * error).all()


@pytest.mark.parametrize("gate_prob", [0.0, 1.0])
def test_marginals_of_gates_that_never_move_are_finite(gate_prob):
    logits = torch.logit(torch.full((4, 2), gate_prob)).requires_grad_()
    value = kl_marginals(GatedNormal(logits, loc=torch.ones(4, 2)), GatedNormal(gate_prob=0.2))
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(logits.grad).all()


def test_marginals_refuse_what_they_cannot_take():
    joint = Independent(Normal(torch.zeros(4, 2), torch.ones(4, 2)), 1)
    for q in (joint, Normal(torch.zeros(4), torch.ones(4))):
        with pytest.raises(ValueError, match=r"batch shape \(B, D\)"):
            kl_marginals(q, Normal(0.0, 1.0))
    with pytest.raises(ValueError, match="gated prior"):
        kl_marginals(GatedNormal(torch.zeros(4, 2)), Normal(0.0, 1.0))
