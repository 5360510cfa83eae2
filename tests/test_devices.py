"""Every public function, forward, on a pretended CUDA device: a stray CPU tensor must show."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributions import Distribution, kl_divergence

import svae_helpers as sh

SMALL = {"hidden_dim": 8, "data_dim": 16}


@pytest.fixture
def pretend_cuda():
    Distribution.set_default_validate_args(False)  # it reads values, which fakes do not have
    try:
        with FakeTensorMode(), torch.device("cuda"):
            yield
    finally:
        Distribution.set_default_validate_args(__debug__)


def on_cuda(value):
    if isinstance(value, torch.Tensor):
        return value.device.type == "cuda"
    return all(on_cuda(part) for part in value)


def forward_everything():
    """Yield (name, result) for each public function that computes with tensors."""
    x = torch.rand(4, 16)
    priors = {"dense": None, "sparse": sh.SpikeAndSlab.gaussian(torch.full((3,), 0.8))}
    for name, prior in priors.items():
        model = sh.VAE(3, prior=prior, **SMALL)
        q = model.encode(x)
        yield f"{name} encode", (q.loc, q.scale, q.rsample())
        yield f"{name} decode", model.decode(q.mean).mean
        yield f"{name} forward", model(x).log_prob(x)
        yield f"{name} sample", (model.sample(5), model.sample_prior(5))
        for kl in (kl_divergence, sh.kl_monte_carlo):
            terms = sh.elbo_terms(model, x, kl)
            yield f"{name} elbo_terms", (*terms, terms.elbo, terms.loss, terms.beta_loss(2.0))
        yield f"{name} bound", sh.importance_weighted_bound(model, x, 3)
        yield f"{name} evaluate", sh.evaluate(model, x)
        yield f"{name} posterior_means", sh.posterior_means(model, x)
    prior, mu = model.prior, q.mean
    yield "prior", (prior.sample((2,)), prior.log_prob(mu), prior.slab_responsibility(mu))
    yield "prior moments", (prior.mean, prior.variance, prior.crossover)
    yield "kl", (sh.kl_quadrature(q, prior), *sh.kl_bounds(q, prior), sh.kl_normal_standard(q))
    yield "responsibility", sh.expected_slab_responsibility(q, prior)
    yield (
        "counts",
        (sh.slab_count(mu, prior), sh.expected_slab_count(q, prior), sh.active_units(mu)),
    )
    yield "sparsity", (sh.hoyer_sparsity(mu), sh.live_latents(mu))
    gated = sh.VAE(
        3,
        prior=sh.GatedNormal(gate_prob=torch.full((3,), 0.2)),
        posterior=sh.gated_posterior,
        **SMALL,
    )
    terms = sh.elbo_terms(gated, x)
    yield "gated", (*terms, gated.sample(2), sh.kl_gated(gated.encode(x), gated.prior))
    for likelihood in (sh.gaussian_likelihood, sh.continuous_bernoulli_likelihood):
        p = likelihood(torch.zeros(4, 16))
        yield likelihood.__name__, (p.log_prob(x), p.mean, p.sample())
    yield "bernoulli_log_likelihood", sh.bernoulli_log_likelihood(x, x)
    yield "binarise", sh.binarise_images(x)


def test_everything_stays_on_the_device(pretend_cuda):
    names = []
    for name, result in forward_everything():
        assert on_cuda(result), name
        names.append(name)
    assert len(names) > 20


def test_one_stray_cpu_tensor_is_seen(pretend_cuda):
    stray = torch.full((3,), 0.8, device="cpu")
    model = sh.VAE(3, **SMALL)
    model._prior = sh.SpikeAndSlab.gaussian(stray)
    with pytest.raises(RuntimeError, match="device"):
        sh.elbo_terms(model, torch.rand(4, 16), sh.kl_monte_carlo)


def test_the_models_prior_numbers_follow_it_to_the_device():
    """Numbers become tensors on the CPU; moving the model must take them along."""
    model = sh.VAE(3, prior=sh.SpikeAndSlab.gaussian(), **SMALL).to("meta")
    assert {t.device.type for _, _, t in sh.models._tensors(model.prior)} == {"meta"}
    assert model.device.type == "meta"
