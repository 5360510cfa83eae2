"""The one place to change: told where it is, folded what belongs there, and never untrue."""

import inspect
import math
import textwrap
import time

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from svae_helpers import checks
from svae_helpers.checks import exercise

K_LESS = 1


def wrong_base(log_joint, log_q):
    weights = log_joint - log_q
    return torch.logsumexp(weights, 0) - math.log10(len(weights))


def fewer(log_joint, log_q, less=K_LESS):
    weights = log_joint - log_q
    return torch.logsumexp(weights, dim=0) - math.log(len(weights) - less)


def overwritten(log_joint: Tensor, log_q: Tensor) -> Tensor:
    weights, total = log_joint - log_q, 0.0
    top = weights.amax(0)
    for row in weights:
        total = (row - top).exp()
    return top + (total / len(weights)).log()


def too_early(log_joint, log_q):
    total = 0.0
    for joint, q in zip(log_joint, log_q):
        total += joint - q
        return total / len(log_q)


def cut(z, spike_prob, spike_var):
    off = math.log(spike_prob) + Normal(0.0, spike_var**0.5).log_prob(z.detach())
    on = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z)
    return torch.sigmoid(on - off)


def half_of_the_variance(mu, log_var):
    return mu + 0.5 * log_var.exp() * torch.randn_like(mu)


def by_parameters(mu, log_var, log_prior, num_samples):
    q = Normal(mu, (0.5 * log_var).exp())
    z = q.rsample((num_samples + 1,))
    return (q.log_prob(z) - log_prior(z)).sum(0).sum(1) / num_samples


CHANGES = {
    wrong_base: ("log_marginal", "math.log10(len(weights))", "math.log(len(weights))"),
    fewer: ("log_marginal", "len(weights) - less", "len(weights)"),
    overwritten: ("log_marginal", "total = (row - top).exp()", "total += (row - top).exp()"),
    cut: ("slab_responsibility", "z.detach()", "z"),
    half_of_the_variance: ("reparameterise", "0.5 * log_var.exp()", None),
    by_parameters: ("monte_carlo_kl", "num_samples + 1", "num_samples"),
}
SYMPTOMS = {fewer: "an exception", cut: "wrong gradient"}  # names that say more of a verdict


@pytest.mark.parametrize("answer", CHANGES)
def test_the_place_is_told_and_what_belongs_there_is_folded(answer):
    name, was, better = CHANGES[answer]
    torch.manual_seed(0)
    result = checks.ALL[name](answer)
    first = result.message.splitlines()[0]
    assert result.status == "failed" and first.startswith("✗")
    assert f"look at `{was}` in the line `" in first or f"look at the line `{was}`." in first
    if better is None:
        return
    assert f"Your function passes with\n{better}\nin place of\n{was}" in result.details
    assert "<summary>What belongs there</summary>" in result._repr_html_()
    assert better in was or better not in result.message  # that is for the learner to find
    assert result.misconception == SYMPTOMS.get(answer, f"{was} for {better}")
    source = textwrap.dedent(inspect.getsource(answer))
    assert source.count(was) == 1
    space = dict(answer.__globals__)
    exec(source.replace(was, better), space)
    checks.ALL[name](space[answer.__name__]).require()


def test_a_return_inside_the_loop_is_told():
    result = checks.elbo(too_early)
    assert "one place" in result.message and "look at the line `for joint, q in " in result.message
    assert "return total / len(log_q)" in result.details


def test_a_lambda_and_a_decorated_function_have_places_too():
    swapped = checks.log_marginal(lambda a, b: torch.logsumexp(a - b, 0) - math.log2(len(a)))
    assert "look at `math.log2(len(a))`" in swapped.message

    @torch.enable_grad()
    def wrong(log_joint, log_q):
        return torch.logsumexp(log_joint - log_q, 0) - math.log2(len(log_q))

    assert "look at `math.log2(len(log_q))`" in checks.log_marginal(wrong).message


def test_a_function_without_source_has_a_counter_example():
    space = {"torch": torch, "math": math}
    exec("def f(a, b):\n    return torch.logsumexp(a - b, 0) - math.log(3 + len(a))", space)
    result = checks.log_marginal(space["f"])
    assert result.status == "failed" and "the right one is" in result.message


@exercise("9.7", lambda g: [(3, 2.0), (5, 0.5)], unit="")
def power(n: int, base: float) -> float:
    """`base` to the n-th."""
    return base**n


def test_a_change_that_never_ends_is_cut_off():
    def wrong(n, base):
        value, k = 1.0, n
        while k != 0:
            value, k = value + base, k - 1
        return value

    begun = time.monotonic()
    assert not power(wrong)
    assert time.monotonic() - begun < 12
    assert not torch.overrides._get_current_function_mode_stack()


def test_what_a_changed_function_prints_is_not_shown(capsys):
    def wrong(n, base):
        print("once")
        return base ** (n + 1)

    result = power(wrong)
    assert result.misconception == "n + 1 for n"
    assert capsys.readouterr().out.count("once") == 1
