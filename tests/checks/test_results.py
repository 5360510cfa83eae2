"""Stubs, the shape of a verdict, and what a check leaves behind."""

import functools
import random

import numpy as np
import pytest
import torch

from svae_helpers import checks
from svae_helpers.checks import CheckResult
from svae_helpers.checks.stub import is_stub

from .catalogue import EXERCISES, FUNCTIONS


def docstring(*args):
    """Return something."""


def dots(*args): ...  # your code


def passing(*args):
    # a comment
    pass


def returns_none(*args):
    """Say nothing."""
    return None


def bare_return(*args):
    return


def raises(*args):
    raise NotImplementedError


def raises_with_words(*args):
    """Do it."""
    raise NotImplementedError("YOUR CODE HERE")


def mixed(*args):
    """Do it."""
    ...
    pass


STUBS = [docstring, dots, passing, returns_none, bare_return, raises, raises_with_words, mixed]


@pytest.mark.parametrize("stub", STUBS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_stub_is_not_attempted(name, stub):
    result = checks.ALL[name](stub)
    assert result.status == "not attempted" and result.misconception is None and not result
    assert result.message.startswith(f"○ {EXERCISES[name].number} ")


def test_stubs_without_source_are_known():
    for body in ("...", "pass", "'''Words.'''", "return None", "raise NotImplementedError('x')"):
        namespace = {}
        exec(f"def f(a, b):\n    {body}", namespace)
        assert is_stub(namespace["f"]), body
    assert is_stub(lambda a, b: None) and is_stub(lambda a, b: ...)
    assert is_stub(functools.partial(dots, 1))


def test_an_attempt_is_no_stub():
    def forgot_to_return(mu, log_var):
        kl = mu + log_var  # noqa: F841

    def left_the_raise(mu, log_var):
        raise NotImplementedError
        return mu.sum(1)

    def number(mu, log_var):
        42  # noqa: B018

    for attempt in (forgot_to_return, left_the_raise, number, lambda m, v: m, torch.add):
        assert not is_stub(attempt)
    assert checks.gaussian_kl(forgot_to_return).misconception == "missing return"
    assert "NotImplementedError" in checks.gaussian_kl(left_the_raise).message
    assert checks.gaussian_kl(number).misconception == "missing return"


def test_a_call_instead_of_the_function_is_told():
    for wrong in (None, torch.zeros(3), 1.0):
        assert checks.gaussian_kl(wrong).misconception == "not a function"


def test_a_result_is_true_only_when_passed():
    passed = checks.elbo(lambda log_joint, log_q: (log_joint - log_q).mean(0))
    assert passed and passed.status == "passed" and passed.require() is passed
    failed = checks.elbo(lambda log_joint, log_q: (log_joint - log_q).sum(0))
    for result in (failed, checks.elbo(dots)):
        assert not result
        with pytest.raises(AssertionError) as caught:
            result.require()
        assert str(caught.value) == result.message


def test_a_result_shows_itself():
    result = checks.elbo(lambda log_joint, log_q: (log_joint - log_q).sum(0))
    assert repr(result) == str(result) == result.message
    page = result._repr_html_()
    assert f"<b>✗ {EXERCISES['elbo'].number}</b>" in page and "color: inherit" in page
    hostile = CheckResult("failed", "✗ 1.2 <script> & `a < b`")._repr_html_()
    assert "<script>" not in hostile and "<code>a &lt; b</code>" in hostile


def test_a_result_cannot_be_changed():
    with pytest.raises(AttributeError):
        checks.elbo(dots).status = "passed"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_global_state_is_left_alone(name):
    def meddler(*args):
        torch.manual_seed(1)
        np.random.seed(2)
        random.seed(3)
        torch.set_grad_enabled(False)
        return torch.zeros(3)

    for answer in (EXERCISES[name].reference, meddler):
        before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())
        with torch.no_grad():
            checks.ALL[name](answer)
            assert not torch.is_grad_enabled()
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (np.random.get_state()[1] == before[1]).all() and random.getstate() == before[2]
        assert torch.is_grad_enabled()


def test_a_check_works_inside_no_grad_and_inference_mode():
    reference = EXERCISES["gaussian_kl"].reference
    with torch.no_grad():
        checks.gaussian_kl(reference).require()
    with torch.inference_mode():
        checks.gaussian_kl(reference).require()


def test_every_check_has_words():
    for name, check in checks.ALL.items():
        assert getattr(checks, name) is check and check.__doc__
        assert callable(check) and check.__name__ == name
