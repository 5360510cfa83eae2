"""MNIST as flat tensors: 5,000 digits in the package; all of it, or Fashion-MNIST, from files."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .arguments import described, path_of, tensor, unit_interval, whole_number
from .devices import get_device
from .mnist_files import read_embedded, read_published

DATASETS = {"full": "MNIST", "fashion": "FashionMNIST"}
SOURCES = ("embedded", *DATASETS)
BINARISATIONS = ("none", "static")
DEFAULT_ROOT = Path("~/.cache/svae_helpers")


class Digits(NamedTuple):
    """Images with their labels.

    Attributes:
        images: (N, 784) float32 in [0, 1]. Unless they are binarised they are grey, and a Bernoulli
            log-likelihood of grey pixels is a cross-entropy, not the log of a normalised density:
            fine as a loss, but not comparable with log-likelihoods of binarised digits.
        labels: (N,) int64, from 0 to 9.
    """

    images: Tensor
    labels: Tensor


def load_mnist(
    source: str = "embedded",
    root: str | Path | None = None,
    download: bool = False,
    binarise: str = "none",
    seed: int = 0,
    device: str | torch.device | None = None,
) -> tuple[Digits, Digits]:
    """Load MNIST or Fashion-MNIST as (train, test).

    The embedded digits are 5,000 of MNIST's, split into 4,000 and 1,000 with equally many of each
    class, and need no network. They make a course run anywhere; results on them are worse than on
    all 60,000, and their test part is not MNIST's own, so never compare the two.

    Args:
        source: "embedded" (4,000 train, 1,000 test), "full" (MNIST, 60,000 and 10,000) or
            "fashion" (Fashion-MNIST, 60,000 and 10,000).
        root: folder that holds, or is to hold, MNIST/raw or FashionMNIST/raw with the four
            published files, extracted or as .gz (torchvision's layout); ~/.cache/svae_helpers if
            None. The embedded digits ignore it.
        download: whether files that are missing under root may be fetched from the network.
        binarise: "none" keeps grey pixels, which under a Bernoulli likelihood give a cross-entropy
            and no normalised likelihood; "static" draws each pixel once from Bernoulli(grey value).
            For a fresh draw in each batch, load with "none" and use `fit(binarise="dynamic")`.
        seed: of the static draw, which is the same on every device.
        device: where the tensors go; the CPU if None.

    Returns:
        (train, test), each `Digits`.

    Raises:
        ValueError: if source or binarise is none of the above, or the embedded digits are to be
            downloaded.
        FileNotFoundError: if a file is missing and download is False.
        RuntimeError: if a file is damaged, cut short or not the published one, or a download fails.
    """
    if source not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}; got {source!r}")
    if binarise == "dynamic":
        raise ValueError(
            'binarise="dynamic" is a fresh draw in each batch, so it belongs to fit: '
            'load with binarise="none" and call fit(..., binarise="dynamic")'
        )
    if binarise not in BINARISATIONS:
        raise ValueError(f"binarise must be one of {', '.join(BINARISATIONS)}; got {binarise!r}")
    if source == "embedded":
        if download:
            raise ValueError(
                "the embedded digits come with the package and are never downloaded; "
                'for all of MNIST pass source="full", download=True'
            )
        arrays = read_embedded()
    else:
        root = _home_expanded(path_of("root", DEFAULT_ROOT if root is None else root, a_file=False))
        arrays = read_published(DATASETS[source], root, download)

    device = None if device is None else get_device(device)
    # Divided and drawn on the CPU, so that every device gets the same bits.
    generator = torch.Generator().manual_seed(whole_number("seed", seed))
    parts = []
    for images, labels in arrays:
        pixels = torch.from_numpy(images.astype(np.float32)).div_(255)  # (N, 784)
        if binarise == "static":
            pixels = binarise_images(pixels, generator)
        digits = torch.from_numpy(labels.astype(np.int64))  # (N,)
        parts.append(Digits(pixels.to(device), digits.to(device)))
    train, test = parts
    return train, test


def _home_expanded(root: Path) -> Path:
    try:
        return root.expanduser()
    except RuntimeError:  # neither HOME nor an entry in the list of users
        raise ValueError(
            f"this machine knows no home folder for {root}: name a folder by root=..."
        ) from None


def binarise_images(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw each pixel from a Bernoulli whose probability is its grey value.

    Args:
        images: floating-point grey values in [0, 1], of any shape.
        generator: on the images' device; torch's own if None.

    Returns:
        Zeros and ones in the shape, dtype and device of images.

    Raises:
        TypeError: if images are no tensor, or generator no torch.Generator.
        ValueError: if images are not floating-point, or leave [0, 1].
    """
    if not tensor("images", images).is_floating_point():
        raise ValueError(f"images must be floating-point in [0, 1], got {images.dtype}")
    unit_interval("images", images, "to be binarised")
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator, got {described(generator)}")
    return torch.bernoulli(images, generator=generator)
