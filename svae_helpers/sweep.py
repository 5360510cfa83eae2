"""The runs behind notebook 07; `python -m svae_helpers.sweep --output sweep.csv` makes its file.

A `Setting` is one training, `run` turns it into a row, `sweep` adds the rows that a file lacks.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from importlib.resources import files
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, kl_divergence

from . import metrics
from .classifier import judge, train_classifier
from .data import binarise_images, load_mnist
from .devices import seed_everything
from .divergences import kl_monte_carlo
from .evaluation import evaluate
from .models import VAE
from .settings import (
    ALLOWED,
    BATCH_SIZE,
    COLUMNS,
    KEY,
    LEARNING_RATE,
    SPIKE_VAR,
    Setting,
    full_grid,
)
from .spike_and_slab import SpikeAndSlab
from .surgery import elbo_surgery, latent_surgery
from .tables import add_row, read_rows
from .training import fit

COUNTING_PROB = 0.8  # a dense model's latents are counted with this spike_prob's crossover
BOUND_SAMPLES = 200  # of the importance-weighted log p(x)
NUM_GENERATED = 1_000  # images judged by the classifier


def kl_detached(q: Distribution, p: Distribution, num_samples: int = 10) -> Tensor:
    """`kl_monte_carlo` with samples that carry no gradient: the same value, no pull (Eq. 2.2)."""
    z = q.sample((num_samples,))  # (K, B, D), a constant for autograd
    return (q.log_prob(z) - p.log_prob(z)).mean(dim=0)


def train_setting(setting: Setting, images: Tensor) -> VAE:
    """Train one setting's model from its seed; a half-trained one (KeyboardInterrupt) is none."""
    seed_everything(setting.seed)
    model = VAE(setting.latent_dim, prior=setting.prior)
    kl = kl_detached if setting.gradient == "detached" else kl_monte_carlo
    binarise = "dynamic" if setting.pixels == "binary" else "none"
    options = {"beta": setting.beta, "binarise": binarise, "seed": setting.seed}
    options |= {"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE}
    options |= {"device": "cpu", "progress": False}
    history = fit(model, images, setting.epochs, kl=kl, **options)
    if history.interrupted:
        raise KeyboardInterrupt
    return model


@torch.no_grad()
def measure(model: VAE, setting: Setting, images: Tensor) -> dict[str, float]:
    """Measure a trained model on test images (N, 784): `MEASURES`, in nats per image or latents."""
    classifier = train_classifier()  # first: it sets a seed of its own
    seed_everything(setting.seed)
    terms = evaluate(model, images, kl_divergence)
    q = model.encode(images)
    reference = SpikeAndSlab.gaussian(setting.spike_prob or COUNTING_PROB, SPIKE_VAR)
    if setting.spike_prob:
        own_count = metrics.prior_slab_count(reference, setting.latent_dim)
        own_expected = (1 - setting.spike_prob) * setting.latent_dim
    else:  # what N(0, I) gives under the sparse prior's definitions
        own_count = metrics.slab_count(model.sample_prior(100_000), reference).float().mean()
        standard = Normal(torch.zeros(1, setting.latent_dim), torch.ones(1, setting.latent_dim))
        own_expected = metrics.expected_slab_count(standard, reference).mean()
    live = int(metrics.active_units(q.mean))
    information, aggregate = elbo_surgery(q, model.prior)
    latent_information, marginals = latent_surgery(q, model.prior)
    confidence, class_entropy = judge(classifier, model.sample(NUM_GENERATED))
    log_px = ""
    if setting.pixels == "binary":  # grey pixels have no likelihood
        bound = evaluate(model, images[:500], kl_divergence, num_samples=BOUND_SAMPLES).bound
        log_px = bound.mean()
    few = live < 2  # too few for Hoyer's measure
    return {
        "elbo": terms.elbo.mean(),
        "reconstruction": terms.reconstruction.mean(),
        "kl": terms.kl.mean(),
        "log_px": log_px,
        "count": metrics.slab_count(q.mean, reference).float().mean(),
        "count_prior": own_count,
        "drawn_count": metrics.slab_count(q.sample(), reference).float().mean(),
        "expected_count": metrics.expected_slab_count(q, reference).mean(),
        "expected_count_prior": own_expected,
        "active_units": live,
        "mutual_information": information,
        "kl_aggregate": aggregate,
        "latent_information": latent_information,
        "kl_marginals": marginals,
        "hoyer": 0.0 if few else metrics.hoyer_sparsity(q.mean),
        "hoyer_gaussian": 0.0 if few else metrics.hoyer_gaussian_reference(live),
        "hoyer_prior": 0.0 if few else metrics.hoyer_prior_reference(model.prior, live),
        "confidence": confidence,
        "class_entropy": class_entropy,
    }


def run(setting: Setting) -> dict[str, str]:
    """Train and measure one setting: a row of the CSV file, as text.

    Raises:
        FloatingPointError: if training or a measure becomes NaN or infinite.
    """
    train, test = _images(setting.pixels)
    measures = measure(train_setting(setting, train), setting, test)
    bad = [name for name, value in measures.items() if value != "" and not math.isfinite(value)]
    if bad:
        raise FloatingPointError(f"{', '.join(bad)} not finite for {setting}")
    numbers = {name: value if value == "" else f"{value:.5g}" for name, value in measures.items()}
    return _key(setting) | numbers


def sweep(settings: Sequence[Setting], path: str | Path, say: Callable[[str], None] = print) -> int:
    """Run the settings that a CSV file lacks, a row on the disk before the next; returns how many.

    Raises:
        ValueError: if the file holds something else than rows of this sweep.
    """
    path = Path(path)
    done = set(read_rows(path, COLUMNS, ALLOWED)[KEY].itertuples(index=False, name=None))
    todo = [s for s in dict.fromkeys(settings) if tuple(_key(s).values()) not in done]
    say(f"{len(settings) - len(todo)} of {len(settings)} runs are in {path.name}")
    start = time.perf_counter()
    for number, setting in enumerate(todo, 1):
        row = run(setting)
        add_row(path, row, COLUMNS, ALLOWED)
        left = (time.perf_counter() - start) / number * (len(todo) - number)
        what = ", ".join(f"{name} {value}" for name, value in _key(setting).items())
        say(f"[{number}/{len(todo)}] {what}: ELBO {row['elbo']}; {left / 60:.0f} min left")
    return len(todo)


def read_sweep(path: str | Path | None = None) -> pd.DataFrame:
    """Rows of a sweep's file, with a column for each field of `Setting` and each measure.

    Args:
        path: the CSV file; the course's own, which comes with the package, if None.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds something else than rows of this sweep.
    """
    path = Path(str(files("svae_helpers.assets") / "sweep.csv") if path is None else path)
    if not path.is_file():
        raise FileNotFoundError(f"no sweep at {path}: python -m svae_helpers.sweep makes one")
    rows = read_rows(path, COLUMNS, ALLOWED)
    return rows.assign(**{name: pd.to_numeric(rows[name]) for name in rows if name not in ALLOWED})


def _key(setting: Setting) -> dict[str, str]:
    return {name: str(value) for name, value in asdict(setting).items()}


def _images(pixels: str) -> tuple[Tensor, Tensor]:
    """Training images, and test images of the kind of pixel that the model is judged on."""
    train, test = load_mnist()
    if pixels == "grey":
        return train.images, test.images
    return train.images, binarise_images(test.images, torch.Generator().manual_seed(0))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Run the sweep behind notebook 07.")
    parser.add_argument("--output", type=Path, default=Path("sweep.csv"), help="the CSV file")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args(arguments)
    if min(options.seeds, options.epochs) < 1:
        parser.error("--seeds and --epochs must be at least 1")
    try:
        say = partial(print, flush=True)
        sweep(full_grid(range(options.seeds), options.epochs), options.output, say)
    except KeyboardInterrupt:
        sys.exit("Interrupted: finished runs are kept; the same command goes on from here.")
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
