"""Counts and sparsity against brute force, and the references beside Hoyer's measure."""

import pytest
import torch
from torch.distributions import Laplace, Normal

from svae_helpers import (
    SpikeAndSlab,
    active_units,
    expected_slab_count,
    hoyer_gaussian_reference,
    hoyer_prior_reference,
    hoyer_sparsity,
    keep_strongest,
    live_latents,
    prior_slab_count,
    slab_count,
    standardised_codes,
)

PRIOR = SpikeAndSlab.gaussian()


def test_slab_count_counts_means_past_the_crossover():
    mu = torch.tensor([[0.55, 0.56, -0.56, 0.0], [0.0, 0.0, 0.0, -3.0]])
    assert slab_count(mu, PRIOR).tolist() == [2, 1]
    with pytest.raises(NotImplementedError):
        slab_count(mu, SpikeAndSlab(Normal(0.0, 0.2), Laplace(0.0, 1.0), 0.8))


def test_expected_slab_count_agrees_with_sampling():
    torch.manual_seed(0)
    q = Normal(torch.tensor([[0.0, 1.0, -0.4]]), torch.tensor([[0.2, 0.3, 1.0]]))
    responsibility = PRIOR.slab_responsibility(q.sample((200_000,)))
    assert expected_slab_count(q, PRIOR).item() == pytest.approx(
        responsibility.sum(-1).mean().item(), abs=0.01
    )


@pytest.mark.parametrize("spike_var, share", [(0.05, 0.127), (0.01, 0.162), (0.0025, 0.179)])
def test_the_priors_own_count(spike_var, share):
    torch.manual_seed(1)
    prior = SpikeAndSlab.gaussian(0.8, spike_var)
    assert prior_slab_count(prior, 20) == pytest.approx(20 * share, abs=0.01)
    drawn = slab_count(prior.sample((100_000, 20)), prior).float().mean()
    assert prior_slab_count(prior, 20) == pytest.approx(drawn.item(), abs=0.03)


def test_dense_codes_have_many_more():
    torch.manual_seed(2)
    assert slab_count(torch.randn(50_000, 10), PRIOR).float().mean().item() == pytest.approx(
        5.8, abs=0.05
    )


def test_active_units_follow_the_variance_over_the_data():
    torch.manual_seed(3)
    mu = torch.randn(1_000, 4) * torch.tensor([1.0, 0.09, 0.11, 0.0]) + 5
    assert live_latents(mu).tolist() == [True, False, True, False]
    assert active_units(mu) == 2


def hoyer_by_hand(mu):
    live = mu[:, mu.var(dim=0) > 0.01]
    y = live / live.std(dim=0)
    root = y.shape[1] ** 0.5
    return ((root - y.abs().sum(1) / y.square().sum(1).sqrt()) / (root - 1)).mean()


def test_hoyer_agrees_with_its_definition_on_live_latents():
    torch.manual_seed(4)
    mu = torch.randn(500, 12) * torch.linspace(0.01, 2, 12)
    torch.testing.assert_close(hoyer_sparsity(mu), hoyer_by_hand(mu))
    with_dead = torch.cat([mu, torch.zeros(500, 8)], dim=1)
    torch.testing.assert_close(hoyer_sparsity(with_dead), hoyer_sparsity(mu))


def test_hoyer_at_its_ends():
    one_on = torch.eye(6).repeat(50, 1)
    assert hoyer_sparsity(one_on).item() == pytest.approx(1)
    torch.manual_seed(5)
    signs = torch.randint(2, (1_000, 6)) * 2.0 - 1
    assert hoyer_sparsity(signs).item() == pytest.approx(0, abs=0.02)
    assert torch.isnan(hoyer_sparsity(torch.zeros(10, 6)))


@pytest.mark.parametrize("num_latents, want", [(10, 0.27), (20, 0.25), (50, 0.23)])
def test_hoyer_references(num_latents, want):
    torch.manual_seed(6)
    reference = hoyer_gaussian_reference(num_latents)
    assert reference == pytest.approx(want, abs=0.006)
    drawn = hoyer_prior_reference(Normal(0.0, 1.0), num_latents)
    assert drawn == pytest.approx(reference, abs=0.003)
    with pytest.raises(ValueError, match="at least 2"):
        hoyer_gaussian_reference(1)


def test_hoyer_of_the_prior_itself():
    torch.manual_seed(7)
    assert hoyer_prior_reference(PRIOR, 10) == pytest.approx(0.42, abs=0.02)


# ---- codes without a scale


def test_standardised_codes_have_no_scale():
    torch.manual_seed(0)
    mu = torch.randn(500, 4) * torch.tensor([0.2, 1.0, 5.0, 0.001])
    units = torch.tensor([3.0, 0.5, 10.0, 1.0])
    codes = standardised_codes(mu)
    torch.testing.assert_close(codes[:, :3].std(dim=0), torch.ones(3))
    assert (codes[:, 3] == 0).all()  # a latent that hardly moves is no latent in use
    torch.testing.assert_close(standardised_codes(units * mu), codes)


def test_the_strongest_are_kept_image_by_image():
    mu = torch.tensor([[3.0, -1.0, 0.5], [0.1, 2.0, -4.0], [-3.0, 1.0, 4.0]])
    by_size = keep_strongest(mu, 1, mu.abs())
    assert by_size.tolist() == [[3.0, 0.0, 0.0], [0.0, 0.0, -4.0], [0.0, 0.0, 4.0]]
    assert keep_strongest(mu, 0).count_nonzero() == 0
    torch.testing.assert_close(keep_strongest(mu, 3), mu)
    standardised = standardised_codes(mu).abs()
    torch.testing.assert_close(keep_strongest(mu, 2), keep_strongest(mu, 2, standardised))
