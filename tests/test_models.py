"""The VAE: shapes, swaps by one argument, a prior that follows and trains."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Laplace, Normal, kl_divergence

from svae_helpers import (
    VAE,
    GatedNormal,
    SpikeAndSlab,
    continuous_bernoulli_likelihood,
    elbo_terms,
    gated_posterior,
    gaussian_likelihood,
    kl_monte_carlo,
)

COLD_GATES = partial(gated_posterior, temperature=0.3)
SMALL = {"hidden_dim": 16, "data_dim": 25}


def test_shapes():
    model, x = VAE(3, **SMALL), torch.rand(4, 25)
    assert model.encode(x).batch_shape == (4, 3)
    assert model.decode(torch.zeros(7, 4, 3)).mean.shape == (7, 4, 25)
    assert model(x).log_prob(x).shape == (4,)
    samples = model.sample(6)
    assert samples.shape == (6, 25) and not samples.requires_grad
    assert ((samples >= 0) & (samples <= 1)).all()
    assert model.sample_prior(6).shape == (6, 3)


def test_the_encoder_returns_log_variance():
    model, x = VAE(3, **SMALL), torch.rand(4, 25)
    mu, log_var = model.encoder(x)
    torch.testing.assert_close(model.encode(x).mean, mu)
    torch.testing.assert_close(model.encode(x).variance, log_var.exp())


@pytest.mark.parametrize(
    "swap, kl",
    [
        ({}, kl_divergence),
        ({"prior": SpikeAndSlab.gaussian()}, kl_divergence),
        ({"prior": SpikeAndSlab.gaussian(torch.tensor([0.5, 0.8, 0.9]))}, kl_divergence),
        ({"prior": SpikeAndSlab(Normal(0.0, 0.2), Laplace(0.0, 1.0), 0.8)}, kl_monte_carlo),
        ({"prior": Laplace(0.0, 1.0)}, kl_monte_carlo),
        ({"prior": GatedNormal(gate_prob=0.2), "posterior": gated_posterior}, kl_divergence),
        ({"prior": GatedNormal(gate_prob=0.2), "posterior": COLD_GATES}, kl_divergence),
        ({"likelihood": continuous_bernoulli_likelihood}, kl_divergence),
        ({"likelihood": partial(gaussian_likelihood, scale=0.3)}, kl_divergence),
    ],
)
def test_each_part_is_swapped_by_one_argument(swap, kl):
    torch.manual_seed(0)
    model, x = VAE(3, **SMALL, **swap), torch.rand(4, 25)
    terms = elbo_terms(model, x, kl)
    terms.loss.backward()
    assert terms.elbo.shape == (4,) and torch.isfinite(terms.loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert model.sample(2).shape == (2, 25)


class OwnPrior:
    """What an assignment may bring: log_prob, sample and batch_shape, and nothing else of ours."""

    batch_shape, event_shape = torch.Size(), torch.Size()

    def log_prob(self, z):
        return -z.abs() - torch.log(torch.tensor(2.0))

    def sample(self, shape):
        return Laplace(0.0, 1.0).sample(shape)


def test_a_prior_of_ones_own_needs_no_change_here():
    model = VAE(3, prior=OwnPrior(), **SMALL)
    assert torch.isfinite(elbo_terms(model, torch.rand(4, 25), kl_monte_carlo).loss)
    assert model.sample(2).shape == (2, 25)


def test_learnable_numbers_in_the_prior_are_trained():
    spike_prob, spike_var = (nn.Parameter(torch.tensor(value)) for value in (0.8, 0.05))
    model = VAE(3, prior=SpikeAndSlab.gaussian(spike_prob, spike_var), **SMALL)
    assert {id(spike_prob), id(spike_var)} <= {id(p) for p in model.parameters()}
    for kl in (kl_divergence, kl_monte_carlo):
        model.zero_grad()
        for _ in range(2):  # a second backward needs a fresh graph
            elbo_terms(model, torch.rand(4, 25), kl).loss.backward()
        assert spike_prob.grad != 0 and spike_var.grad != 0


def test_a_prior_may_be_a_module():
    class Learned(nn.Module):
        def __init__(self):
            super().__init__()
            self.logit = nn.Parameter(torch.tensor(1.4))

        def forward(self):
            return SpikeAndSlab.gaussian(torch.sigmoid(self.logit))

    prior = Learned()
    model = VAE(3, prior=prior, **SMALL)
    elbo_terms(model, torch.rand(4, 25)).loss.backward()
    assert prior.logit.grad != 0 and any(p is prior.logit for p in model.parameters())


def test_a_prior_computed_from_parameters_is_refused_in_words():
    scale = nn.Parameter(torch.tensor(1.0))
    with pytest.raises(ValueError, match=r"Normal is computed from a parameter.*nn\.Module"):
        VAE(3, prior=Normal(0.0, scale.exp()), **SMALL)


def test_a_number_in_the_prior_has_the_precision_of_the_latents():
    prior = SpikeAndSlab.gaussian(0.8, 0.05)
    model = VAE(3, prior=prior, **SMALL).to(torch.float32).half().double()
    z = torch.tensor([0.0, 0.3, 2.0], dtype=torch.float64)
    spike = 0.8 * torch.exp(-z.square() / 0.1) / math.sqrt(2 * math.pi * 0.05)
    slab = 0.2 * torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    exact = torch.log(spike + slab)
    torch.testing.assert_close(model.prior.log_prob(z), exact, rtol=1e-13, atol=1e-13)
    assert model.sample(2).dtype == torch.float64


def test_a_prior_that_changes_is_followed():
    prior = SpikeAndSlab.gaussian(0.1)
    model = VAE(3, prior=prior, **SMALL)
    prior.spike_prob = 0.9
    at_zero = torch.zeros(1)
    torch.testing.assert_close(
        model.prior.log_prob(at_zero), SpikeAndSlab.gaussian(0.9).log_prob(at_zero)
    )


def test_priors_that_do_not_fit_are_refused_in_words():
    with pytest.raises(ValueError, match=r"batch_shape \(\) or \(3,\)"):
        VAE(3, prior=Normal(torch.zeros(2), 1.0), **SMALL)
    with pytest.raises(ValueError, match=r"got \(\) and \(2,\)"):
        VAE(3, prior=Independent(Normal(torch.zeros(2), 1.0), 1), **SMALL)
    with pytest.raises(TypeError, match="float has no log_prob, sample"):
        VAE(3, prior=0.8, **SMALL)
    with pytest.raises(ValueError, match="latent_dim must be at least 1"):
        VAE(0)
