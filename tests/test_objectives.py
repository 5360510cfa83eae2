"""ELBO and importance-weighted bound against the exact evidence of a linear-Gaussian model."""

import math

import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from svae_helpers import (
    VAE,
    SpikeAndSlab,
    elbo_terms,
    gaussian_likelihood,
    importance_weighted_bound,
    kl_monte_carlo,
)

Z_LIMIT = stats.norm.isf(1e-6 / 2)
NOISE = 0.5


class LinearGaussian(VAE):
    """x = W z + noise with a diagonal posterior: log p(x) and p(z|x) are known exactly."""

    def __init__(self, posterior_scale=1.0):
        super().__init__(2, likelihood=lambda mean: gaussian_likelihood(mean, NOISE), data_dim=3)
        self.double()
        self.weights = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0]], dtype=torch.float64)
        precision = torch.eye(2, dtype=torch.float64) + self.weights.T @ self.weights / NOISE**2
        self.covariance = torch.linalg.inv(precision)  # diagonal, by choice of W
        self.posterior_scale = posterior_scale
        self.decoder = nn.Linear(2, 3, bias=False).double()
        self.decoder.weight.data = self.weights

    def encode(self, x):
        mean = x @ self.weights @ self.covariance / NOISE**2
        scale = self.covariance.diagonal().sqrt() * self.posterior_scale
        return Normal(mean, scale.expand_as(mean))

    def log_evidence(self, x):
        covariance = self.weights @ self.weights.T + NOISE**2 * torch.eye(3, dtype=torch.float64)
        return MultivariateNormal(torch.zeros(3, dtype=torch.float64), covariance).log_prob(x)


X = torch.tensor([[1.0, -1.0, 0.5], [0.2, 3.0, 0.1]], dtype=torch.float64)


@pytest.mark.parametrize("num_samples", [1, 7])
def test_the_bound_is_exact_for_the_true_posterior(num_samples):
    model = LinearGaussian()
    got = importance_weighted_bound(model, X, num_samples)
    torch.testing.assert_close(got, model.log_evidence(X), atol=1e-9, rtol=0)


def test_elbo_plus_gap_is_the_evidence():
    torch.manual_seed(0)
    model, scale = LinearGaussian(1.5), 1.5
    rows = X[:1].expand(40_000, 3)
    elbo = elbo_terms(model, rows).elbo
    gap = 2 * (0.5 * (scale**2 - 1) - math.log(scale))  # KL(q ‖ posterior), two latents
    z_score = (elbo.mean() + gap - model.log_evidence(X)[0]) / (elbo.std() / 200)
    assert abs(z_score.item()) < Z_LIMIT


def test_the_bound_rises_with_k_towards_the_evidence_and_never_above():
    torch.manual_seed(1)
    model = LinearGaussian(1.8)
    rows = X[:1].expand(4_000, 3)
    exact = model.log_evidence(X)[0].item()
    bounds = [importance_weighted_bound(model, rows, k) for k in (1, 5, 50)]
    means = [b.mean().item() for b in bounds]
    error = bounds[0].std().item() / 4_000**0.5
    assert means[0] + 5 * error < means[1] < means[2] < exact + 5 * error
    assert exact - means[2] < 0.05 * (exact - means[0])


def test_one_sample_is_the_elbo_with_the_monte_carlo_kl():
    torch.manual_seed(2)
    model, x = VAE(3, prior=SpikeAndSlab.gaussian(), hidden_dim=8, data_dim=9), torch.rand(5, 9)
    torch.manual_seed(3)
    bound = importance_weighted_bound(model, x, 1)
    torch.manual_seed(3)
    z = model.encode(x).rsample((1,))[0]
    q = model.encode(x)
    by_hand = model.decode(z).log_prob(x) + (model.prior.log_prob(z) - q.log_prob(z)).sum(-1)
    torch.testing.assert_close(bound, by_hand)


def test_terms_have_one_value_an_image_and_a_summed_kl():
    torch.manual_seed(4)
    model, x = VAE(6, hidden_dim=8, data_dim=9), torch.rand(5, 9)
    terms = elbo_terms(model, x)
    assert terms.reconstruction.shape == terms.kl.shape == terms.elbo.shape == (5,)
    torch.testing.assert_close(terms.kl, kl_divergence(model.encode(x), Normal(0.0, 1.0)).sum(-1))
    torch.testing.assert_close(terms.loss, (terms.kl - terms.reconstruction).mean())
    torch.testing.assert_close(terms.beta_loss(1.0), terms.loss)
    torch.testing.assert_close(terms.beta_loss(4.0), terms.loss + 3 * terms.kl.mean())


def test_bad_numbers_are_refused_in_words():
    with pytest.raises(ValueError, match="num_samples must be at least 1, got 0"):
        importance_weighted_bound(VAE(2), torch.rand(1, 784), 0)


def test_monte_carlo_kl_carries_gradients_to_the_encoder():
    model, x = VAE(3, prior=SpikeAndSlab.gaussian(), hidden_dim=8, data_dim=9), torch.rand(5, 9)
    elbo_terms(model, x, kl_monte_carlo).kl.sum().backward()
    assert model.encoder.output.weight.grad.abs().sum() > 0
    assert model.decoder.output.weight.grad is None
