"""What the sweep measures of a trained model: sparsity, fit, samples, in nats and latents."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence

from . import metrics
from .classifier import judge
from .devices import seed_everything
from .divergences import kl_marginals
from .evaluation import evaluate
from .gated import GatedNormal
from .models import VAE
from .settings import Setting
from .surgery import elbo_surgery, latent_surgery

BOUND_SAMPLES = 200  # of the importance-weighted log p(x)
NUM_GENERATED = 1_000  # images judged by the classifier
KEPT = (1, 2, 4, 8)  # strongest latents
RARE = 0.01  # a latent is rare if on for a smaller share of the images
MEASURES = (
    "diverged", "elbo", "reconstruction", "kl", "log_px", "train_elbo",
    "count", "count_prior", "drawn_count", "expected_count", "expected_count_prior",
    "active_units", "rare_latents",
    "mutual_information", "kl_aggregate", "latent_information", "kl_marginals",
    "hoyer", "hoyer_gaussian", "hoyer_prior", "confidence", "class_entropy",
    "at_means", "off_silenced", "kept_1", "kept_2", "kept_4", "kept_8",
    "kept_4_by_kl", "kept_4_by_effect",
)  # fmt: skip  # a line a kind of measure


@torch.no_grad()
def measure(
    model: VAE, setting: Setting, train: Tensor, test: Tensor, classifier: nn.Module
) -> dict[str, float | str]:
    """Measure a trained model on test images (N, 784): `MEASURES`, "" where one has no meaning."""
    seed_everything(setting.seed)
    terms = evaluate(model, test, kl_divergence)
    q = model.encode(test)
    log_px: float | str = ""
    if setting.pixels == "binary":  # grey pixels have no likelihood
        bound = evaluate(model, test[:500], kl_divergence, num_samples=BOUND_SAMPLES).bound
        log_px = bound.mean()
    confidence, class_entropy = judge(classifier, model.sample(NUM_GENERATED))
    return {
        "diverged": "",
        "elbo": terms.elbo.mean(),
        "reconstruction": terms.reconstruction.mean(),
        "kl": terms.kl.mean(),
        "log_px": log_px,
        "train_elbo": evaluate(model, train[: len(test)], kl_divergence).elbo.mean(),
        **_counts(q, model.prior, setting),
        **_split(q, model.prior, setting),
        **_hoyer(q.mean, model.prior),
        "confidence": confidence,
        "class_entropy": class_entropy,
        **_kept(model, q, test, setting),
    }


def latents_on(q: Distribution, setting: Setting) -> Tensor:
    """Which latents of which image are on, (N, D): means past the crossover, or gates above ½."""
    if isinstance(q, GatedNormal):
        return q.gate_prob > 0.5
    return q.mean.abs() > setting.counting_prior.crossover


def _counts(q: Distribution, prior: Distribution, setting: Setting) -> dict[str, float]:
    on, reference, d = latents_on(q, setting), setting.counting_prior, setting.latent_dim
    if isinstance(q, GatedNormal):
        drawn, expected = q.sample() != 0, q.gate_prob
        own, own_expected = d * float(prior.gate_prob), d * float(prior.gate_prob)
    else:
        drawn = q.sample().abs() > reference.crossover
        expected = metrics.expected_slab_responsibility(q, reference)
        if isinstance(prior, Normal):  # what N(0, s²) gives under the sparse prior's definitions
            own = d * math.erfc(float(reference.crossover / prior.scale) / math.sqrt(2))
            one = Normal(torch.zeros(1, 1), prior.scale.reshape(1, 1))
            own_expected = d * float(metrics.expected_slab_responsibility(one, reference))
        else:
            own, own_expected = metrics.prior_slab_count(reference, d), d * (1 - setting.spike_prob)
    return {
        "count": on.sum(-1).float().mean(),
        "count_prior": own,
        "drawn_count": drawn.sum(-1).float().mean(),
        "expected_count": expected.sum(-1).mean(),
        "expected_count_prior": own_expected,
        "active_units": int(metrics.active_units(q.mean)),
        "rare_latents": int((on.float().mean(0) < RARE).sum()),
    }


def _split(q: Distribution, prior: Distribution, setting: Setting) -> dict[str, float | str]:
    """Information and mismatch; "" where no KL held the posteriors, which may be all but points."""
    names = ("mutual_information", "kl_aggregate", "latent_information", "kl_marginals")
    if setting.gradient != "pathwise" or setting.reduction != "sum":
        return dict.fromkeys(names, "")
    if isinstance(q, GatedNormal):
        marginals = kl_marginals(q, prior).sum()
        information = kl_divergence(q, prior).sum(-1).mean() - marginals
        pair: tuple[float | str, float | str] = ("", "")  # for Gaussian posteriors only
    else:
        pair = elbo_surgery(q, prior)
        information, marginals = latent_surgery(q, prior)
    return dict(zip(names, (*pair, information, marginals), strict=True))


def _hoyer(mu: Tensor, prior: Distribution) -> dict[str, float | str]:
    live = int(metrics.active_units(mu))
    if live < 2:
        return {"hoyer": "", "hoyer_gaussian": "", "hoyer_prior": ""}
    return {
        "hoyer": metrics.hoyer_sparsity(mu),
        "hoyer_gaussian": metrics.hoyer_gaussian_reference(live),
        "hoyer_prior": metrics.hoyer_prior_reference(prior, live),
    }


def _kept(model: VAE, q: Distribution, test: Tensor, setting: Setting) -> dict[str, float | str]:
    """Reconstruction at the means, with what is off silenced, and with the k strongest latents."""

    def score(z: Tensor) -> Tensor:
        return model.decode(z).log_prob(test)

    whole, on = score(q.mean), latents_on(q, setting)
    silenced = score(torch.where(on, getattr(q, "loc", q.mean), 0.0)).mean()
    effects = []
    for latent in range(setting.latent_dim):
        without = q.mean.clone()
        without[:, latent] = 0
        effects.append(whole - score(without))
    strengths = {"by_kl": kl_divergence(q, model.prior), "by_effect": torch.stack(effects, -1)}
    kept: dict[str, float | str] = {"at_means": whole.mean(), "off_silenced": silenced}
    for k in KEPT:
        few = k <= setting.latent_dim
        kept[f"kept_{k}"] = score(metrics.keep_strongest(q.mean, k)).mean() if few else ""
    for name, strength in strengths.items():
        few = setting.latent_dim >= 4
        kept[f"kept_4_{name}"] = (
            score(metrics.keep_strongest(q.mean, 4, strength)).mean() if few else ""
        )
    return kept
