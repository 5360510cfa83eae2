"""Tested helpers of the course on sparse variational autoencoders; see the notebooks."""

from torch.distributions import kl_divergence

from .checkpoints import load_checkpoint, save_checkpoint
from .data import Digits, binarise_images, load_mnist
from .devices import get_device, seed_everything, use_one_thread
from .divergences import (
    kl_bounds,
    kl_gated,
    kl_marginals,
    kl_monte_carlo,
    kl_normal_standard,
    kl_quadrature,
)
from .evaluation import Evaluation, evaluate, posterior_means
from .gated import GatedNormal, gated_posterior
from .history import History
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
    expected_slab_responsibility,
    hoyer_gaussian_reference,
    hoyer_prior_reference,
    hoyer_sparsity,
    keep_strongest,
    live_latents,
    prior_slab_count,
    slab_count,
    standardised_codes,
)
from .models import VAE, gaussian_posterior
from .objectives import ElboTerms, elbo_terms, elbo_terms_at, importance_weighted_bound
from .spike_and_slab import SpikeAndSlab
from .trained_models import pretrained
from .training import default_optimiser, fit

__version__ = "0.3.0"

__all__ = [
    "VAE",
    "ContinuousBernoulli",
    "Digits",
    "ElboTerms",
    "Evaluation",
    "GatedNormal",
    "History",
    "SpikeAndSlab",
    "active_units",
    "bernoulli_likelihood",
    "bernoulli_log_likelihood",
    "binarise_images",
    "continuous_bernoulli_likelihood",
    "default_optimiser",
    "elbo_terms",
    "elbo_terms_at",
    "evaluate",
    "expected_slab_count",
    "expected_slab_responsibility",
    "fit",
    "gated_posterior",
    "gaussian_likelihood",
    "gaussian_posterior",
    "get_device",
    "hoyer_gaussian_reference",
    "hoyer_prior_reference",
    "hoyer_sparsity",
    "importance_weighted_bound",
    "keep_strongest",
    "kl_bounds",
    "kl_divergence",
    "kl_gated",
    "kl_marginals",
    "kl_monte_carlo",
    "kl_normal_standard",
    "kl_quadrature",
    "live_latents",
    "load_checkpoint",
    "load_mnist",
    "posterior_means",
    "pretrained",
    "prior_slab_count",
    "save_checkpoint",
    "seed_everything",
    "slab_count",
    "standardised_codes",
    "use_one_thread",
]
