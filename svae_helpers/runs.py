"""One run of the sweep: a `Setting` in, a trained and measured model's row out."""

import math
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from torch import Generator, Tensor, nn
from torch.distributions import Distribution, kl_divergence

from .classifier import train_classifier
from .data import Digits, binarise_images, load_mnist
from .devices import seed_everything, use_one_thread
from .divergences import kl_marginals, kl_monte_carlo
from .gated import gated_posterior
from .measures import MEASURES, measure
from .models import VAE
from .settings import Setting, as_text
from .training import fit

NUM_TEST = 1_000  # test images that every model is measured on


def kl_detached(q: Distribution, p: Distribution, num_samples: int = 10) -> Tensor:
    """`kl_monte_carlo` with samples that carry no gradient: the same value, no pull (Eq. 2.2)."""
    z = q.sample((num_samples,))  # (K, B, D), a constant for autograd
    return (q.log_prob(z) - p.log_prob(z)).mean(dim=0)


def sharp_posterior(gate_head: Tensor, mu: Tensor, log_var: Tensor) -> Distribution:
    """A gated posterior whose gates begin open and move five times as fast as the head."""
    return gated_posterior(5 * gate_head + 2, mu, log_var, hard=False)


POSTERIORS = {
    "straight-through": gated_posterior,
    "relaxed": partial(gated_posterior, hard=False),
    "sharp": sharp_posterior,
}


def train_setting(
    setting: Setting, images: Tensor, on_epoch: Callable[..., object] | None = None
) -> VAE:
    """Train one setting's model from its seed; a half-trained one (KeyboardInterrupt) is none."""
    seed_everything(setting.seed)
    posterior = {}
    if setting.posterior in POSTERIORS:
        posterior = {"posterior": POSTERIORS[setting.posterior]}
    model = VAE(setting.latent_dim, prior=setting.model_prior, **posterior)
    history = fit(
        model,
        images,
        setting.epochs,
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        schedule=None if setting.schedule == "constant" else setting.schedule,
        kl=_kl_of(setting),
        beta=setting.kl_weight,
        kl_warmup=setting.kl_warmup,
        penalty=_penalty_of(setting),
        binarise="dynamic" if setting.pixels == "binary" else "none",
        on_epoch=on_epoch,
        seed=setting.seed,
        device="cpu",
        progress=False,
    )
    if history.interrupted:
        raise KeyboardInterrupt
    return model


def run(setting: Setting, root: str | Path | None = None) -> dict[str, str]:
    """Train and measure one setting: a row of the CSV file, as text.

    A training that becomes NaN or infinite is a result too: "diverged" is the epoch in which it
    did, and the other measures are empty.

    Raises:
        FloatingPointError: if a measure of a trained model is NaN or infinite.
    """
    train, test = _images(setting, root)
    classifier = _classifier(setting.source, root)
    try:
        model = train_setting(setting, train)
    except FloatingPointError as error:
        diverged = str(error.history.epochs + 1)  # type: ignore[attr-defined]  # `fit` adds it
        return as_text(setting) | dict.fromkeys(MEASURES, "") | {"diverged": diverged}
    measures = measure(model, setting, train, test, classifier)
    bad = [name for name, value in measures.items() if value != "" and not math.isfinite(value)]
    if bad:
        raise FloatingPointError(f"{', '.join(bad)} not finite for {setting}")
    numbers = {name: value if value == "" else f"{value:.5g}" for name, value in measures.items()}
    return as_text(setting) | numbers


def attempt(
    setting: Setting, root: str | Path | None
) -> tuple[Setting, dict[str, str] | Exception]:
    """The setting with its row or, so that one run's error loses no other's, with the error."""
    use_one_thread()
    try:
        return setting, run(setting) if root is None else run(setting, root)
    except Exception as error:
        return setting, error


def _kl_of(setting: Setting) -> Callable[[Distribution, Distribution], Tensor]:
    if setting.prior == "gated" or setting.kl_samples == 0:
        return kl_divergence
    kl = kl_detached if setting.gradient == "detached" else kl_monte_carlo
    return partial(kl, num_samples=setting.kl_samples)


def _penalty_of(setting: Setting) -> Callable[..., Tensor] | None:
    if setting.marginal_weight == 0:
        return None
    return lambda q, z, prior: setting.marginal_weight * kl_marginals(q, prior, z).sum()


@cache
def _loaded(source: str, root: str | Path | None) -> tuple[Digits, Digits]:
    return load_mnist(source, root)


@cache
def _classifier(source: str, root: str | Path | None) -> nn.Module:
    return train_classifier(_loaded(source, root)[0])


def _images(setting: Setting, root: str | Path | None = None) -> tuple[Tensor, Tensor]:
    """Training images, and test images of the kind of pixel that the model is judged on."""
    train, test = _loaded(setting.source, root)
    chosen = test.images[:NUM_TEST]
    if setting.pixels == "binary":
        chosen = binarise_images(chosen, Generator().manual_seed(0))
    return train.images, chosen
