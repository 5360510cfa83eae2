"""Models that are trained already, shipped with 8 bits a weight: `pretrained`."""

import zipfile
import zlib
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor

from .models import VAE
from .settings import Setting

# Each is one run of the sweep, seed 0; `python -m svae_helpers.export train` trains them again.
PRETRAINED = {
    "dense": Setting(prior="dense"),
    "sparse": Setting(),
    "sparse_marginals": Setting(marginal_weight=1.0),
    "sparse_0.5": Setting(spike_prob=0.5),
    "sparse_0.9": Setting(spike_prob=0.9),
}
FILE = "pretrained.npz"
LARGEST_LEVEL = 127  # of a signed byte


def pretrained(name: str) -> VAE:
    """A model of the course that is trained already, at once and without a network.

    Trained by `fit` on the 4,000 embedded digits, 20 latents, seed 0, with the course's recipe to
    convergence (60 epochs; notebook 07). Its weights are rounded to 8 bits, which costs less than
    0.1 nats of the ELBO. It is on the CPU, and torch's random generator is left as it was.

    Args:
        name: "dense", with the prior N(0, 1); "sparse", with spike_prob 0.8; "sparse_marginals",
            the same with the penalty `kl_marginals` (λ = 1; Eq. 9.1); "sparse_0.5" or "sparse_0.9",
            as "sparse" with that spike_prob.

    Raises:
        ValueError: if there is no model of that name.
        RuntimeError: if the package's file of weights is missing or damaged.
    """
    if name not in PRETRAINED:
        raise ValueError(f"name must be one of {', '.join(PRETRAINED)}; got {name!r}")
    setting = PRETRAINED[name]
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and overwritten
        model = VAE(setting.latent_dim, prior=setting.model_prior)
    parts = read_parts(name)
    model.load_state_dict({key: rebuilt(parts, key) for key in model.state_dict()})
    return model.eval()


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round a weight to levels from −127 to 127, with a scale for each row (output).

    Args:
        weight: (R, ...).

    Returns:
        (levels, scale), int8 (R, ...) and float32 (R,): weight ≈ levels · scale.
    """
    scale = weight.flatten(1).abs().amax(dim=1) / LARGEST_LEVEL  # (R,)
    scale = torch.where(scale > 0, scale, 1.0)
    return (weight / _column(scale, weight)).round().to(torch.int8), scale


def rebuilt(parts: dict[str, Tensor], key: str) -> Tensor:
    """A weight from its levels and scales; a bias as it is."""
    value = parts[key]
    scale = parts.get(f"{key}/scale")
    return value if scale is None else value * _column(scale, value)


def read_parts(name: str) -> dict[str, Tensor]:
    """What the package's file holds of one model: levels, scales, biases, and its own numbers."""
    try:
        with files("svae_helpers.assets").joinpath(FILE).open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            names = [key for key in arrays.files if key.startswith(f"{name}/")]
            found = {key[len(name) + 1 :]: torch.from_numpy(arrays[key]) for key in names}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RuntimeError(
            f"the package's {FILE} cannot be read ({error}): reinstall svae_helpers "
            "(in a clone: git checkout -- svae_helpers/assets)"
        ) from error
    return found


def _column(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.reshape(-1, *[1] * (weight.dim() - 1))
