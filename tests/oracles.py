"""Independent answers to test against: SciPy and closed forms, never the code under test."""

import math

import numpy as np
from scipy.integrate import quad


def kl_normal_to_mixture(mu, sigma, spike_prob, spike_var, slab_var=1.0):
    """KL(N(mu, sigma²) ‖ spike-and-slab) by adaptive quadrature with the break points given."""

    def log_normal(z, variance):
        return -0.5 * (z * z / variance + math.log(2 * math.pi * variance))

    def integrand(t):  # z = mu + sigma t
        z = mu + sigma * t
        log_p = np.logaddexp(
            math.log(spike_prob) + log_normal(z, spike_var) if spike_prob > 0 else -math.inf,
            math.log1p(-spike_prob) + log_normal(z, slab_var) if spike_prob < 1 else -math.inf,
        )
        log_q = -0.5 * t * t - math.log(sigma) - 0.5 * math.log(2 * math.pi)
        return math.exp(-0.5 * t * t) / math.sqrt(2 * math.pi) * (log_q - log_p)

    width = math.sqrt(spike_var)
    edges = {(k * width - mu) / sigma for k in (-8, -5, -3, -1, 0, 1, 3, 5, 8)} | {-1.0, 0.0, 1.0}
    points = sorted(edge for edge in edges if abs(edge) < 12)
    return quad(integrand, -12, 12, points=points, epsabs=1e-11, epsrel=1e-11, limit=600)[0]
