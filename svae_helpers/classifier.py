"""A small classifier of digits, and what it says of generated images."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arguments import described
from .data import Digits, load_mnist
from .devices import seed_everything

BATCH_SIZE = 128
LOOKS = 60_000  # images seen in training, however many there are


def train_classifier(train: Digits | None = None) -> nn.Module:
    """Train a small convolutional classifier, seed 0, on about 60,000 looks at labelled images.

    Args:
        train: images and labels; the 4,000 embedded digits if None, which makes 15 epochs.
    """
    train = load_mnist()[0] if train is None else train
    if not isinstance(train, tuple) or len(train) != 2:
        raise TypeError(f"train must be a pair (images, labels), got {described(train)}")
    images, labels = train
    epochs = max(1, round(LOOKS / len(images)))
    seed_everything(0)
    first, second = nn.Conv2d(1, 16, 5, stride=2), nn.Conv2d(16, 32, 3, stride=2)
    layers = [nn.Unflatten(-1, (1, 28, 28)), first, nn.ReLU(), second, nn.ReLU(), nn.Flatten()]
    classifier = nn.Sequential(*layers, nn.Linear(32 * 5 * 5, 10))
    optimiser = torch.optim.Adam(classifier.parameters(), lr=2e-3)
    with torch.enable_grad():
        for _ in range(epochs):
            for chosen in torch.randperm(len(images)).split(BATCH_SIZE):
                loss = F.cross_entropy(classifier(images[chosen]), labels[chosen])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    return classifier.eval()


@torch.no_grad()
def judge(classifier: nn.Module, images: Tensor) -> tuple[float, float]:
    """How sure a classifier is of images (N, 784), and how evenly it spreads them over classes.

    That is the mean of the largest class probability, and the entropy (nats) of the mean ones.
    """
    probabilities = classifier(images).softmax(dim=-1)
    shares = probabilities.mean(dim=0)
    return probabilities.amax(dim=-1).mean().item(), torch.special.entr(shares).sum().item()
