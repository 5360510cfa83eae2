"""The package as a user's editor, type checker and help() see it."""

import inspect
import os
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import svae_helpers

SCRIPT = """
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Laplace, Normal, kl_divergence

import svae_helpers as sh


def penalty(q: Distribution, z: Tensor, prior: Distribution) -> Tensor:
    return 0.1 * q.mean.abs().sum(dim=-1).mean()


def log(epoch: int, model: sh.VAE, history: sh.History) -> None:
    print(epoch, history.train["loss"][-1], model.latent_dim)


train, test = sh.load_mnist(binarise="static", seed=1)
prior = sh.SpikeAndSlab(Normal(0.0, 0.2), Laplace(0.0, 1.0), spike_prob=0.8)
model = sh.VAE(8, prior=prior, decoder=nn.Linear(8, 784))
history = sh.fit(model, train, epochs=1, penalty=penalty, on_epoch=log, test_images=test)
history = sh.fit(model, train.images, epochs=1, kl=sh.kl_monte_carlo, resume=history)
sh.save_checkpoint(Path("model.pt"), model, history)
result = sh.evaluate(model, test.images, kl_divergence, num_samples=10)
bound: Tensor | None = result.bound
terms: sh.ElboTerms = sh.elbo_terms(model, test.images)
loss: Tensor = terms.beta_loss(2.0)
gaussian = sh.SpikeAndSlab.gaussian(0.8, spike_var=torch.tensor(0.05))
count: Tensor = sh.slab_count(sh.posterior_means(model, test.images), gaussian)
lower, upper = sh.kl_bounds(Normal(0.0, 1.0), gaussian)
codes: Tensor = gaussian.sample((3,)) + gaussian.crossover
print(sh.get_device(), model.sample(4).shape, float(upper - lower), float(codes.mean()), count)
"""


def test_a_type_checker_finds_no_error_in_a_users_script(tmp_path):
    (tmp_path / "user.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    command += ["--cache-dir", str(tmp_path / "cache"), "user.py"]
    # an editable installation is found by an import hook, which a checker does not run
    environment = os.environ | {"MYPYPATH": str(Path(svae_helpers.__file__).parents[1])}
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(command, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "user.py").write_text(SCRIPT + "\nmodel.sample('four')\n")
    done = subprocess.run(command, **options)
    assert "arg-type" in done.stdout, "the checker does not see the package's types"


def test_the_marker_of_a_typed_package_is_there():
    assert (Path(svae_helpers.__file__).parent / "py.typed").exists()


def test_help_lists_the_functions():
    text = pydoc.plain(pydoc.render_doc(svae_helpers))
    functions = text.split("FUNCTIONS")[1]
    for name in svae_helpers.__all__:
        if inspect.isfunction(getattr(svae_helpers, name)):
            assert f"\n    {name}(" in functions, name
    assert svae_helpers.__version__ in text


@pytest.mark.parametrize("name", svae_helpers.__all__)
def test_every_public_name_is_documented_and_typed(name):
    value = getattr(svae_helpers, name)
    assert inspect.getdoc(value)
    if inspect.isfunction(value) and value.__module__.startswith("svae_helpers"):
        signature = inspect.signature(value)
        assert signature.return_annotation is not signature.empty
        assert all(p.annotation is not p.empty for p in signature.parameters.values())
