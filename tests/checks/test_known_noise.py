"""Known noise is the same by whatever function, and tells what differs."""

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Normal, Uniform

from svae_helpers.checks import guard
from svae_helpers.checks.known_noise import KnownNoise

SHAPE = (5, 4, 8)
ZEROS = torch.zeros(SHAPE)
NORMAL = {
    "randn": lambda: torch.randn(SHAPE),
    "randn, sizes": lambda: torch.randn(*SHAPE),
    "randn_like": lambda: torch.randn_like(ZEROS),
    "normal": lambda: torch.normal(0.0, 1.0, SHAPE),
    "normal of tensors": lambda: torch.normal(ZEROS, torch.ones(SHAPE)),
    "normal of one tensor": lambda: torch.normal(ZEROS),
    "normal by name": lambda: torch.normal(mean=ZEROS, std=1.0),
    "normal_": lambda: torch.empty(SHAPE).normal_(),
    "Normal.sample": lambda: Normal(0.0, 1.0).sample(SHAPE),
    "Normal.rsample": lambda: Normal(ZEROS, 1.0).rsample(),
    "scaled": lambda: (torch.normal(3.0, 2.0, SHAPE) - 3) / 2,
}
UNIFORM = {
    "rand": lambda: torch.rand(SHAPE),
    "rand_like": lambda: torch.rand_like(ZEROS),
    "uniform_": lambda: torch.empty(SHAPE).uniform_(),
    "Uniform": lambda: Uniform(0.0, 1.0).sample(SHAPE),
    "scaled": lambda: (torch.empty(SHAPE).uniform_(-1, 3) + 1) / 4,
}
SWITCHES = {
    "rand": lambda: torch.rand(SHAPE) < 0.3,
    "bernoulli": lambda: torch.bernoulli(torch.full(SHAPE, 0.3)),
    "bernoulli_": lambda: torch.empty(SHAPE).bernoulli_(0.3),
    "Bernoulli": lambda: Bernoulli(0.3).sample(SHAPE),
    "Categorical": lambda: 1 - Categorical(torch.tensor([0.3, 0.7])).sample(SHAPE),
}
KINDS = [(kind, way) for kind in (NORMAL, UNIFORM, SWITCHES) for way in kind]


@pytest.mark.parametrize("from_start", [False, True])
@pytest.mark.parametrize(("kind", "way"), KINDS)
def test_every_way_to_draw_gives_the_same(kind, way, from_start):
    first = next(iter(kind.values()))
    with KnownNoise(3, from_start=from_start):
        a = first()
    with KnownNoise(3, from_start=from_start):
        b = kind[way]()
    torch.testing.assert_close(b.float(), a.float())
    assert len(a.unique()) > 1


def test_a_loop_gives_what_one_tensor_does():
    with KnownNoise(2):
        whole, switches = torch.randn(SHAPE), torch.rand(5)
    with KnownNoise(2):  # normal and uniform numbers do not disturb each other
        pairs = [(torch.randn(4, 8), torch.rand(())) for _ in range(5)]
    torch.testing.assert_close(torch.stack([e for e, _ in pairs]), whole)
    torch.testing.assert_close(torch.stack([u for _, u in pairs]), switches)


def test_a_loop_over_images_gives_what_one_tensor_does():
    with KnownNoise(2, images_first=True):
        whole = torch.randn(SHAPE)
    with KnownNoise(2, images_first=True):
        images = [torch.randn(5, 8) for _ in range(4)]
    torch.testing.assert_close(torch.stack(images, dim=1), whole)


def test_from_the_start_what_is_drawn_twice_is_the_same():
    with KnownNoise(from_start=True):
        assert torch.equal(torch.randn(SHAPE), torch.randn(SHAPE))
    with KnownNoise():
        assert not torch.equal(torch.randn(SHAPE), torch.randn(SHAPE))


def test_shared_and_mirrored_noise_shows():
    with KnownNoise(from_start=True):
        assert not torch.equal(torch.randn(5, 1, 8).expand(SHAPE), torch.randn(SHAPE))
        u = torch.rand(SHAPE)
    with KnownNoise(mirrored=True):
        torch.testing.assert_close(torch.rand(SHAPE), 1 - u)


def test_it_looks_like_noise():
    with KnownNoise():
        e, u = torch.randn(4000), torch.rand(4000)
    assert abs(float(e.mean())) < 0.1 and 0.9 < float(e.std()) < 1.2
    assert float(u.min()) >= 0 and float(u.max()) < 1 and abs(float(u.mean()) - 0.5) < 0.02


def test_gradients_pass_and_nothing_stays():
    mu = torch.zeros(3, requires_grad=True)
    with KnownNoise():
        Normal(mu, 1.0).rsample().sum().backward()
        assert not Normal(mu, 1.0).sample().requires_grad
    assert torch.equal(mu.grad, torch.ones(3))
    assert not torch.equal(torch.randn(9), torch.randn(9))


def test_the_laboratory_takes_off_what_was_left_on():
    with guard.laboratory():
        KnownNoise().__enter__()
    assert not torch.equal(torch.randn(9), torch.randn(9))
