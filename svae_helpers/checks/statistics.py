"""P-values for random answers, without SciPy; 0 for what is not finite.

Each is exact, or asymptotic in a sample of thousands; either way, P(p ≤ α) ≤ α for a right answer
up to a factor well below ten in the far tail (bounded or nearly Gaussian terms: the
moderate-deviation correction exp(x³·skewness/(6√n)) at x = 5.5 stays below 3). A check of m tests
refuses at p < 1e-7 / m, so by Bonferroni a right answer fails with probability below 1e-6.
"""

import math

import torch
from torch import Tensor

FAMILY = 1e-7  # a tenth of what is promised, which leaves room for the asymptotics


def normal_p(z: float) -> float:
    """Two-sided p-value of a standard normal statistic."""
    return math.erfc(abs(z) / math.sqrt(2)) if math.isfinite(z) else 0.0


def upper_normal_p(z: float) -> float:
    """P(Z ≥ z) of a standard normal statistic."""
    return 0.5 * math.erfc(z / math.sqrt(2)) if math.isfinite(z) else 0.0


def upper_chi2_p(statistic: float, dof: int) -> float:
    """P(χ² ≥ statistic); exact for a sum of squares of standard normals."""
    if not math.isfinite(statistic):
        return 0.0
    halves = torch.tensor([dof / 2, statistic / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(*halves))


def chi2_p(statistic: float, dof: float) -> float:
    """Two-sided p-value of a sum of squares of standard normals; exact."""
    upper = upper_chi2_p(statistic, dof)
    return min(1.0, 2 * min(upper, 1 - upper))


def mean_p(errors: Tensor, floor: float = 2e-5) -> float:
    """Two-sided p-value for independent errors of mean 0: a self-normalised z-test.

    `floor` is the bias that rounding may leave; it counts where the errors hardly vary, as with
    antithetic draws and a linear function.
    """
    if not errors.isfinite().all():
        return 0.0
    spread = float(errors.var()) / errors.numel()
    return normal_p(float(errors.mean()) / math.sqrt(spread + floor**2))


def ks_p(uniforms: Tensor) -> float:
    """Kolmogorov–Smirnov p-value for draws from U(0, 1), by the asymptotic series.

    In the far tail it is its first term, the Dvoretzky–Kiefer–Wolfowitz bound for every n.
    """
    u = uniforms.flatten().double().sort().values
    if not u.isfinite().all():
        return 0.0
    n = u.numel()
    steps = torch.arange(1, n + 1, dtype=torch.float64) / n
    distance = float(torch.maximum(steps - u, u - (steps - 1 / n)).max())
    x = distance * (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n))
    series = sum((-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 300))
    return min(1.0, max(0.0, 2 * series))


def correlation(a: Tensor, b: Tensor) -> float:
    """Correlation about 0 of two samples; 0 where one of them does not vary."""
    size = float((a.square().sum() * b.square().sum()).sqrt())
    return float((a * b).sum()) / size if size > 0 and math.isfinite(size) else 0.0


def independence_p(a: Tensor, b: Tensor, one_sided: bool = False) -> float:
    """P-value for independent samples of mean 0 and variance 1: Σ ab / √n is standard normal."""
    z = float((a * b).sum()) / math.sqrt(a.numel())
    return upper_normal_p(z) if one_sided else normal_p(z)


def twins(e: Tensor) -> set[str]:
    """Which share their noise, or mirror it, in n draws of (B, D): "images", "latents", both, none.

    By chance two numbers correlate by 0.98 in 24 draws with probability 1e-17 (a t-test).
    """
    D, e = e.shape[-1], (e - e.mean(0)).flatten(1) * (len(e) >= 24)
    e = e / (e.norm(dim=0) + 1e-6)
    first, second = ((e.T @ e).abs() > 0.98).triu(1).nonzero().T // D
    found = {"images": first != second, "latents": first == second}
    return {name for name, pairs in found.items() if pairs.any()}
