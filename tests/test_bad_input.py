"""A bad call ends in a sentence of ours: what was given, what is wanted, what to do."""

import math
import traceback
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Distribution, Laplace, Normal, kl_divergence

import svae_helpers
from svae_helpers import (
    VAE,
    ContinuousBernoulli,
    Digits,
    GatedNormal,
    SpikeAndSlab,
    active_units,
    bernoulli_log_likelihood,
    binarise_images,
    continuous_bernoulli_likelihood,
    default_optimiser,
    elbo_terms,
    elbo_terms_at,
    evaluate,
    expected_slab_count,
    fit,
    gated_posterior,
    gaussian_likelihood,
    get_device,
    hoyer_gaussian_reference,
    hoyer_prior_reference,
    hoyer_sparsity,
    importance_weighted_bound,
    keep_strongest,
    kl_bounds,
    kl_gated,
    kl_marginals,
    kl_monte_carlo,
    kl_normal_standard,
    kl_quadrature,
    load_checkpoint,
    load_mnist,
    plotting,
    posterior_means,
    prior_slab_count,
    save_checkpoint,
    seed_everything,
    slab_count,
    widgets,
)
from svae_helpers.classifier import train_classifier
from svae_helpers.settings import Setting
from svae_helpers.sweep import read_sweep, sweep

PACKAGE = Path(svae_helpers.__file__).parent
IMAGES = torch.linspace(0, 1, 60 * 25).reshape(60, 25)
LABELS = torch.zeros(60, dtype=torch.long)
Q = Normal(torch.zeros(4, 3), torch.ones(4, 3))
GATED_Q = GatedNormal(torch.zeros(4, 3))
PRIOR = SpikeAndSlab.gaussian()


def tiny(**swap):
    seed_everything(0)
    return VAE(3, hidden_dim=8, data_dim=25, **swap)


def trained(images=IMAGES, model=None, **settings):
    model = tiny() if model is None else model
    return fit(model, images, **{"epochs": 1, "device": "cpu", "progress": False, **settings})


# (what is called, the error, words of its sentence)
IN_FIT = {
    "pixels of 0 to 255": (
        lambda: trained(IMAGES * 255),
        ValueError,
        r"images must lie in \[0, 1\] under .* from 0 to 255: divide them by 255",
    ),
    "pixels below 0": (
        lambda: trained(IMAGES * 2 - 1),
        ValueError,
        r"images must lie in \[0, 1\] under .* from -1 to 1: rescale them",
    ),
    "pixels below 0, continuous Bernoulli": (
        lambda: trained(IMAGES * 2 - 1, tiny(likelihood=continuous_bernoulli_likelihood)),
        ValueError,
        r"images must lie in \[0, 1\]",
    ),
    "test pixels of 0 to 255": (
        lambda: trained(test_images=IMAGES * 255),
        ValueError,
        r"test_images must lie in \[0, 1\]",
    ),
    "an array": (lambda: trained(IMAGES.numpy()), TypeError, r"got ndarray.*torch\.as_tensor"),
    "a list": (lambda: trained(IMAGES.tolist()), TypeError, r"got list.*torch\.as_tensor"),
    "both parts of load_mnist": (
        lambda: trained((Digits(IMAGES, LABELS), Digits(IMAGES, LABELS))),
        TypeError,
        "train and test, pass one of them",
    ),
    "float64": (
        lambda: trained(IMAGES.double()),
        TypeError,
        r"images are torch\.float64, but the model's weights torch\.float32: convert them",
    ),
    "bytes": (lambda: trained(IMAGES.byte()), ValueError, "torch.uint8: divide by 255"),
    "a sparse tensor": (lambda: trained(IMAGES.to_sparse()), ValueError, "to_dense"),
    "a number": (lambda: trained(torch.tensor(1.0)), ValueError, r"shape \(N, 25\), got \(\)"),
    "the class VAE": (lambda: fit(VAE, IMAGES), TypeError, "must be a VAE, got the class VAE"),
    "model and images swapped": (lambda: fit(IMAGES, tiny()), TypeError, "must be a VAE, got Ten"),
    "1.5 epochs": (lambda: trained(epochs=1.5), TypeError, "epochs must be a whole number, got f"),
    "epochs in words": (lambda: trained(epochs="3"), TypeError, "whole number, got str '3'"),
    "true epochs": (lambda: trained(epochs=True), TypeError, "whole number, got bool True"),
    "2.5 images a batch": (lambda: trained(batch_size=2.5), TypeError, "batch_size must be a wh"),
    "half a warm-up": (lambda: trained(kl_warmup=0.5), TypeError, "kl_warmup must be a whole"),
    "a seed of 1.5": (lambda: trained(seed=1.5), TypeError, "seed must be a whole number"),
    "an infinite rate": (lambda: trained(learning_rate=math.inf), ValueError, "must be finite"),
    "a rate in words": (lambda: trained(learning_rate="0.1"), TypeError, "must be a number, got"),
    "a negative beta": (lambda: trained(beta=-1), ValueError, "beta must be at least 0, got -1"),
    "no kl": (lambda: trained(kl=None), TypeError, "kl must be a function, got None"),
    "a mean of the kl": (
        lambda: trained(kl=lambda q, p: kl_divergence(q, p).mean()),
        ValueError,
        r"kl must return .*\(B, D\), or per image, \(B,\), without a mean.* is \(\)",
    ),
    "bounds for a kl": (
        lambda: trained(kl=kl_bounds, model=tiny(prior=PRIOR)),
        TypeError,
        "what kl returns must be a tensor, got tuple",
    ),
    "a penalty an image": (
        lambda: trained(penalty=lambda q, z, p: z.sum(-1)),
        TypeError,
        r"what penalty returns must be a number, got Tensor of shape \(60,\): a scalar in nats",
    ),
    "a number for penalty": (lambda: trained(penalty=3.0), TypeError, "penalty must be a function"),
    "a word for on_epoch": (lambda: trained(on_epoch="x"), TypeError, "on_epoch must be a func"),
    "another model's optimiser": (
        lambda: trained(optimiser=torch.optim.Adam(tiny().parameters())),
        ValueError,
        "none of this model's parameters: build it from",
    ),
    "an optimiser's class": (
        lambda: trained(optimiser=torch.optim.Adam),
        TypeError,
        "optimiser must be a torch optimiser, got the class Adam itself",
    ),
    "another model's history": (
        lambda: trained(model=VAE(4, hidden_dim=8, data_dim=25), resume=trained()),
        ValueError,
        r"history of another model: .* shape \(6, 8\) where this model has \(8, 8\)",
    ),
    "a file for history": (lambda: trained(resume="m.pt"), TypeError, "resume must be a History"),
    "device 3.5": (lambda: trained(device=3.5), ValueError, "device is '3.5'.*try 'cpu'"),
}
IN_MODELS = {
    "2.5 latents": (lambda: VAE(2.5), TypeError, "latent_dim must be a whole number, got float 2."),
    "latents in words": (lambda: VAE("a"), TypeError, "latent_dim must be a whole number, got str"),
    "hidden_dim of 0": (lambda: VAE(3, hidden_dim=0), ValueError, "hidden_dim must be at least 1"),
    "data_dim None": (lambda: VAE(3, data_dim=None), TypeError, "data_dim must be a whole number"),
    "a number for prior": (
        lambda: VAE(3, prior=7),
        TypeError,
        "prior must be a distribution, got int 7: int has no log_prob",
    ),
    "a class for prior": (lambda: VAE(3, prior=Normal), TypeError, "got the class Normal itself"),
    "a layer for prior": (
        lambda: VAE(3, prior=nn.Linear(2, 2)),
        TypeError,
        r"prior module must give p\(z\) when called",
    ),
    "a word for posterior": (
        lambda: VAE(3, posterior="gaussian"),
        TypeError,
        "posterior must be a function, got str 'gaussian'",
    ),
    "a posterior of nothing": (
        lambda: VAE(3, posterior=lambda: 1),
        ValueError,
        "at least one head",
    ),
    "a word for likelihood": (
        lambda: VAE(3, likelihood="bernoulli"),
        TypeError,
        "likelihood must be a function",
    ),
    "a likelihood that gives a tensor": (
        lambda: tiny(likelihood=torch.sigmoid).sample(2),
        TypeError,
        "what the likelihood returns must be a distribution, got Tensor",
    ),
    "a class for encoder": (lambda: VAE(3, encoder=nn.Linear), TypeError, "encoder must be an nn"),
    "a number for decoder": (lambda: VAE(3, decoder=7), TypeError, "decoder must be an nn.Module"),
    "too few heads": (
        lambda: tiny(encoder=nn.Linear(25, 6), posterior=gated_posterior).encode(IMAGES),
        ValueError,
        "3 heads of 3 latents",
    ),
    "too many heads": (
        lambda: tiny(encoder=lambda x: (x, x, x)).encode(IMAGES),
        ValueError,
        "posterior takes 2 heads, but the encoder returned 3",
    ),
    "-1 samples": (lambda: tiny().sample(-1), ValueError, "num_samples must be at least 0, got -1"),
    "2.5 samples": (lambda: tiny().sample(2.5), TypeError, "num_samples must be a whole number"),
    "2.5 of the prior": (lambda: tiny().sample_prior(2.5), TypeError, "must be a whole number"),
    "images of another width": (
        lambda: tiny().encode(IMAGES[:, :20]),
        ValueError,
        r"images must have shape \(B, 25\), got \(60, 20\)",
    ),
    "one image without a batch": (
        lambda: elbo_terms(tiny(), IMAGES[0]),
        ValueError,
        r"images must have shape \(B, 25\), got \(25,\)",
    ),
    "float64 images": (
        lambda: tiny().encode(IMAGES.double()),
        TypeError,
        r"by \.to\(torch\.float32",
    ),
    "images of bytes": (lambda: tiny().encode(IMAGES.byte()), TypeError, "divide .* by 255"),
    "an array of images": (lambda: tiny()(IMAGES.numpy()), TypeError, r"torch\.as_tensor"),
    "Digits for images": (
        lambda: tiny().encode(Digits(IMAGES, LABELS)),
        TypeError,
        r"images must be a tensor, got Digits: .* digits\.images",
    ),
    "latents of another width": (
        lambda: tiny().decode(torch.zeros(1, 6)),
        ValueError,
        r"latents must have shape \(\.\.\., 3\), got \(1, 6\)",
    ),
    "float64 latents": (lambda: tiny().decode(torch.zeros(1, 3).double()), TypeError, "convert th"),
    "a posterior for latents": (lambda: tiny().decode(Q), TypeError, "such as its mean"),
    "an array of latents": (lambda: tiny().decode(np.zeros((1, 3))), TypeError, "torch.as_tensor"),
    "a model of None": (lambda: evaluate(None, IMAGES), TypeError, "model must be a VAE, got None"),
    "arguments swapped": (lambda: elbo_terms(IMAGES, tiny()), TypeError, "model must be a VAE"),
    "no images": (lambda: evaluate(tiny(), IMAGES[:0]), ValueError, "at least one, got none"),
    "evaluation of 0 to 255": (
        lambda: evaluate(tiny(), IMAGES * 255),
        ValueError,
        r"images must lie in \[0, 1\]",
    ),
    "another binarise": (
        lambda: evaluate(tiny(), IMAGES, binarise="static"),
        ValueError,
        "binarise must be 'none' or 'dynamic', got str 'static'",
    ),
    "-1 samples of the bound": (
        lambda: evaluate(tiny(), IMAGES, num_samples=-1),
        ValueError,
        "num_samples must be at least 0",
    ),
    "2.5 samples of the bound": (
        lambda: importance_weighted_bound(tiny(), IMAGES, 2.5),
        TypeError,
        "num_samples must be a whole number",
    ),
    "means of an array": (lambda: posterior_means(tiny(), IMAGES.numpy()), TypeError, "images mus"),
    "z of other images": (
        lambda: elbo_terms_at(tiny(), IMAGES, Q, torch.zeros(4, 3)),
        ValueError,
        "one draw an image: got 4 for 60 images",
    ),
    "an optimiser of nothing": (lambda: default_optimiser(None), TypeError, "must be a model"),
}
IN_DISTRIBUTIONS = {
    "spike_prob in words": (
        lambda: SpikeAndSlab.gaussian("0.8"),
        TypeError,
        "spike_prob must be a number or a tensor, got str '0.8'",
    ),
    "no spike_var": (
        lambda: SpikeAndSlab.gaussian(0.8, None),
        TypeError,
        "spike_var must be a num",
    ),
    "an infinite slab_var": (
        lambda: SpikeAndSlab.gaussian(slab_var=math.inf),
        ValueError,
        "slab_var must be finite, got inf",
    ),
    "a list of spike_prob": (lambda: SpikeAndSlab.gaussian([0.8, 0.5]), TypeError, "a tensor, got"),
    "a number for spike": (
        lambda: SpikeAndSlab(0.1, Normal(0, 1), 0.8),
        TypeError,
        "spike must be",
    ),
    "a class for slab": (
        lambda: SpikeAndSlab(Normal(0, 1), Normal, 0.8),
        TypeError,
        "slab must be",
    ),
    "a number for z": (
        lambda: PRIOR.slab_responsibility(0.5),
        TypeError,
        "z must be a tensor, got",
    ),
    "an array for z": (
        lambda: PRIOR.slab_responsibility(np.zeros(3)),
        TypeError,
        "torch.as_tensor",
    ),
    "gate_prob in words": (
        lambda: GatedNormal(gate_prob="0.2"),
        TypeError,
        "gate_prob must be a nu",
    ),
    "a temperature of NaN": (
        lambda: GatedNormal(gate_prob=0.2, temperature=math.nan),
        ValueError,
        "temperature must be positive, got nan",
    ),
    "a scale of 0": (
        lambda: gaussian_likelihood(IMAGES, 0.0),
        ValueError,
        "scale must be positive",
    ),
    "a scale of NaN": (
        lambda: gaussian_likelihood(IMAGES, math.nan),
        ValueError,
        "must be positive",
    ),
    "a scale a pixel": (
        lambda: gaussian_likelihood(IMAGES, torch.ones(25)),
        TypeError,
        r"scale must be a number, got Tensor of shape \(25,\)",
    ),
    "logits of an array": (
        lambda: continuous_bernoulli_likelihood(np.zeros(3)),
        TypeError,
        "logits must be a tensor",
    ),
    "an array for x": (
        lambda: bernoulli_log_likelihood(IMAGES, IMAGES.numpy()),
        TypeError,
        "x must be a tensor, got ndarray",
    ),
}
IN_DIVERGENCES = {
    "a Laplace q": (
        lambda: kl_normal_standard(Laplace(torch.zeros(3), 1.0)),
        TypeError,
        "q must be a torch Normal, got Laplace",
    ),
    "bounds of a Laplace q": (
        lambda: kl_bounds(Laplace(torch.zeros(3), 1.0), PRIOR),
        TypeError,
        "q must be a torch Normal",
    ),
    "bounds of a Normal p": (
        lambda: kl_bounds(Q, Normal(0.0, 1.0)),
        TypeError,
        "p must be a SpikeAndSlab, got Normal",
    ),
    "quadrature of a Normal p": (
        lambda: kl_quadrature(Q, Normal(0.0, 1.0)),
        TypeError,
        "must be a SpikeAndSlab",
    ),
    "2.5 nodes": (lambda: kl_quadrature(Q, PRIOR, 2.5), TypeError, "num_nodes must be a whole num"),
    "2.5 draws": (lambda: kl_monte_carlo(Q, PRIOR, 2.5), TypeError, "num_samples must be a whole"),
    "a tensor for q": (lambda: kl_monte_carlo(Q.loc, PRIOR), TypeError, "q must be a distribution"),
    "a q without gradients": (
        lambda: kl_monte_carlo(PRIOR, PRIOR),
        TypeError,
        "q must have draws that carry gradients, but SpikeAndSlab has no rsample",
    ),
    "gates under a density": (
        lambda: kl_monte_carlo(GATED_Q, PRIOR),
        ValueError,
        "is infinite: q is exactly 0 now and then",
    ),
    "a density under coin flips": (
        lambda: kl_monte_carlo(Q, Bernoulli(0.5)),
        ValueError,
        "is infinite: q is continuous",
    ),
    "no gates": (lambda: kl_gated(Q, PRIOR), TypeError, "q must be a GatedNormal, got Normal"),
    "gates without their prior": (lambda: kl_gated(GATED_Q, PRIOR), TypeError, "p must be a Gated"),
    "z of another batch": (
        lambda: kl_marginals(Q, PRIOR, torch.zeros(7, 3)),
        ValueError,
        r"z must be a draw of q, \(4, 3\), got \(7, 3\)",
    ),
    "marginals of None": (
        lambda: kl_marginals(Q, None),
        TypeError,
        "p must be a distribution, got",
    ),
}
IN_METRICS = {
    "an array of means": (lambda: active_units(np.zeros((4, 3))), TypeError, "mu must be a tensor"),
    "a posterior for means": (lambda: active_units(Q), TypeError, "such as its mean"),
    "one image's means": (
        lambda: hoyer_sparsity(torch.zeros(1, 3)),
        ValueError,
        "at least 2 image",
    ),
    "a vector of means": (lambda: active_units(torch.zeros(3)), ValueError, r"of shape \(3,\)"),
    "means of NaN": (lambda: active_units(Q.loc * math.nan), ValueError, "mu holds NaN: the model"),
    "counted NaN": (lambda: slab_count(Q.loc * math.nan, PRIOR), ValueError, "mu holds NaN"),
    "a list to count": (lambda: slab_count([[0.0]], PRIOR), TypeError, "mu must be a tensor"),
    "no slab to count": (
        lambda: slab_count(Q.loc, Normal(0.0, 1.0)),
        TypeError,
        "prior must be a SpikeAndSlab, got Normal",
    ),
    "a gated q": (
        lambda: expected_slab_count(GATED_Q, PRIOR),
        TypeError,
        "q must be a torch Norma",
    ),
    "2.5 latents to count": (lambda: prior_slab_count(PRIOR, 2.5), TypeError, "latent_dim must be"),
    "a prior a latent": (
        lambda: prior_slab_count(SpikeAndSlab.gaussian(torch.tensor([0.1, 0.2])), 2),
        ValueError,
        r"one latent, got one of batch_shape \(2,\)",
    ),
    "2.5 latents of noise": (lambda: hoyer_gaussian_reference(2.5), TypeError, "num_latents must"),
    "no prior": (lambda: hoyer_prior_reference(0.8, 3), TypeError, "prior must be a distribution"),
    "more than all latents": (
        lambda: keep_strongest(torch.zeros(4, 3), 5),
        ValueError,
        r"k must be at most D.* got 5, mu \(4, 3\)",
    ),
    "strength of other images": (
        lambda: keep_strongest(torch.zeros(4, 3), 1, torch.zeros(5, 3)),
        ValueError,
        "strength of mu's shape",
    ),
}
ELSEWHERE = {
    "pixels of 0 to 255 to binarise": (
        lambda: binarise_images(IMAGES * 255),
        ValueError,
        "to be binarised, got values from 0 to 255: divide them by 255",
    ),
    "NaN to binarise": (lambda: binarise_images(IMAGES * math.nan), ValueError, "from nan to nan"),
    "an array to binarise": (
        lambda: binarise_images(IMAGES.numpy()),
        TypeError,
        "images must be a",
    ),
    "a seed for generator": (
        lambda: binarise_images(IMAGES, 0),
        TypeError,
        r"generator must be a torch\.Generator, got int 0",
    ),
    "a number for root": (lambda: load_mnist("full", root=3), TypeError, "root must be a str or"),
    "a seed in words": (lambda: load_mnist(binarise="static", seed="a"), TypeError, "seed must be"),
    "device gpu": (lambda: load_mnist(device="gpu"), ValueError, "device is 'gpu'"),
    "a list of devices": (lambda: get_device(["cpu"]), ValueError, "try 'cpu', 'cuda' or 'mps'"),
    "no seed": (lambda: seed_everything(None), TypeError, "seed must be a whole number, got None"),
    "a folder to save to": (lambda: save_checkpoint("/", tiny()), ValueError, "got the folder '/'"),
    "save, swapped": (
        lambda: save_checkpoint(tiny(), "m.pt"),
        TypeError,
        "path must be a str or a",
    ),
    "no model to save": (lambda: save_checkpoint("m.pt", None), TypeError, "model must be a VAE"),
    "a dict of history": (lambda: save_checkpoint("m.pt", tiny(), {}), TypeError, "be a History"),
    "load, swapped": (
        lambda: load_checkpoint(tiny(), "m.pt"),
        TypeError,
        "path must be a str or a",
    ),
    "a sweep of half a job": (
        lambda: sweep([], "s.csv", jobs=0.5),
        TypeError,
        "jobs must be a who",
    ),
    "a sweep into a number": (lambda: sweep([], 3), TypeError, "path must be a str or a Path"),
    "a sweep read from a folder": (lambda: read_sweep("/"), ValueError, "must name a file"),
    "a setting in words": (
        lambda: Setting(spike_prob="0.8"),
        TypeError,
        "spike_prob must be a num",
    ),
    "a setting of half a latent": (
        lambda: Setting(latent_dim=0.5),
        TypeError,
        "latent_dim must be",
    ),
    "images without labels": (lambda: train_classifier(IMAGES), TypeError, "must be a pair"),
    "one picture without a grid": (
        lambda: plotting.plot_digits(IMAGES[0], plt.figure().gca()),
        ValueError,
        r"images must have shape \(N, H·W\), got \(25,\)",
    ),
    "one code without a batch": (
        lambda: plotting.plot_codes(Q.loc[0], plt.figure().gca()),
        ValueError,
        r"mu must have shape \(B, D\), got \(3,\)",
    ),
    "a style of no name": (lambda: plotting.line("red"), ValueError, "name must be 'dense' or"),
    "no words for a picture": (
        lambda: plotting.show(plt.figure(), None),
        ValueError,
        "alt is empty",
    ),
    "a figure for draw": (
        lambda: widgets.explore(plt.figure(), "a picture"),
        TypeError,
        "draw must be a function, got Figure",
    ),
    "a number for a slider": (
        lambda: widgets.explore(lambda a: None, "a picture", a=3),
        TypeError,
        "a must be a widget, such as a slider, got int 3",
    ),
    "a drawing that returns nothing": (
        lambda: widgets.explore(lambda a: None, "a picture", a=ipywidgets.IntSlider()),
        TypeError,
        "draw must return its figure, got None",
    ),
}
ALL = IN_FIT | IN_MODELS | IN_DISTRIBUTIONS | IN_DIVERGENCES | IN_METRICS | ELSEWHERE


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a call that goes through after all writes nothing here
    yield
    plt.close("all")


def said_by_us(error: BaseException) -> bool:
    """Whether the innermost frame of an error is a `raise` of the package."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return PACKAGE in Path(frame.filename).parents and (frame.line or "").startswith("raise")


@pytest.mark.parametrize("name", ALL)
def test_a_bad_call_is_answered_in_a_sentence(name, tmp_path):
    call, kind, words = ALL[name]
    with pytest.raises(kind, match=words) as caught:
        call()
    assert said_by_us(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_raw_error_is_told_from_a_sentence():
    for raw in (lambda: torch.zeros(2) @ torch.zeros(3), lambda: VAE(2, 2, 2, 2, 2, 2, 2, 2, 2)):
        with pytest.raises((RuntimeError, TypeError)) as caught:
            raw()
        assert not said_by_us(caught.value)


# ---- what torch says itself


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (
            lambda: ContinuousBernoulli(torch.tensor([math.nan])),
            lambda: torch.distributions.ContinuousBernoulli(logits=torch.tensor([math.nan])),
        ),
        (
            lambda: GatedNormal(torch.tensor(math.nan)),
            lambda: Bernoulli(logits=torch.tensor(math.nan)),
        ),
        (lambda: PRIOR.log_prob(0.5), lambda: Normal(0.0, 1.0).log_prob(0.5)),
        (lambda: GATED_Q.log_prob(0.5), lambda: Normal(0.0, 1.0).log_prob(0.5)),
        (lambda: ContinuousBernoulli("a"), lambda: Bernoulli(logits="a")),
    ],
    ids=["NaN logits", "NaN gates", "a number for z", "a number behind a gate", "logits in words"],
)
def test_a_distribution_says_what_torchs_own_say(ours, theirs):
    with pytest.raises(ValueError) as wanted:
        theirs()
    with pytest.raises(ValueError) as said:
        ours()
    first_words = " ".join(str(wanted.value).split()[:2])
    assert str(said.value).startswith(first_words)


# ---- what only looked bad, and works


def test_whole_numbers_of_numpy_and_torch_are_numbers():
    history = trained(epochs=np.int64(2), batch_size=torch.tensor(30), seed=np.int64(3))
    assert history == trained(epochs=2, batch_size=30, seed=3)
    assert VAE(np.int64(3)).latent_dim == 3 and tiny().sample(np.int64(2)).shape == (2, 25)


def test_real_valued_pixels_are_a_gaussians():
    history = trained(IMAGES * 2 - 1, tiny(likelihood=gaussian_likelihood))
    assert math.isfinite(history.train["loss"][0])


def test_grey_pixels_pairs_and_doubles_train_as_before():
    assert trained(Digits(IMAGES, LABELS)) == trained()
    assert math.isfinite(trained(IMAGES.double(), tiny().double()).train["loss"][0])


def test_a_likelihood_without_a_support_takes_any_image():
    class OwnPixels(torch.distributions.Independent):
        @property
        def support(self):
            raise NotImplementedError  # as torch's base class does

    def likelihood(mean):
        return OwnPixels(Normal(mean, torch.ones_like(mean), validate_args=False), 1)

    trained(IMAGES * 255, tiny(likelihood=likelihood))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool])
def test_integers_have_the_density_of_the_same_floats(dtype):
    z = torch.tensor([0, 1, 1], dtype=dtype)
    torch.testing.assert_close(PRIOR.log_prob(z), PRIOR.log_prob(z.float()))
    torch.testing.assert_close(PRIOR.slab_responsibility(z), PRIOR.slab_responsibility(z.float()))


def test_integers_are_counted_past_the_crossover():
    z = torch.tensor([[0, 1, -2]])
    assert slab_count(z, PRIOR).tolist() == slab_count(z.float(), PRIOR).tolist() == [2]


@pytest.mark.parametrize("one", [1, torch.tensor(1), np.int64(1), np.float32(1)])
def test_a_variance_of_one_need_not_be_written_as_a_float(one):
    torch.manual_seed(0)
    drawn = SpikeAndSlab.gaussian(0.8, 0.05, one).sample((5,))
    torch.manual_seed(0)
    assert torch.equal(drawn, SpikeAndSlab.gaussian(0.8, 0.05, 1.0).sample((5,)))
    assert SpikeAndSlab.gaussian(one).crossover == math.inf  # always off


def test_a_numpy_number_does_not_change_the_precision():
    assert SpikeAndSlab.gaussian(0.8, np.float64(0.05)).sample((2,)).dtype == torch.float32


def test_continuous_bernoulli_takes_a_number_as_torchs_does():
    x = torch.tensor([0.1, 0.9])
    theirs = torch.distributions.ContinuousBernoulli(logits=1.5)
    torch.testing.assert_close(ContinuousBernoulli(1.5).log_prob(x), theirs.log_prob(x))


def test_an_error_in_on_epoch_loses_no_history():
    def full_disk(epoch, model, history):
        if epoch == 2:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left") as caught:
        trained(epochs=3, on_epoch=full_disk)
    assert caught.value.history.epochs == 2


def test_values_are_not_looked_at_where_torch_does_not_either():
    Distribution.set_default_validate_args(False)
    try:
        trained(IMAGES * 1.5)
    finally:
        Distribution.set_default_validate_args(__debug__)
