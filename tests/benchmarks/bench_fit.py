"""What `fit` costs beside the same training by hand, its matrix products, and a tutorial's loop."""

import itertools

import torch
import torch.nn.functional as F
from PIL import Image
from timing import least_seconds, show_ratios
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor

from svae_helpers import VAE, SpikeAndSlab, fit, kl_monte_carlo, load_mnist

BATCH, LATENTS, HIDDEN, EPOCHS, ROUNDS = 128, 20, 400, 3, 6
IMAGES = load_mnist()[0].images
SPARSE = SpikeAndSlab.gaussian()


class Bare(nn.Module):
    """The same two networks without the package."""

    def __init__(self):
        super().__init__()
        self.hidden, self.heads = nn.Linear(784, HIDDEN), nn.Linear(HIDDEN, 2 * LATENTS)
        self.back, self.output = nn.Linear(LATENTS, HIDDEN), nn.Linear(HIDDEN, 784)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, log_var = self.heads(torch.relu(self.hidden(x))).chunk(2, dim=-1)
        z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
        return self.output(torch.relu(self.back(z))), mu, log_var


def dense_kl(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var)


def sparse_kl(mu: Tensor, log_var: Tensor) -> Tensor:
    noise = torch.randn(10, *mu.shape)
    z = mu + torch.exp(0.5 * log_var) * noise
    log_q = -0.5 * (noise.square() + log_var + LOG_2PI)
    log_spike = LOG_SPIKE - 0.5 * (z.square() / 0.05 + LOG_2PI)
    log_slab = LOG_SLAB - 0.5 * (z.square() + LOG_2PI)
    return (log_q - torch.logaddexp(log_spike, log_slab)).mean(dim=0)


LOG_2PI = torch.log(torch.tensor(2 * torch.pi)).item()
LOG_SPIKE = torch.log(torch.tensor(0.8)).item() - 0.5 * torch.log(torch.tensor(0.05)).item()
LOG_SLAB = torch.log(torch.tensor(0.2)).item()


def by_hand(kl):
    """A training in bare torch with fused Adam: what it needs, and no more."""
    model = Bare()

    def train() -> None:
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        for chosen in _batches():
            x = IMAGES[chosen]
            logits, mu, log_var = model(x)
            cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            loss = (cross_entropy + kl(mu, log_var).sum()) / len(x)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return train


def _batches() -> list[Tensor]:
    """The images' numbers, batch by batch, of all epochs."""
    epochs = [torch.randperm(len(IMAGES)).split(BATCH) for _ in range(EPOCHS)]
    return [chosen for batches in epochs for chosen in batches]


def by_fit(kl, prior=None):
    model = VAE(LATENTS, prior=prior, hidden_dim=HIDDEN)
    options = {"batch_size": BATCH, "schedule": None, "device": "cpu", "progress": False}
    return lambda: fit(model, IMAGES, epochs=EPOCHS, kl=kl, **options)


def matrix_products() -> None:
    """The products of the forward and backward passes, and nothing else."""
    x, h = torch.rand(BATCH, 784), torch.rand(BATCH, HIDDEN)
    z, heads = torch.rand(BATCH, LATENTS), torch.rand(BATCH, 2 * LATENTS)
    weights = [torch.rand(a, b) for a, b in ((784, HIDDEN), (HIDDEN, 2 * LATENTS))]
    weights += [torch.rand(a, b) for a, b in ((LATENTS, HIDDEN), (HIDDEN, 784))]
    passes = [(x, weights[0], h), (h, weights[1], heads), (z, weights[2], h), (h, weights[3], x)]
    for _ in _batches():
        for number, (left, weight, right) in enumerate(passes):
            left @ weight
            left.T @ right
            if number:  # the images need no gradient
                right @ weight.T


class Pictures(Dataset):
    """The digits as torchvision's data sets hand them out: a PIL image at a time."""

    def __init__(self):
        pixels = (IMAGES * 255).to(torch.uint8).reshape(-1, 28, 28).numpy()
        self.pictures, self.to_tensor = [Image.fromarray(p) for p in pixels], ToTensor()

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        return self.to_tensor(self.pictures[index])


def by_tutorial():
    """The loop of most tutorials: DataLoader over PIL images, ToTensor, Adam as it comes."""
    model = Bare()
    loader = DataLoader(Pictures(), batch_size=BATCH, shuffle=True)

    def train() -> None:
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
        for batch in itertools.chain.from_iterable(itertools.repeat(loader, EPOCHS)):
            x = batch.reshape(-1, 784)
            logits, mu, log_var = model(x)
            cross_entropy = F.binary_cross_entropy(torch.sigmoid(logits), x, reduction="sum")
            loss = (cross_entropy + dense_kl(mu, log_var).sum()) / len(x)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return train


def main() -> None:
    ways = {
        "by hand in bare torch, fused Adam": by_hand(dense_kl),
        "fit": by_fit(kl_divergence, Normal(0.0, 1.0)),
        "its matrix products alone": matrix_products,
        "a tutorial's loop: DataLoader, PIL, ToTensor, Adam": by_tutorial(),
    }
    base = "by hand in bare torch, fused Adam"
    show_ratios(f"{EPOCHS} epochs of 4,000 digits, N(0, I)", least_seconds(ways, ROUNDS), base)
    ways = {base: by_hand(sparse_kl), "fit": by_fit(kl_monte_carlo, SPARSE)}
    show_ratios("The same, spike and slab, K = 10", least_seconds(ways, ROUNDS), base)
