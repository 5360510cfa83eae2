"""SpikeAndSlab and GatedNormal against SciPy, MixtureSameFamily and their own samples."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from torch.distributions import (
    Categorical,
    Distribution,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from svae_helpers import GatedNormal, SpikeAndSlab, gated_posterior, gaussian_posterior
from svae_helpers.spike_and_slab import CentredNormal

FALSE_ALARM = 1e-6  # of each statistical test below

spike_probs = st.floats(0.01, 0.99)
spike_vars = st.floats(1e-4, 0.5)


def scipy_log_prob(z, spike_prob, spike_var, slab_var=1.0):
    return float(
        torch.logaddexp(
            torch.tensor(math.log(spike_prob) + stats.norm.logpdf(z, scale=spike_var**0.5)),
            torch.tensor(math.log1p(-spike_prob) + stats.norm.logpdf(z, scale=slab_var**0.5)),
        )
    )


@given(z=st.floats(-40, 40), spike_prob=spike_probs, spike_var=spike_vars)
def test_log_prob_agrees_with_scipy(z, spike_prob, spike_var):
    got = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(
        torch.tensor(z, dtype=torch.float64)
    )
    assert float(got) == pytest.approx(scipy_log_prob(z, spike_prob, spike_var), rel=1e-10)


def test_log_prob_agrees_with_mixture_same_family():
    z = torch.linspace(-6, 6, 101, dtype=torch.float64)
    scales = torch.tensor([0.05, 1.0], dtype=torch.float64).sqrt()
    weights = Categorical(torch.tensor([0.8, 0.2], dtype=torch.float64))
    mixture = MixtureSameFamily(weights, Normal(torch.zeros(2, dtype=torch.float64), scales))
    torch.testing.assert_close(SpikeAndSlab.gaussian().log_prob(z), mixture.log_prob(z))


def swapped_log_prob(z, spike_prob, spike_var):
    """The mistake that the test above must catch: the slab weighed by spike_prob."""
    return SpikeAndSlab.gaussian(1 - spike_prob, spike_var).log_prob(z)


def test_the_oracle_catches_swapped_weights():
    z = torch.tensor(3.0, dtype=torch.float64)
    wrong = float(swapped_log_prob(z, 0.8, 0.05))
    assert wrong - scipy_log_prob(3.0, 0.8, 0.05) == pytest.approx(math.log(4))


@settings(deadline=None, max_examples=25)
@given(spike_prob=st.floats(0, 1), spike_var=spike_vars, slab_var=st.floats(0.5, 4))
def test_density_integrates_to_one(spike_prob, spike_var, slab_var):
    prior = SpikeAndSlab.gaussian(spike_prob, spike_var, slab_var)
    width = spike_var**0.5
    mass, _ = quad(
        lambda z: float(prior.log_prob(torch.tensor(z, dtype=torch.float64)).exp()),
        -25,
        25,
        points=[-8 * width, -width, 0, width, 8 * width],
        limit=300,
    )
    assert mass == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("spike_prob, spike_var", [(0.8, 0.05), (0.5, 0.01), (0.9, 0.0025)])
def test_samples_follow_the_density(spike_prob, spike_var):
    """Kolmogorov–Smirnov, false-alarm rate 1e-6."""
    torch.manual_seed(1)
    z = SpikeAndSlab.gaussian(spike_prob, spike_var).sample((20_000,)).numpy()

    def cdf(value):
        spike, slab = stats.norm.cdf(value, scale=spike_var**0.5), stats.norm.cdf(value)
        return spike_prob * spike + (1 - spike_prob) * slab

    assert stats.kstest(z, cdf).pvalue > FALSE_ALARM
    assert stats.kstest(z, stats.norm(scale=z.std()).cdf).pvalue < FALSE_ALARM  # it can fail


def test_every_latent_chooses_its_own_component():
    """One component per vector would make the squares of two latents correlated."""
    torch.manual_seed(2)
    z = SpikeAndSlab.gaussian().expand((2,)).sample((50_000,))
    on = (z.abs() > 0.551).double()
    correlation = torch.corrcoef(on.T)[0, 1].item()
    threshold = stats.norm.isf(FALSE_ALARM / 2) / 50_000**0.5
    assert abs(correlation) < threshold
    whole = torch.rand(50_000, 1) < 0.8
    per_vector = torch.where(whole, 0.05**0.5 * torch.randn(50_000, 2), torch.randn(50_000, 2))
    wrong = (per_vector.abs() > 0.551).double()
    assert torch.corrcoef(wrong.T)[0, 1].item() > threshold


def test_sampling_uses_the_torch_generator_only(monkeypatch):
    import numpy as np

    monkeypatch.setattr(np.random, "uniform", lambda *a: pytest.fail("NumPy's generator was used"))
    torch.manual_seed(3)
    first = SpikeAndSlab.gaussian().sample((5,))
    torch.manual_seed(3)
    assert torch.equal(first, SpikeAndSlab.gaussian().sample((5,)))


@pytest.mark.parametrize("z", [0.0, 1e-3, 40.0, -1e4])
@pytest.mark.parametrize("spike_prob", [0.0, 1.0, 0.8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tails_and_ends_are_finite_in_value_and_gradient(z, spike_prob, dtype):
    z = torch.tensor(z, dtype=dtype, requires_grad=True)
    probability = torch.tensor(spike_prob, dtype=dtype, requires_grad=True)
    log_prob = SpikeAndSlab.gaussian(probability, 0.0025).log_prob(z)
    gradients = torch.autograd.grad(log_prob, (z, probability))
    assert torch.isfinite(log_prob)
    assert all(torch.isfinite(gradient) for gradient in gradients)


@pytest.mark.parametrize("spike_prob, variance", [(0.0, 1.0), (1.0, 0.05)])
def test_at_the_ends_one_component_is_left(spike_prob, variance):
    z = torch.linspace(-3, 3, 13, dtype=torch.float64)
    prior = SpikeAndSlab.gaussian(spike_prob)
    torch.testing.assert_close(
        prior.log_prob(z), Normal(torch.zeros_like(z), variance**0.5).log_prob(z)
    )
    assert (prior.slab_responsibility(z) == 1 - spike_prob).all()


def test_gradients_agree_with_finite_differences():
    values = [
        torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for value in ([-1.2, 0.01, 0.55], [0.8, 0.3, 0.95], [0.05, 0.2, 0.01], [1.0, 0.7, 2.0])
    ]

    def log_prob(z, spike_prob, spike_var, slab_var):
        return SpikeAndSlab.gaussian(spike_prob, spike_var, slab_var).log_prob(z)

    assert torch.autograd.gradcheck(log_prob, values)


@given(z=st.floats(-5, 5), spike_prob=spike_probs, spike_var=spike_vars)
def test_responsibility_is_bayes_rule(z, spike_prob, spike_var):
    prior = SpikeAndSlab.gaussian(spike_prob, spike_var)
    got = float(prior.slab_responsibility(torch.tensor(z, dtype=torch.float64)))
    joint = (
        (1 - spike_prob) * stats.norm.pdf(z),
        spike_prob * stats.norm.pdf(z, scale=spike_var**0.5),
    )
    assert got == pytest.approx(joint[0] / sum(joint), abs=1e-9)


@pytest.mark.parametrize(
    "spike_var, want", [(0.05, 0.550995), (0.01, 0.272989), (0.0025, 0.148206)]
)
def test_crossover_values(spike_var, want):
    prior = SpikeAndSlab.gaussian(0.8, spike_var)
    assert float(prior.crossover) == pytest.approx(want, abs=1e-6)
    responsibility = prior.slab_responsibility(prior.crossover.double())
    assert float(responsibility) == pytest.approx(0.5, abs=1e-6)


def test_crossover_where_the_components_never_cross():
    assert SpikeAndSlab.gaussian(0.01, 0.5).crossover == 0  # every z is slab
    assert SpikeAndSlab.gaussian(1.0).crossover == torch.inf
    assert SpikeAndSlab.gaussian(0.8, 1.0, 1.0).crossover == torch.inf  # same width, spike likelier
    with pytest.raises(NotImplementedError, match="slab_responsibility"):
        _ = SpikeAndSlab(Normal(0.0, 0.2), Laplace(0.0, 1.0), 0.8).crossover


def test_moments_against_quadrature():
    prior = SpikeAndSlab(Normal(0.3, 0.2), Laplace(-0.5, 0.7), 0.6)

    def moment(power):
        return quad(
            lambda z: (
                z**power * math.exp(float(prior.log_prob(torch.tensor(z, dtype=torch.float64))))
            ),
            -25,
            25,
            points=[-0.5, -0.3, 0.3, 0.9],
            limit=300,
        )[0]

    assert float(prior.mean) == pytest.approx(moment(1), abs=1e-6)
    assert float(prior.variance) == pytest.approx(moment(2) - moment(1) ** 2, abs=1e-6)


def test_shapes_broadcast_and_expand():
    prior = SpikeAndSlab.gaussian(torch.tensor([[0.5], [0.9]]), torch.tensor([0.05, 0.1, 0.2]))
    assert prior.batch_shape == (2, 3) and prior.event_shape == ()
    assert prior.sample((7, 5)).shape == (7, 5, 2, 3)
    assert prior.log_prob(torch.zeros(4, 1, 1)).shape == (4, 2, 3)
    wide = SpikeAndSlab.gaussian().expand((4, 3))
    assert wide.sample((2,)).shape == (2, 4, 3) and wide.mean.shape == (4, 3)
    assert wide.variance.shape == wide.crossover.shape == (4, 3)
    assert wide.log_prob(torch.zeros(3)).shape == (4, 3)
    assert not SpikeAndSlab.has_rsample
    with pytest.raises(NotImplementedError):
        prior.rsample()
    with pytest.raises(RuntimeError):
        prior.expand((5,))


def test_numbers_keep_their_precision_and_take_the_dtype_of_z():
    prior = SpikeAndSlab.gaussian(0.8, 0.05)
    for dtype in (torch.float32, torch.float64):
        assert prior.log_prob(torch.zeros(3, dtype=dtype)).dtype == dtype
        assert prior.expand((3,)).log_prob(torch.zeros(3, dtype=dtype)).dtype == dtype
    got = float(prior.log_prob(torch.tensor(0.5, dtype=torch.float64)))
    assert got == pytest.approx(scipy_log_prob(0.5, 0.8, 0.05), abs=1e-14)  # float32 0.8 gives 1e-8
    assert prior.sample((2,)).dtype == torch.get_default_dtype()


def test_samples_carry_no_gradient():
    variance = torch.tensor(0.05, requires_grad=True)
    assert not SpikeAndSlab.gaussian(0.8, variance).sample((3,)).requires_grad


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"spike_prob": 1.2}, r"spike_prob must lie in \[0, 1\], got 1.2"),
        ({"spike_prob": -0.1}, "spike_prob"),
        ({"spike_prob": math.nan}, "spike_prob"),
        ({"spike_var": 0.0}, "spike_var must be positive, got 0.0"),
        ({"slab_var": -1.0}, "slab_var must be positive"),
        ({"spike_var": 2.0}, "spike_var must not exceed slab_var"),
        ({"spike_prob": torch.tensor([0.5, 1.5])}, "spike_prob"),
    ],
)
def test_bad_settings_are_refused_in_words(settings, words):
    with pytest.raises(ValueError, match=words):
        SpikeAndSlab.gaussian(**settings)


def test_bad_components_are_refused_in_words():
    vector = MultivariateNormal(torch.zeros(2), torch.eye(2))
    with pytest.raises(ValueError, match="slab must be univariate"):
        SpikeAndSlab(Normal(0.0, 0.1), vector, 0.8)
    with pytest.raises(TypeError, match="spike must be a torch Distribution, got float"):
        SpikeAndSlab(0.1, Normal(0.0, 1.0), 0.8)
    with pytest.raises(ValueError):
        SpikeAndSlab.gaussian().log_prob(torch.tensor(math.nan))


def test_centred_normal_is_a_normal():
    z = torch.linspace(-2, 2, 9)
    ours, theirs = CentredNormal(0.3), Normal(0.0, 0.3**0.5)
    torch.testing.assert_close(ours.log_prob(z), theirs.log_prob(z))
    torch.testing.assert_close(ours.cdf(z), theirs.cdf(z))
    torch.testing.assert_close(ours.entropy().float(), theirs.entropy())
    assert ours.stddev == pytest.approx(0.3**0.5) and isinstance(ours, Distribution)
    torch.manual_seed(4)
    p_value = stats.kstest(ours.sample((5_000,)), "norm", (0, 0.3**0.5)).pvalue
    assert p_value > FALSE_ALARM


def test_gate_draws_exact_zeros_at_its_own_rate():
    torch.manual_seed(5)
    gates = torch.tensor([0.1, 0.5, 0.9])
    q = GatedNormal(gate_prob=gates, loc=2.0, scale=0.5)
    for z in (q.sample((20_000,)), q.rsample((20_000,)).detach()):
        assert (z == 0).any() and z.shape == (20_000, 3)
        for on, rate in zip((z != 0).sum(dim=0).tolist(), gates.tolist(), strict=True):
            assert stats.binomtest(on, 20_000, rate).pvalue > FALSE_ALARM
        torch.testing.assert_close(z.mean(dim=0), q.mean, atol=0.06, rtol=0)
        torch.testing.assert_close(z.var(dim=0), q.variance, atol=0.1, rtol=0)


def test_open_gates_are_gaussian():
    torch.manual_seed(6)
    z = GatedNormal(gate_prob=0.4, loc=-1.0, scale=2.0).sample((20_000,))
    assert stats.kstest(z[z != 0], "norm", (-1, 2)).pvalue > FALSE_ALARM


def test_gated_density_has_mass_one():
    q = GatedNormal(gate_prob=torch.tensor(0.3, dtype=torch.float64), loc=0.7, scale=0.4)
    lump = q.log_prob(torch.tensor(0.0, dtype=torch.float64)).exp()
    smooth, _ = quad(
        lambda z: math.exp(float(q.log_prob(torch.tensor(z, dtype=torch.float64)))) if z else 0,
        -5,
        6,
    )
    assert float(lump) == pytest.approx(0.7) and smooth == pytest.approx(0.3, abs=1e-8)


def test_relaxed_gate_passes_gradients_and_soft_gates_are_between():
    torch.manual_seed(7)
    gate_logits, mu, log_var = (torch.zeros(500, requires_grad=True) for _ in range(3))
    gated_posterior(gate_logits, mu + 1, log_var).rsample().sum().backward()
    assert all((tensor.grad != 0).any() for tensor in (gate_logits, mu, log_var))
    soft = GatedNormal(torch.zeros(500), 1.0, 1e-6, hard=False).rsample()
    assert ((soft > 0.01) & (soft < 0.99)).any()
    cold = GatedNormal(torch.zeros(500), 1.0, 1e-6, hard=False, temperature=0.01).rsample()
    assert ((cold < 0.01) | (cold > 0.99)).float().mean() > 0.9


def test_relaxed_gate_is_open_with_its_probability():
    """The relaxed gate passes ½ with probability γ (log γ in logit γ's place would cap it at ½)."""
    torch.manual_seed(8)
    q = GatedNormal(gate_prob=torch.tensor(0.9), loc=1.0, scale=1e-6, hard=False)
    on = int((q.rsample((20_000,)) > 0.5).sum())
    assert stats.binomtest(on, 20_000, 0.9).pvalue > FALSE_ALARM


def test_gated_arguments_are_refused_in_words():
    with pytest.raises(ValueError, match="exactly one"):
        GatedNormal()
    with pytest.raises(ValueError, match="exactly one"):
        GatedNormal(torch.zeros(2), gate_prob=0.5)
    with pytest.raises(ValueError, match="gate_prob must lie"):
        GatedNormal(gate_prob=1.5)
    with pytest.raises(ValueError, match="temperature"):
        GatedNormal(gate_prob=0.5, temperature=0.0)
    assert GatedNormal(gate_prob=0.5).expand((3, 2)).sample((4,)).shape == (4, 3, 2)


def test_gaussian_posterior_takes_log_variance():
    q = gaussian_posterior(torch.tensor([1.0]), torch.tensor([math.log(4.0)]))
    assert q.stddev.item() == pytest.approx(2.0)
