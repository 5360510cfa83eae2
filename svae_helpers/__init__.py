"""Tested helpers of the course on sparse variational autoencoders; see the notebooks."""

from torch.distributions import kl_divergence

from .data import Digits, binarise_images, load_mnist
from .distributions import (
    GatedNormal,
    SpikeAndSlab,
    gated_posterior,
    gaussian_posterior,
)
from .divergences import (
    expected_slab_responsibility,
    kl_bounds,
    kl_gated,
    kl_monte_carlo,
    kl_normal_standard,
    kl_quadrature,
)
from .likelihoods import (
    ContinuousBernoulli,
    bernoulli_likelihood,
    bernoulli_log_likelihood,
    continuous_bernoulli_likelihood,
    gaussian_likelihood,
)
from .metrics import (
    active_units,
    expected_slab_count,
    hoyer_gaussian_reference,
    hoyer_prior_reference,
    hoyer_sparsity,
    live_latents,
    prior_slab_count,
    slab_count,
)
from .models import VAE
from .objectives import ElboTerms, elbo_terms, importance_weighted_bound
from .training import (
    History,
    evaluate,
    fit,
    get_device,
    load_checkpoint,
    posterior_means,
    save_checkpoint,
    seed_everything,
)
