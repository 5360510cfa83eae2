"""What the decoder's numbers mean, against SciPy and torch's own distributions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from svae_helpers import (
    ContinuousBernoulli,
    bernoulli_likelihood,
    bernoulli_log_likelihood,
    continuous_bernoulli_likelihood,
    gaussian_likelihood,
)

FALSE_ALARM = 1e-6


def test_bernoulli_agrees_with_scipy_and_sums_over_pixels():
    torch.manual_seed(0)
    logits, x = torch.randn(3, 5, dtype=torch.float64), torch.randint(2, (3, 5)).double()
    want = stats.bernoulli.logpmf(x, torch.sigmoid(logits)).sum(axis=1)
    for got in (bernoulli_likelihood(logits).log_prob(x), bernoulli_log_likelihood(logits, x)):
        torch.testing.assert_close(got, torch.tensor(want))


def test_bernoulli_is_exact_at_extreme_logits():
    """Cross-entropy on probabilities would be clamped to 100 there, with a gradient of 0."""
    logits = torch.tensor([[-200.0]], requires_grad=True)
    loss = -bernoulli_likelihood(logits).log_prob(torch.ones(1, 1)).sum()
    loss.backward()
    assert loss.item() == 200 and logits.grad.item() == -1
    clamped = torch.nn.functional.binary_cross_entropy(torch.sigmoid(logits), torch.ones(1, 1))
    assert clamped.item() == 100


def test_grey_pixels_give_the_cross_entropy():
    logits, x = torch.tensor([[0.3, -1.0]]), torch.tensor([[0.25, 0.5]])
    p = torch.sigmoid(logits)
    want = (x * p.log() + (1 - x) * (1 - p).log()).sum(dim=1)
    torch.testing.assert_close(bernoulli_likelihood(logits).log_prob(x), want)


@given(st.floats(-30, 30))
@settings(deadline=None)
def test_continuous_bernoulli_has_mass_one(logit):
    distribution = ContinuousBernoulli(torch.tensor(logit, dtype=torch.float64))

    def density(x):
        return math.exp(distribution.log_prob(torch.tensor(x, dtype=torch.float64)).item())

    assert quad(density, 0, 1, epsabs=1e-9)[0] == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("logit", [0.0, 1e-6, -0.049, 0.051, 0.3, -2.0, 9.0, -9.0])
def test_continuous_bernoulli_agrees_with_torch_and_quadrature(logit):
    logits = torch.tensor(logit, dtype=torch.float64)
    ours = ContinuousBernoulli(logits)
    theirs = torch.distributions.ContinuousBernoulli(logits=logits)
    x = torch.linspace(0, 1, 11, dtype=torch.float64)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x), atol=1e-6, rtol=1e-6)

    def density(t):
        return math.exp(ours.log_prob(torch.tensor(t, dtype=torch.float64)).item())

    def moment(power):
        return quad(lambda t: t**power * density(t), 0, 1)[0]

    assert ours.mean.item() == pytest.approx(moment(1), abs=1e-9)
    assert ours.variance.item() == pytest.approx(moment(2) - moment(1) ** 2, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_continuous_bernoulli_is_smooth_where_the_series_takes_over(dtype):
    logits = torch.linspace(-0.2, 0.2, 4001, dtype=dtype, requires_grad=True)
    log_normaliser = ContinuousBernoulli(logits).log_normaliser()
    gradient = torch.autograd.grad(log_normaliser.sum(), logits)[0]
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-9}[dtype]
    eta = logits.detach()
    torch.testing.assert_close(gradient, eta / 6 - 7 / 360 * eta**3, atol=1e-5, rtol=0)
    steps = (log_normaliser[1:] - log_normaliser[:-1]).detach()
    assert steps.diff().abs().max() < 1e-8 / 6 * 1.1 + tolerance


@pytest.mark.parametrize("logit", [200.0, -200.0, 1e4])
def test_continuous_bernoulli_far_out(logit):
    logits = torch.tensor([logit], requires_grad=True)
    edge = torch.tensor([1.0 if logit > 0 else 0.0])
    log_prob = ContinuousBernoulli(logits).log_prob(edge)
    log_prob.sum().backward()
    assert log_prob.item() == pytest.approx(math.log(abs(logit)), rel=1e-6)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("logit", [-25.0, -1.0, 0.0, 0.7, 60.0])
def test_continuous_bernoulli_samples_follow_the_density(logit):
    torch.manual_seed(1)
    x = ContinuousBernoulli(torch.tensor(logit)).sample((20_000,)).double().numpy()

    def cdf(value):
        if logit == 0:
            return value
        if logit < 0:
            return (1 - math.e ** (logit * value)) / (1 - math.exp(logit))
        at_zero = math.exp(-logit)
        return (math.e ** (logit * (value - 1)) - at_zero) / (1 - at_zero)

    assert stats.kstest(x, cdf).pvalue > FALSE_ALARM


def test_gaussian_is_squared_error_and_a_constant():
    mean, x = torch.zeros(2, 3), torch.tensor([[0.0, 0.5, 1.0], [1.0, 1.0, 1.0]])
    scale = 0.5
    want = -x.square().sum(dim=1) / (2 * scale**2) - 3 * math.log(scale * math.sqrt(2 * math.pi))
    torch.testing.assert_close(gaussian_likelihood(mean, scale).log_prob(x), want)


@pytest.mark.parametrize(
    "likelihood", [bernoulli_likelihood, gaussian_likelihood, continuous_bernoulli_likelihood]
)
def test_every_likelihood_is_one_distribution_per_image(likelihood):
    p = likelihood(torch.zeros(4, 2, 9))
    assert p.batch_shape == (4, 2) and p.event_shape == (9,)
    assert p.mean.shape == (4, 2, 9) and p.sample().shape == (4, 2, 9)
