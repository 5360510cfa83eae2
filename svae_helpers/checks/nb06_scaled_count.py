"""Question of notebook 06: what units alone do to a count."""

from .question import question
from .small_vae import LATENTS, SPIKE_PROB, VARIANCE, draws_past


@question(
    "6.3",
    factor=1.25,
    unit="latents (20 draws from N(0, 0.24); a trained model comes near)",
    too_low="There is no sparsity in it: every latent is N(0, 0.24). Ask how often |z| > 0.551.",
    too_high="Its latents are half as wide as the dense model's: ask how often |z| > 0.551.",
)
def scaled_count() -> float:
    """Latents of the scaled model past the sparse prior's crossover, of 20."""
    return draws_past(VARIANCE)


scaled_count.mistakes(
    (
        "as many as in the dense model",
        lambda: draws_past(1.0),
        "It is the same model, and not the same number: the crossover stays at 0.551 while the "
        "latents are half as wide. How often is |z| > 0.551 under N(0, 0.24)?",
    ),
    (
        "(1 − π)·D",
        lambda: (1 - SPIKE_PROB) * LATENTS,
        "4 of 20 is what the *sparse* prior turns on. The scaled model's prior has no spike; ask "
        "how often |z| > 0.551 under N(0, 0.24).",
    ),
    ("the share", lambda: draws_past(VARIANCE) / LATENTS, "About one latent's share; here are 20."),
    (
        "next to none",
        lambda: draws_past(VARIANCE**2),
        lambda: 0.0,
        "0.24 is a variance, so the standard deviation is 0.49, and 0.551 is only 1.12 of them.",
    ),
)
