"""What models give on the test digits, held against the helpers and against other spellings."""

import copy

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from svae_helpers import VAE, SpikeAndSlab, checks, load_mnist, prior_slab_count
from svae_helpers.checks import small_vae
from svae_helpers.checks.inspection import Seen
from svae_helpers.sweep import read_sweep

from .built_sparse import SmallVAE, sparse_prior

PRIOR = SpikeAndSlab.gaussian(small_vae.SPIKE_PROB, small_vae.SPIKE_VAR)
TRAIN, TEST = load_mnist()


def test_the_digits_and_the_prior_are_the_packages():
    train, test = small_vae.digits()
    assert torch.equal(train, TRAIN.images) and torch.equal(test, TEST.images)
    assert float(PRIOR.crossover) == pytest.approx(small_vae.CROSSOVER, rel=1e-5)
    assert float(PRIOR.variance) == pytest.approx(small_vae.VARIANCE)
    z = torch.linspace(-4, 4, 81)
    assert torch.allclose(sparse_prior().log_prob(z), PRIOR.log_prob(z), atol=1e-5)
    mixed = 0.8 * small_vae.draws_past(small_vae.SPIKE_VAR) + 0.2 * small_vae.draws_past(1.0)
    assert mixed == pytest.approx(prior_slab_count(PRIOR, small_vae.LATENTS), rel=1e-5)


@pytest.mark.parametrize(("spread", "sigma"), [(0.3, 0.2), (1.0, 0.05), (1.0, 0.4), (2.0, 0.9)])
def test_a_model_is_measured_as_the_helpers_do(spread, sigma):
    model = SmallVAE(PRIOR).spread(spread, sigma)
    found = small_vae.OnDigits(Seen(checks.trained_sparse_vae), model)
    with torch.no_grad():
        exact = kl_divergence(model.encode(TEST.images), PRIOR).sum(-1)
    assert torch.allclose(found.kl(), exact, atol=2e-2)
    assert found.count == (found.mu.abs() > PRIOR.crossover).sum(-1).double().mean()


def test_the_printed_count_is_the_sweeps():
    runs = read_sweep().query("source == 'embedded' and prior == 'sparse' and latent_dim == 20")
    runs = runs.query("gradient == 'detached' and reduction == 'mean' and schedule == 'constant'")
    assert len(runs) == 3
    assert checks.printed_count.right() == pytest.approx(runs["count"].mean())


class Divided(nn.Module):
    def __init__(self, decoder, s):
        super().__init__()
        self.decoder, self.s = decoder, s

    def forward(self, z):
        return self.decoder(z / self.s)


def dense_vae():
    torch.manual_seed(0)
    dense = VAE(20)
    with torch.no_grad():
        dense.encoder.output.weight[:20] *= 0.9 / dense.encode(TEST.images).mean.std(dim=0)[:, None]
    return dense


def in_weights(dense, s):
    encoder, decoder = copy.deepcopy(dense.encoder), copy.deepcopy(dense.decoder)
    with torch.no_grad():
        encoder.output.weight[:20] *= s
        encoder.output.bias[:20] *= s
        encoder.output.bias[20:] += 2 * torch.tensor(s).log()
        decoder.hidden.weight /= s
    return VAE(20, prior=Normal(0.0, s), encoder=encoder, decoder=decoder)


def around_the_networks(dense, s):
    def posterior(mu, log_var):
        return Normal(s * mu, s * torch.exp(0.5 * log_var))

    decoder = Divided(dense.decoder, s)
    scale = torch.as_tensor(s).expand(20)
    prior = Normal(torch.zeros(20), scale)
    return VAE(20, prior=prior, posterior=posterior, encoder=dense.encoder, decoder=decoder)


@pytest.mark.parametrize("build", [in_weights, around_the_networks])
def test_the_dense_model_in_larger_units_passes(build):
    dense = dense_vae()
    checks.half_the_count(dense, build(dense, 0.4)).require()
    assert checks.half_the_count(dense, build(dense, 0.95)).misconception == "not half yet"
    assert checks.half_the_count(dense, build(dense, 1.5)).misconception == "more than before"


def test_units_of_each_latents_own_pass():
    dense = dense_vae()
    checks.half_the_count(dense, around_the_networks(dense, torch.linspace(0.2, 0.5, 20))).require()


def test_what_is_no_model_is_told():
    assert checks.half_the_count(dense_vae(), 11.4).misconception == "not a model"
    assert checks.trained_sparse_vae(2, 3).misconception == "not a model"
