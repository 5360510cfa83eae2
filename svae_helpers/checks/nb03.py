"""Checks of notebook 03: Bernoulli log-likelihood, Gaussian KL, and a VAE's loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ._exact import Case, Evidence, Exercise, Misconception
from ._result import CheckResult


def bce(logits: Tensor, x: Tensor) -> Tensor:
    """Cross-entropy per pixel, (B, P) in nats."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none")


def kl_standard(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(q ‖ N(0, 1)) per latent, (B, D) in nats."""
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var)


def draw_pixels(g: Generator, B: int, P: int, spread: float = 2.0) -> tuple[Tensor, Tensor]:
    """Draw logits and binary pixels, both (B, P)."""
    logits = spread * torch.randn(B, P, generator=g) + 0.4
    return logits, (torch.rand(B, P, generator=g) < 0.37).float()


def wrong_pixels(g: Generator, B: int, P: int) -> tuple[Tensor, Tensor]:
    """Draw logits near ±160 with binary pixels, some of them surely wrong: probability 0."""
    logits, x = draw_pixels(g, B, P, spread=1.0)
    sign = torch.where(torch.rand(B, P, generator=g) < 0.5, -1.0, 1.0)
    x[:, 0], sign[:, 0] = 1.0, -1.0
    return logits + 160 * sign, x


def draw_posterior(g: Generator, B: int, D: int) -> tuple[Tensor, Tensor]:
    """Draw a posterior's mean and log-variance, both (B, D), away from N(0, 1)."""
    mu = 1.3 * torch.randn(B, D, generator=g) + 0.3
    return mu, 0.8 * torch.randn(B, D, generator=g) - 0.9


def underflow(evidence: Evidence) -> bool:
    """Recognise a clamp or an underflow of any size: right until the numbers are extreme."""
    return evidence.wrong_only_in_extremes()


def _reference_log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    # Bernoulli in its exponential-family form: x·l − log(1 + e^l).
    log_partition = logits.clamp(min=0) + torch.log1p(torch.exp(-logits.abs()))
    return (x * logits - log_partition).sum(dim=1)


def _pixel_cases(g: Generator) -> list[Case]:
    return [
        Case(draw_pixels(g, 4, 7)),
        Case(draw_pixels(g, 5, 5)),
        Case(draw_pixels(g, 3, 784)),
        Case(draw_pixels(g, 1, 9)),
        Case(draw_pixels(g, 6, 1)),
        Case(wrong_pixels(g, 3, 6), extreme=True),
    ]


CLAMP = (
    "It is right for ordinary logits only. Far out, the sigmoid is 0 or 1 in float32, and the "
    "logarithm is infinite or clamped, with a gradient of 0: work with the logits throughout "
    "(`binary_cross_entropy_with_logits`, `logsigmoid`)."
)

BERNOULLI = Exercise(
    name="bernoulli_log_likelihood",
    number="3.1",
    parameters=("logits", "x"),
    reference=_reference_log_likelihood,
    cases=_pixel_cases,
    differentiable=("logits",),
    misconceptions=(
        Misconception(
            "mean over pixels",
            lambda l, x: -bce(l, x).mean(1),
            "You average over the pixels. Independent pixels multiply, so their log-probabilities "
            "add: a mean is a hidden β.",
        ),
        Misconception(
            "sign",
            lambda l, x: bce(l, x).sum(1),
            "That is the cross-entropy, which is minus the log-likelihood.",
        ),
        Misconception(
            "batch summed",
            lambda l, x: -bce(l, x).sum(),
            "You sum over the batch too; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "batch averaged",
            lambda l, x: -bce(l, x).sum(1).mean(),
            "You average over the batch; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "mean over everything",
            lambda l, x: -bce(l, x).mean(),
            "You average over pixels and batch, which is PyTorch's default `reduction`. Sum over "
            "the pixels and keep one number per image.",
        ),
        Misconception(
            "pixels not summed",
            lambda l, x: -bce(l, x),
            "You return one number per pixel; sum over the last axis.",
        ),
        Misconception(
            "sigmoid twice",
            (
                lambda l, x: -bce(l.sigmoid(), x).sum(1),
                lambda l, x: (
                    -F.binary_cross_entropy(l.sigmoid().sigmoid(), x, reduction="none").sum(1)
                ),
            ),
            "You turn logits into probabilities and hand those to a function that wants logits.",
        ),
        Misconception(
            "logits taken for probabilities",
            (
                lambda l, x: -F.binary_cross_entropy(l, x, reduction="none").sum(1),
                lambda l, x: (x * l.log() + (1 - x) * (1 - l).log()).sum(1),
                lambda l, x: -F.binary_cross_entropy(l.clamp(0, 1), x, reduction="none").sum(1),
                lambda l, x: torch.distributions.Bernoulli(l).log_prob(x).sum(1),
                lambda l, x: torch.distributions.Bernoulli(probs=l.clamp(0, 1)).log_prob(x).sum(1),
            ),
            "You use the logits as if they were probabilities; a logit is any real number.",
        ),
        Misconception(
            "clamped probabilities",
            (
                lambda l, x: -F.binary_cross_entropy(l.sigmoid(), x, reduction="none").sum(1),
                lambda l, x: (x * l.sigmoid().log() + (1 - x) * (1 - l.sigmoid()).log()).sum(1),
                lambda l, x: (
                    x * (l.sigmoid() + 1e-8).log() + (1 - x) * (1 - l.sigmoid() + 1e-8).log()
                ).sum(1),
                lambda l, x: torch.distributions.Bernoulli(l.sigmoid()).log_prob(x).sum(1),
            ),
            CLAMP,
            symptom=underflow,
        ),
        Misconception(
            "only the pixels that are on",
            lambda l, x: (x * F.logsigmoid(l)).sum(1),
            "You leave the black pixels out: the term (1 − x) log(1 − probability) is missing.",
        ),
        Misconception(
            "only the pixels that are off",
            lambda l, x: ((1 - x) * F.logsigmoid(-l)).sum(1),
            "You leave the white pixels out: the term x log(probability) is missing.",
        ),
        Misconception(
            "arguments swapped",
            lambda l, x: -bce(x, l).sum(1),
            "You take the pixels for logits and the logits for pixels. Hand them over by keyword.",
        ),
        Misconception(
            "targets flipped",
            (lambda l, x: -bce(l, 1 - x).sum(1), lambda l, x: -bce(-l, x).sum(1)),
            "That is the likelihood of the negative image: x weighs log(probability), 1 − x the "
            "other one.",
        ),
        Misconception(
            "squared error",
            (
                lambda l, x: -((l.sigmoid() - x) ** 2).sum(1),
                lambda l, x: -0.5 * ((l.sigmoid() - x) ** 2).sum(1),
                lambda l, x: ((l.sigmoid() - x) ** 2).sum(1),
                lambda l, x: -((l - x) ** 2).sum(1),
                lambda l, x: -0.5 * ((l - x) ** 2).sum(1),
            ),
            "A squared error is the log-density of a Gaussian. These pixels are Bernoulli.",
        ),
        Misconception(
            "wrong axis",
            lambda l, x: -bce(l, x).sum(0),
            "You sum over the batch and keep the pixels; sum over the last axis.",
        ),
        Misconception(
            "x·logit alone",
            lambda l, x: (x * l).sum(1),
            "The normaliser − log(1 + e^logit) is missing.",
        ),
    ),
)

GAUSSIAN_KL = Exercise(
    name="gaussian_kl",
    number="3.2",
    parameters=("mu", "log_var"),
    reference=lambda mu, log_var: torch.distributions.kl_divergence(
        torch.distributions.Normal(mu, log_var.exp().sqrt()),
        torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu)),
    ).sum(dim=1),
    cases=lambda g: [
        Case(draw_posterior(g, 4, 6)),
        Case(draw_posterior(g, 5, 5)),
        Case(draw_posterior(g, 32, 20)),
        Case(draw_posterior(g, 1, 4)),
        Case(draw_posterior(g, 7, 1)),
        Case((torch.randn(3, 2, generator=g), 0.2 + torch.rand(3, 2, generator=g))),
        Case((torch.full((2, 3), 9.0), torch.tensor([[-9.0, 5.0, 0.2], [3.0, -7.0, 1.0]])), True),
    ],
    differentiable=("mu", "log_var"),
    misconceptions=(
        Misconception(
            "lost ½",
            lambda m, v: (2 * kl_standard(m, v)).sum(1),
            "The factor ½ is missing; it comes from the ½ in a Gaussian's exponent.",
        ),
        Misconception(
            "sign",
            lambda m, v: -kl_standard(m, v).sum(1),
            "The sign is the wrong way round. A KL divergence is never negative.",
        ),
        Misconception(
            "lost ½ and sign",
            lambda m, v: -2 * kl_standard(m, v).sum(1),
            "The factor −½ is missing in front of Σ (1 + log σ² − μ² − σ²).",
        ),
        Misconception(
            "mean over latents",
            lambda m, v: kl_standard(m, v).mean(1),
            "You average over the latents. Independent latents add their KLs: a mean is a "
            "hidden β.",
        ),
        Misconception(
            "batch summed",
            lambda m, v: kl_standard(m, v).sum(),
            "You sum over the batch too; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "batch averaged",
            lambda m, v: kl_standard(m, v).sum(1).mean(),
            "You average over the batch; the answer has one number per image, shape (B,).",
        ),
        Misconception(
            "mean over everything",
            lambda m, v: kl_standard(m, v).mean(),
            "You average over latents and batch. Sum over the latents, one number per image.",
        ),
        Misconception(
            "latents not summed",
            kl_standard,
            "You return one number per latent; sum over the last axis.",
        ),
        Misconception(
            "wrong axis",
            lambda m, v: kl_standard(m, v).sum(0),
            "You sum over the batch and keep the latents; sum over the last axis.",
        ),
        Misconception(
            "log_var taken for log σ",
            lambda m, v: kl_standard(m, 2 * v).sum(1),
            "You take `log_var` for log σ, and square once too often: σ² is `log_var.exp()`.",
        ),
        Misconception(
            "σ where σ² belongs",
            (
                lambda m, v: 0.5 * (m**2 + (0.5 * v).exp() - 1 - v).sum(1),
                lambda m, v: 0.5 * (m**2 + (0.5 * v).exp() - 1 - 0.5 * v).sum(1),
            ),
            "You use the standard deviation where the formula has the variance σ² "
            "= `log_var.exp()`.",
        ),
        Misconception(
            "variance squared",
            lambda m, v: 0.5 * (m**2 + (2 * v).exp() - 1 - v).sum(1),
            "You square `log_var.exp()`, which is the variance already.",
        ),
        Misconception(
            "half the logarithm",
            lambda m, v: 0.5 * (m**2 + v.exp() - 1 - 0.5 * v).sum(1),
            "You write log σ = ½ log σ² where the formula has log σ²: ½ is counted twice.",
        ),
        Misconception(
            "−1 forgotten",
            lambda m, v: 0.5 * (m**2 + v.exp() - v).sum(1),
            "The −1 is missing; without it the KL of N(0, 1) with itself is ½ a latent, not 0.",
        ),
        Misconception(
            "+1 for −1",
            lambda m, v: 0.5 * (m**2 + v.exp() + 1 - v).sum(1),
            "The 1 is subtracted, not added: the KL of N(0, 1) with itself is 0.",
        ),
        Misconception(
            "log_var added",
            lambda m, v: 0.5 * (m**2 + v.exp() - 1 + v).sum(1),
            "You add `log_var`; it is subtracted: a narrow q costs nats.",
        ),
        Misconception(
            "log_var forgotten",
            lambda m, v: 0.5 * (m**2 + v.exp() - 1).sum(1),
            "The term − log σ² is missing; nothing would keep q from shrinking to a point.",
        ),
        Misconception(
            "log_var taken for the variance",
            (
                lambda m, v: 0.5 * (m**2 + v - 1 - v.log()).sum(1),
                lambda m, v: 0.5 * (m**2 + v**2 - 1 - 2 * v.log()).sum(1),
                lambda m, v: 0.5 * (m**2 + v**2 - 1 - (v**2).log()).sum(1),
                lambda m, v: 0.5 * (m**2 + v - 1 - v).sum(1),
            ),
            "You use `log_var` as if it were the variance or σ; it is a logarithm and can be "
            "negative. The variance is `log_var.exp()`.",
        ),
        Misconception(
            "μ not squared",
            (
                lambda m, v: 0.5 * (m + v.exp() - 1 - v).sum(1),
                lambda m, v: 0.5 * (m.abs() + v.exp() - 1 - v).sum(1),
            ),
            "μ is not squared.",
        ),
        Misconception(
            "μ forgotten",
            lambda m, v: 0.5 * (v.exp() - 1 - v).sum(1),
            "The term μ² is missing.",
        ),
        Misconception(
            "KL the wrong way round",
            lambda m, v: 0.5 * ((m**2 + 1) / v.exp() - 1 + v).sum(1),
            "That is KL(p ‖ q). The loss has KL(q ‖ p), an expectation under q.",
        ),
        Misconception(
            "arguments swapped",
            lambda m, v: kl_standard(v, m).sum(1),
            "You have `mu` and `log_var` in each other's place.",
        ),
        Misconception(
            "½ on one term only",
            (
                lambda m, v: (0.5 * m**2 + v.exp() - 1 - v).sum(1),
                lambda m, v: (m**2 + 0.5 * (v.exp() - 1 - v)).sum(1),
            ),
            "The factor ½ belongs to all the terms: mind the brackets.",
        ),
    ),
)


def _loss(
    reconstruct: Callable = lambda b: b.sum(1).mean(),
    regularise: Callable = lambda k: k.sum(1).mean(),
    cross_entropy: Callable = bce,
    kl: Callable = kl_standard,
) -> Callable:
    """Put a loss together from its two parts and how each is reduced."""
    return lambda l, x, m, v: reconstruct(cross_entropy(l, x)) + regularise(kl(m, v))


def _sum_then_mean(t: Tensor) -> Tensor:
    return t.sum(1).mean()


def _reference_loss(logits: Tensor, x: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    likelihood = _reference_log_likelihood(logits, x)  # (B,)
    return (GAUSSIAN_KL.reference(mu, log_var) - likelihood).mean()


VAE_LOSS = Exercise(
    name="vae_loss",
    number="3.3",
    parameters=("logits", "x", "mu", "log_var"),
    reference=_reference_loss,
    cases=lambda g: [
        Case((*draw_pixels(g, 4, 9), *draw_posterior(g, 4, 3))),
        Case((*draw_pixels(g, 7, 784), *draw_posterior(g, 7, 20))),
        Case((*draw_pixels(g, 5, 5), *draw_posterior(g, 5, 5))),
        Case((*draw_pixels(g, 1, 6), *draw_posterior(g, 1, 2))),
        Case((*draw_pixels(g, 3, 8), *draw_posterior(g, 3, 1))),
        Case((*wrong_pixels(g, 2, 5), *draw_posterior(g, 2, 4)), extreme=True),
    ],
    differentiable=("logits", "mu", "log_var"),
    layout="all",
    misconceptions=(
        Misconception(
            "mean over pixels",
            (
                _loss(reconstruct=lambda b: b.mean()),
                _loss(lambda b: b.mean(1).sum(), lambda k: k.sum()),
            ),
            "The cross-entropy is averaged over the pixels and the KL summed over the latents: "
            "that multiplies the KL by the number of pixels, and the posterior collapses.",
        ),
        Misconception(
            "mean over latents",
            _loss(regularise=lambda k: k.mean()),
            "The KL is averaged over the latents and the cross-entropy summed over the pixels: a "
            "hidden β of 1/D.",
        ),
        Misconception(
            "mean over everything",
            _loss(lambda b: b.mean(), lambda k: k.mean()),
            "Pixels and latents are averaged, each over its own number: a hidden β of P/D. Sum "
            "both, and average over the batch only.",
        ),
        Misconception(
            "batch summed",
            _loss(lambda b: b.sum(), lambda k: k.sum()),
            "You sum over the batch. Per image means the average over the batch.",
        ),
        Misconception(
            "batch summed in one term",
            (
                _loss(reconstruct=lambda b: b.sum()),
                _loss(regularise=lambda k: k.sum()),
                _loss(lambda b: b.sum(), lambda k: k.mean()),
            ),
            "One term is summed over the batch and the other averaged: a hidden β that changes "
            "with the batch size.",
        ),
        Misconception(
            "batch not averaged",
            lambda l, x, m, v: bce(l, x).sum(1) + kl_standard(m, v).sum(1),
            "You return one number per image; average over the batch.",
        ),
        Misconception(
            "KL subtracted",
            _loss(regularise=lambda k: -k.sum(1).mean()),
            "The KL is subtracted. In the loss, minus the ELBO, it is added.",
        ),
        Misconception(
            "sign",
            _loss(lambda b: -b.sum(1).mean(), lambda k: -k.sum(1).mean()),
            "That is the ELBO. The loss is minus the ELBO, so that a smaller one is better.",
        ),
        Misconception(
            "log-likelihood added",
            _loss(reconstruct=lambda b: -b.sum(1).mean()),
            "You add the log-likelihood. The loss has minus the log-likelihood: cross-entropy.",
        ),
        Misconception(
            "lost ½",
            _loss(kl=lambda m, v: 2 * kl_standard(m, v)),
            "The KL's factor ½ is missing: a hidden β of 2.",
        ),
        Misconception(
            "KL forgotten",
            _loss(regularise=lambda k: 0 * k.sum()),
            "The KL is missing; what is left is an autoencoder.",
        ),
        Misconception(
            "reconstruction forgotten",
            _loss(reconstruct=lambda b: 0 * b.nan_to_num().sum()),
            "The reconstruction term is missing.",
        ),
        Misconception(
            "sigmoid twice",
            _loss(cross_entropy=lambda l, x: bce(l.sigmoid(), x)),
            "You hand probabilities to a function that wants logits.",
        ),
        Misconception(
            "clamped probabilities",
            (
                _loss(
                    cross_entropy=lambda l, x: F.binary_cross_entropy(
                        l.sigmoid(), x, reduction="none"
                    )
                ),
            ),
            CLAMP,
            symptom=underflow,
        ),
        Misconception(
            "squared error",
            (
                _loss(cross_entropy=lambda l, x: (l.sigmoid() - x) ** 2),
                _loss(cross_entropy=lambda l, x: 0.5 * (l.sigmoid() - x) ** 2),
                _loss(cross_entropy=lambda l, x: (l - x) ** 2),
            ),
            "The reconstruction is a squared error. These pixels are Bernoulli: cross-entropy.",
        ),
        Misconception(
            "log_var taken for log σ",
            _loss(kl=lambda m, v: kl_standard(m, 2 * v)),
            "In the KL you take `log_var` for log σ: σ² is `log_var.exp()`.",
        ),
        Misconception(
            "σ where σ² belongs",
            _loss(kl=lambda m, v: 0.5 * (m**2 + (0.5 * v).exp() - 1 - v)),
            "In the KL you use σ where the formula has σ² = `log_var.exp()`.",
        ),
        Misconception(
            "KL the wrong way round",
            _loss(kl=lambda m, v: 0.5 * ((m**2 + 1) / v.exp() - 1 + v)),
            "You use KL(p ‖ q). The loss has KL(q ‖ p), an expectation under q.",
        ),
        Misconception(
            "targets swapped with logits",
            _loss(cross_entropy=lambda l, x: bce(x, l)),
            "You take the pixels for logits and the logits for pixels. Hand them over by keyword.",
        ),
        Misconception(
            "KL detached",
            _loss(kl=lambda m, v: kl_standard(m, v).detach()),
            "The value is right, but the KL is detached: it never pulls on the encoder.",
        ),
    ),
)


def bernoulli_log_likelihood(answer: Callable) -> CheckResult:
    """Check exercise 3.1: `(logits, x) -> (B,)`, log p(x | z) in nats.

    Gradients are compared in the logits. Binary pixels are data: whether a spelling extends to
    pixels between 0 and 1, and so has a derivative there, is left to the learner.

    Args:
        answer: the learner's function of two (B, P) tensors.
    """
    return BERNOULLI.check(answer)


def gaussian_kl(answer: Callable) -> CheckResult:
    """Check exercise 3.2: `(mu, log_var) -> (B,)`, KL(q ‖ N(0, I)) in nats.

    Args:
        answer: the learner's function of two (B, D) tensors.
    """
    return GAUSSIAN_KL.check(answer)


def vae_loss(answer: Callable) -> CheckResult:
    """Check exercise 3.3: `(logits, x, mu, log_var) -> scalar`, the negative ELBO in nats.

    Args:
        answer: the learner's function of (B, P), (B, P), (B, D) and (B, D).
    """
    return VAE_LOSS.check(answer)
