"""The files of the trained models: the package's own, and the playground's.

`python -m svae_helpers.export train` trains the models of `pretrained` again (minutes) and writes
their weights; `python -m svae_helpers.export page weights.js` writes what the page needs of them.
"""

import argparse
import base64
import json
import os
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from .classifier import train_classifier
from .data import load_mnist
from .devices import seed_everything, use_one_thread
from .evaluation import evaluate, posterior_means
from .metrics import keep_strongest, live_latents
from .models import VAE
from .runs import train_setting
from .spike_and_slab import gaussian_parameters
from .trained_models import FILE, PRETRAINED, pretrained, quantise, read_parts, rebuilt

ON_THE_PAGE = ("dense", "sparse_0.5", "sparse", "sparse_0.9")
CLASSIFIER = "classifier"  # it puts the page's pictures into words
DIGITS_A_CLASS = 5


def train_models(path: Path, epochs: int | None = None, say: Callable[[str], None] = print) -> None:
    """Train the models of `PRETRAINED` and the classifier, and write their weights to a file.

    Args:
        epochs: of every model, in place of the course's budget.
    """
    train, test = load_mnist()
    lit = train.images.amax(dim=0) > 0
    arrays: dict[str, np.ndarray] = {}
    for name, setting in PRETRAINED.items():
        model = train_setting(replace(setting, epochs=epochs or setting.epochs), train.images)
        before = elbo_of(model, test.images)
        weights = model.state_dict()
        weights["encoder.hidden.weight"][:, ~lit] = 0  # never lit in training, so never trained
        parts = quantised(weights)
        model.load_state_dict({key: rebuilt(parts, key) for key in model.state_dict()})
        after = elbo_of(model, test.images)
        parts["elbo"] = torch.tensor([before, after])
        arrays |= {f"{name}/{key}": value.numpy() for key, value in parts.items()}
        say(f"{name}: ELBO {before:.3f} nats, with 8 bits {after:.3f}")
    judge = quantised(train_classifier(train).state_dict())
    arrays |= {f"{CLASSIFIER}/{key}": value.numpy() for key, value in judge.items()}
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    os.replace(partial, path)
    say(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def quantised(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Levels and scales of the weights, and the biases as they are."""
    parts = {}
    for key, value in weights.items():
        if value.dim() > 1:
            parts[key], parts[f"{key}/scale"] = quantise(value)
        else:
            parts[key] = value
    return parts


def elbo_of(model: VAE, images: Tensor) -> float:
    """The ELBO of test images with the exact KL, from the same draws for every model."""
    seed_everything(0)
    return float(evaluate(model, images, kl_divergence).elbo.mean())


def page_content() -> dict:
    """What the playground reads: models, classifier and some test digits, each as packed bytes."""
    test = load_mnist()[1]
    models = {}
    for name in ON_THE_PAGE:
        model, parts = pretrained(name), means_only(read_parts(name))
        mu = posterior_means(model, test.images)
        models[name] = {
            "prior": _prior_of(model),
            "deviations": [round(value, 6) for value in mu.std(dim=0).tolist()],
            "live": live_latents(mu).tolist(),
            "errors": mean_errors(model, mu, test.images),
            **packed_network(parts, list(model.state_dict())),
        }
    parts = read_parts(CLASSIFIER)
    layers = [key for key in parts if not key.endswith("/scale")]
    rows = test.labels.argsort(stable=True)  # by digit, as many of each
    rows = rows[:: len(rows) // (10 * DIGITS_A_CLASS)]
    pixels = (test.images[rows] * 255).round().to(torch.uint8)
    return {
        "models": models,
        "classifier": packed_network(parts, layers),
        "digits": {
            "rows": rows.tolist(),
            "labels": test.labels[rows].tolist(),
            "pixels": packed(pixels.numpy().tobytes()),
        },
    }


@torch.no_grad()
def mean_errors(model: VAE, mu: Tensor, images: Tensor) -> list[float]:
    """Cross-entropy of reconstructions from the k strongest latents, k = 0 … D, in nats."""
    kept = (keep_strongest(mu, k) for k in range(model.latent_dim + 1))
    return [round(-float(model.decode(z).log_prob(images).mean()), 2) for z in kept]


def means_only(parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """A model without the encoder's second head, log σ², which the page has no use for."""
    heads = {key: value for key, value in parts.items() if key.startswith("encoder.output")}
    return parts | {key: value.chunk(2)[0] for key, value in heads.items()}


def packed_network(parts: dict[str, Tensor], keys: list[str]) -> dict:
    """A network's layers in order: float32 scales and biases of each first, then all levels."""
    weights = [key for key in keys if key.endswith("weight")]
    floats = [
        parts[name] for key in weights for name in (f"{key}/scale", key.replace("weight", "bias"))
    ]
    content = b"".join(part.numpy().astype("<f4").tobytes() for part in floats)
    content += b"".join(parts[key].numpy().tobytes() for key in weights)
    return {"shapes": [list(parts[key].shape) for key in weights], "bytes": packed(content)}


def packed(content: bytes) -> str:
    """Deflated (a browser can inflate it) and as base64, since a page cannot read files."""
    return base64.b64encode(zlib.compress(content, 9)).decode()


def write_page(path: Path) -> None:
    """Write the playground's numbers as a script: a page opened as a file can load nothing else."""
    content = json.dumps(page_content(), separators=(",", ":"))
    path.write_text(f"window.playgroundContent = {content};\n", encoding="utf-8")


def _prior_of(model: VAE) -> dict[str, float]:
    if isinstance(model.prior, Normal):
        return {"deviation": float(model.prior.scale)}
    names = ("spikeProb", "spikeVar", "slabVar")
    values = (float(value) for value in gaussian_parameters(model.prior))  # type: ignore[arg-type]
    crossover = float(model.prior.crossover)  # type: ignore[attr-defined]
    return {**dict(zip(names, values)), "crossover": crossover}


def main(arguments: Sequence[str] | None = None) -> None:
    own = Path(str(files("svae_helpers.assets") / FILE))
    parser = argparse.ArgumentParser(description="Write the files of the trained models.")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train the models of `pretrained` again")
    train.add_argument("path", type=Path, nargs="?", default=own, help="default: the package's own")
    train.add_argument("--epochs", type=int, help="of every model, in place of the course's budget")
    page = commands.add_parser("page", help="write the playground's numbers")
    page.add_argument("path", type=Path, help="a .js file")
    options = parser.parse_args(arguments)
    use_one_thread()
    try:
        if options.command == "train":
            if options.epochs is not None and options.epochs < 1:
                parser.error("--epochs must be at least 1")
            train_models(options.path, options.epochs)
        else:
            write_page(options.path)
    except KeyboardInterrupt:
        sys.exit("Interrupted: nothing was written.")
    except (OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
