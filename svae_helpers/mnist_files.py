"""The files behind `load_mnist`: read and checked, and fetched if asked for."""

import gzip
import hashlib
import http.client
import os
import socket
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import numpy as np

NUM_PIXELS = 784  # 28 × 28
DOWNLOAD_TIMEOUT = 20.0  # seconds without an answer

EMBEDDED_TRAIN = 4000  # of 5,000, the rest is test
# Of the bytes of the images followed by those of the labels; tests/tools/make_mnist_5000.py
# makes the file and prints this number.
EMBEDDED_SHA256 = "024a26470dae4e7aca1361c97530c15f6ee2a1f67575607955063e3598894780"

# The published files, named as torchvision names them, with the MD5 of each once extracted.
# torchvision lists the MD5 of the .gz alone, and takes any extracted file on trust.
FILE_SHAPES = {
    "train-images-idx3-ubyte": (60000, 28, 28),
    "train-labels-idx1-ubyte": (60000,),
    "t10k-images-idx3-ubyte": (10000, 28, 28),
    "t10k-labels-idx1-ubyte": (10000,),
}
FILE_MD5 = {
    "MNIST": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "FashionMNIST": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}


def read_embedded() -> list[tuple[np.ndarray, np.ndarray]]:
    """Read and check the package's own digits: uint8 (images, labels) of train and of test."""
    name = "mnist_5000.npz"
    advice = "reinstall svae_helpers (in a clone: git checkout -- svae_helpers/assets)"
    try:
        with files("svae_helpers.assets").joinpath(name).open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            images, labels = arrays["images"], arrays["labels"]  # (5000, 784), (5000,)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RuntimeError(f"the package's {name} cannot be read ({error}): {advice}") from error
    checksum = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    if checksum != EMBEDDED_SHA256:
        raise RuntimeError(
            f"the package's {name} is not the one it was built with "
            f"(SHA-256 {checksum}, wanted {EMBEDDED_SHA256}): {advice}"
        )
    n = EMBEDDED_TRAIN
    return [(images[:n], labels[:n]), (images[n:], labels[n:])]


def read_published(dataset: str, root: Path, download: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read and check a published data set: uint8 (images, labels) of train and of test."""
    folder = root / dataset / "raw"
    missing = [name for name in FILE_SHAPES if not _candidates(folder, name)]
    if missing and download:
        for name in missing:
            _download(dataset, name, folder)
    elif missing:
        raise FileNotFoundError(
            f"{dataset} is incomplete: {', '.join(missing)} (or the same with .gz) missing in "
            f"{folder}. Put the published files there, or pass download=True to fetch them, or "
            f"name the folder that holds {dataset}/raw by root=..."
        )
    contents = {name: _read_checked(dataset, name, folder) for name in FILE_SHAPES}
    return [
        (
            contents[f"{part}-images-idx3-ubyte"].reshape(-1, NUM_PIXELS),
            contents[f"{part}-labels-idx1-ubyte"],
        )
        for part in ("train", "t10k")
    ]


def _candidates(folder: Path, name: str) -> list[Path]:
    """List the forms of a file that are there: extracted first, then .gz."""
    return [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]


def _read_checked(dataset: str, name: str, folder: Path) -> np.ndarray:
    """Read one published file in the shape of FILE_SHAPES, from whichever form of it is sound."""
    problems = []
    for path in _candidates(folder, name):
        content, problem = path.read_bytes(), None
        if content.startswith(b"\x1f\x8b"):  # gzip, whatever it is called
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError, zlib.error) as error:
                problem = f"is damaged or cut short ({error})"
        problem = problem or _find_problem(content, dataset, name)
        if problem is None:
            shape = FILE_SHAPES[name]
            return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)
        problems.append(f"{path} {problem}")
    raise RuntimeError(
        f"{'; '.join(problems)}. Put {dataset}'s published {name} (or {name}.gz) there, "
        "or delete the file and pass download=True to fetch it"
    )


def _find_problem(content: bytes, dataset: str, name: str) -> str | None:
    """Say what is wrong with the bytes of a file, or None if they are the published ones.

    An idx file begins with two zeros, 8 for unsigned bytes, the number of axes, and the length of
    each axis in four bytes, most significant first.
    """
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 == FILE_MD5[dataset][name]:
        return None
    for other, checksums in FILE_MD5.items():
        for other_name, checksum in checksums.items():
            if md5 == checksum:
                return f"holds {other}'s {other_name}, wanted {dataset}'s {name}"
    wanted = FILE_SHAPES[name]
    axes = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    if not 1 <= axes <= 4 or len(content) < 4 + 4 * axes:
        return f"is no idx file of unsigned bytes (it is {len(content)} bytes long)"
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", count=axes, offset=4))
    if shape != wanted:
        return f"holds {_describe(shape)}, wanted {_describe(wanted)}"
    size = 4 + 4 * axes + int(np.prod(wanted))
    if len(content) != size:
        fault = "cut short" if len(content) < size else "too long"
        return f"is {fault}: {len(content)} bytes, wanted {size}"
    return f"differs from the published file (MD5 {md5}, wanted {FILE_MD5[dataset][name]})"


def _describe(shape: tuple[int, ...]) -> str:
    """Put the shape of an idx file in words."""
    if len(shape) == 1:
        return f"{shape[0]} labels"
    return f"{shape[0]} images of {' × '.join(map(str, shape[1:]))}"


def _download(dataset: str, name: str, folder: Path) -> None:
    """Fetch one .gz from torchvision's mirrors; only a complete, checked file enters the folder."""
    import torchvision  # slow to import, so only here
    from torchvision.datasets.utils import download_url

    published = getattr(torchvision.datasets, dataset)
    archive = f"{name}.gz"
    md5 = dict(published.resources)[archive]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=folder, prefix="download-")
    except OSError as error:
        raise RuntimeError(f"cannot write {archive} into {folder}: {error}") from error
    failures = []
    with scratch as temporary, _socket_timeout(DOWNLOAD_TIMEOUT):
        for mirror in published.mirrors:
            try:
                download_url(f"{mirror}{archive}", temporary, archive, md5)
                os.replace(Path(temporary, archive), folder / archive)
                return
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                failures.append(f"{mirror}{archive}: {error}")
    raise RuntimeError(
        f"could not download {dataset}'s {archive} ({'; '.join(failures)}). Check the network, or "
        f"put the file into {folder} by hand. Without a network, "
        'load_mnist(source="embedded") gives 5,000 digits'
    )


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Limit how long a silent connection is waited for; torchvision sets no limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
