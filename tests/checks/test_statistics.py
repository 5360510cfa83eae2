"""P-values are calibrated, so a right answer fails as rarely as stated."""

import math

import pytest
import torch
from scipy import stats

from svae_helpers.checks import statistics as s

from .catalogue import RANDOM

RUNS = 400


def uniform_enough(p_values):
    """A Kolmogorov-Smirnov test at 1e-6 on the p-values themselves."""
    return stats.kstest(p_values, "uniform").pvalue > 1e-6


def test_p_values_of_right_draws_are_uniform():
    torch.manual_seed(0)
    samples = {
        "ks": lambda: s.ks_p(torch.rand(2000)),
        "mean": lambda: s.mean_p(torch.randn(2000)),
        "chi2": lambda: s.chi2_p(float(torch.randn(50).square().sum()), 50),
        "upper": lambda: s.upper_chi2_p(float(torch.randn(50).square().sum()), 50),
        "independence": lambda: s.independence_p(torch.randn(2000), torch.randn(2000)),
        "one side": lambda: s.independence_p(torch.randn(2000), torch.randn(2000), True),
        "normal": lambda: s.normal_p(float(torch.randn(()))),
    }
    for name, draw in samples.items():
        assert uniform_enough([draw() for _ in range(RUNS)]), name


def test_p_values_of_wrong_draws_are_small():
    torch.manual_seed(0)
    assert s.ks_p(torch.special.ndtr(1.1 * torch.randn(20000).double())) < 1e-6
    assert s.mean_p(torch.randn(2000) + 0.2) < 1e-6
    assert s.chi2_p(1.3 * 2000, 2000) < 1e-6 and s.chi2_p(0.7 * 2000, 2000) < 1e-6
    for p in (s.ks_p(torch.full((5,), torch.nan)), s.mean_p(torch.full((5,), torch.nan))):
        assert p == 0.0


def test_p_values_agree_with_scipy_far_out():
    for z in (1.0, 4.0, 5.5):
        assert math.isclose(s.normal_p(z), 2 * stats.norm.sf(z), rel_tol=1e-9)
    for x in (60.0, 120.0, 180.0):
        assert math.isclose(s.upper_chi2_p(x, 60), stats.chi2.sf(x, 60), rel_tol=1e-6)
    u = torch.linspace(0, 1, 5001)[1:] ** 1.1
    wanted = stats.kstest(u.numpy(), "uniform", method="asymp").pvalue
    assert math.isclose(math.log(s.ks_p(u)), math.log(wanted), rel_tol=0.05)


@pytest.mark.parametrize("name", RANDOM)
def test_probes_are_calibrated(name):
    """Over right answers, P(p ≤ α) ≤ α for every test of a probe, at α = 0.05 and 0.01."""
    exercise, runs = RANDOM[name], 40
    found = {}
    for seed in range(runs):
        torch.manual_seed(seed)
        for test, (p, _) in exercise.probed(exercise.reference, seed).tests.items():
            found.setdefault(test, []).append(p)
    for test, p_values in found.items():
        for level in (0.05, 0.01):
            hits = sum(p <= level for p in p_values)
            assert stats.binom.sf(hits - 1, runs, level) > 1e-5, (test, level, hits)


def test_rounding_is_no_bias():
    """Antithetic draws and a linear function leave no scatter at all; that is no failure."""
    assert s.mean_p(torch.full((500,), 3e-6)) > 0.5
    assert s.mean_p(torch.full((500,), 1e-2)) < 1e-9
