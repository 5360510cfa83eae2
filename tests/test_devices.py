"""Every public function, forward, on a pretended CUDA device: a stray CPU tensor must show."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributions import Distribution, Independent, Laplace, Normal, kl_divergence

import svae_helpers as sh

SMALL = {"hidden_dim": 8, "data_dim": 16}


@pytest.fixture
def pretend_cuda():
    Distribution.set_default_validate_args(False)  # it reads values, which fakes do not have
    try:
        with FakeTensorMode(), torch.device("cuda"):
            try:
                torch.as_tensor(torch.zeros(1))
            except RuntimeError as error:  # torch 2.9 built for CUDA, where there is no driver
                pytest.skip(f"this PyTorch asks a driver even for pretended tensors: {error}")
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
        yield f"{name} evaluate", sh.evaluate(model, x, num_samples=3)
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
    model, stray = sh.VAE(3, **SMALL), torch.rand(4, 16, device="cpu")
    with pytest.raises(RuntimeError, match="device"):
        model.decode(torch.zeros(4, 3)).log_prob(stray)
    with pytest.raises(ValueError, match=r"images are on cpu, but the model on cuda"):
        sh.elbo_terms(model, stray, sh.kl_monte_carlo)


PRIORS = {
    "numbers": lambda: sh.SpikeAndSlab.gaussian(0.8, 0.05),
    "tensors": lambda: sh.SpikeAndSlab.gaussian(torch.full((3,), 0.8, device="cpu")),
    "torch's": lambda: Laplace(torch.zeros(3, device="cpu"), torch.ones(3, device="cpu")),
    "nested": lambda: sh.SpikeAndSlab(
        Normal(torch.zeros(3, device="cpu"), 0.1), Normal(torch.zeros(3, device="cpu"), 1.0), 0.5
    ),
    "joint": lambda: Independent(Normal(torch.zeros(3, device="cpu"), 1.0), 1),
}


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_made_on_the_cpu_works_on_the_models_device(pretend_cuda, name):
    prior = PRIORS[name]()
    model = sh.VAE(3, prior=prior, **SMALL)
    x = torch.rand(4, 16)
    terms = sh.elbo_terms(model, x, sh.kl_monte_carlo)
    assert on_cuda((*terms, model.sample(2), sh.importance_weighted_bound(model, x, 3)))
    assert model.prior is not prior  # the caller's own stays where it was
    own = [t for part in (prior, *vars(prior).values()) for t in vars_of(part)]
    assert all(tensor.device.type == "cpu" for tensor in own)


def vars_of(part):
    values = vars(part).values() if isinstance(part, Distribution) else ()
    return [value for value in values if isinstance(value, torch.Tensor)]
