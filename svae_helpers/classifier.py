"""A small classifier of digits, and what it says of generated images."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import load_mnist
from .devices import seed_everything

BATCH_SIZE = 128


@cache
def train_classifier() -> nn.Module:
    """Train a small convolutional classifier on the 4,000 labelled digits: seed 0, 15 epochs."""
    images, labels = load_mnist()[0]
    seed_everything(0)
    first, second = nn.Conv2d(1, 16, 5, stride=2), nn.Conv2d(16, 32, 3, stride=2)
    layers = [nn.Unflatten(-1, (1, 28, 28)), first, nn.ReLU(), second, nn.ReLU(), nn.Flatten()]
    classifier = nn.Sequential(*layers, nn.Linear(32 * 5 * 5, 10))
    optimiser = torch.optim.Adam(classifier.parameters(), lr=2e-3)
    with torch.enable_grad():
        for _ in range(15):
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
