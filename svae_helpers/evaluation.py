"""What a model gives on a whole data set, in batches of bounded memory."""

import math
import sys
from typing import NamedTuple

import torch
from IPython import get_ipython
from torch import Tensor
from tqdm import tqdm

from .arguments import having, one_of, whole_number
from .data import Digits, binarise_images
from .divergences import kl_monte_carlo
from .images import evaluating, images_of, refuse_pixels_outside
from .models import VAE
from .objectives import KL, elbo_terms, importance_weighted_bound

LARGEST_BATCH = 2_000
NUMBERS_AT_ONCE = 2**23  # decoded pixels held at a time: 32 MiB in float32, for each copy of them


class Evaluation(NamedTuple):
    """The ELBO's terms for each image of a data set, (N,), in nats.

    Attributes:
        reconstruction, kl: as in `ElboTerms`.
        bound: the importance-weighted bound on log p(x) (Eq. 1.13); None if it was not asked for.
    """

    reconstruction: Tensor
    kl: Tensor
    bound: Tensor | None

    @property
    def elbo(self) -> Tensor:
        """(N,): reconstruction − kl."""
        return self.reconstruction - self.kl


@torch.no_grad()
def evaluate(
    model: VAE,
    images: Tensor | Digits,
    kl: KL = kl_monte_carlo,
    binarise: str = "none",
    num_samples: int = 0,
    progress: bool = False,
) -> Evaluation:
    """The ELBO of a whole data set and, with num_samples, its importance-weighted bound.

    Args:
        images: (N, ...), on any device, or a pair (images, labels).
        kl: as in `elbo_terms`.
        binarise: "dynamic" draws each pixel once, afresh in every call.
        num_samples: K of the importance-weighted bound; 0 leaves the bound out.
        progress: whether to show a bar.

    Raises:
        ValueError: for images that do not fit the model or its likelihood, or another binarise.
        TypeError: for images that are no tensor.
    """
    having("model", model, "a VAE", ("encode", "decode", "prior", "device"))
    images = images_of(images)
    if not len(images):
        raise ValueError("images must be at least one, got none")
    num_samples = whole_number("num_samples", num_samples, 0)
    one_of("binarise", binarise, ("none", "dynamic"))
    size = max(1, min(LARGEST_BATCH, NUMBERS_AT_ONCE // (max(1, num_samples) * images[0].numel())))
    parts: list[list[Tensor]] = [[], [], []]
    with evaluating(model), progress_bar(len(images), progress) as bar:
        if isinstance(model, VAE):
            refuse_pixels_outside(images, model)
        for x in images.split(size):
            x = x.to(model.device)
            if binarise == "dynamic":
                x = binarise_images(x)
            results = [*elbo_terms(model, x, kl)]
            if num_samples:
                results.append(_bound_in_pieces(model, x, num_samples))
            for part, result in zip(parts, results):
                part.append(result)
            bar.update(len(x))
    reconstruction, divergence, bound = (torch.cat(part) if part else None for part in parts)
    return Evaluation(reconstruction, divergence, bound)


@torch.no_grad()
def posterior_means(model: VAE, images: Tensor | Digits) -> Tensor:
    """Means of q(z|x) for a whole data set: (N, D), on the model's device.

    Raises:
        NotImplementedError: if the model's posterior has no mean.
    """
    having("model", model, "a VAE", ("encode", "device"))
    batches = images_of(images).split(LARGEST_BATCH)
    with evaluating(model):
        return torch.cat([model.encode(x.to(model.device)).mean for x in batches])


def progress_bar(total: int, wanted: bool) -> tqdm:
    """A progress bar for a notebook or a terminal; none where nobody would see it."""
    seen = getattr(get_ipython(), "kernel", None) is not None or sys.stdout.isatty()
    return tqdm(total=total, disable=not (wanted and seen), leave=False, ncols=90, file=sys.stdout)


def _bound_in_pieces(model: VAE, x: Tensor, num_samples: int) -> Tensor:
    """The importance-weighted bound from several draws of fewer samples each, (B,)."""
    most = max(1, NUMBERS_AT_ONCE // x.numel())
    pieces = [min(most, num_samples - done) for done in range(0, num_samples, most)]
    log_sums = [importance_weighted_bound(model, x, k) + math.log(k) for k in pieces]
    return torch.logsumexp(torch.stack(log_sums), dim=0) - math.log(num_samples)
