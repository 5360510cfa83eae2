"""The trained models that come with the package, and the commands that write their files."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import kl_divergence

from svae_helpers import VAE, evaluate, export, fit, load_mnist, pretrained, seed_everything
from svae_helpers.sweep import KEY, read_sweep
from svae_helpers.trained_models import PRETRAINED, quantise, read_parts

ASSET = Path(export.__file__).parent / "assets" / "pretrained.npz"
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def test_images():
    return load_mnist()[1].images


def elbo_of(model, images):
    """The ELBO with the exact KL, its draws from seed 0."""
    seed_everything(0)
    return evaluate(model, images, kl_divergence).elbo.mean().item()


def sweep_rows(name):
    """The row of the course's sweep that has a model's setting."""
    setting, rows = PRETRAINED[name], read_sweep()
    for key in KEY:
        rows = rows[rows[key] == getattr(setting, key)]
    return rows


@pytest.mark.parametrize("name", PRETRAINED)
def test_rounding_to_8_bits_costs_less_than_a_tenth_of_a_nat(name, test_images):
    unrounded, stated = read_parts(name)["elbo"].tolist()
    measured = elbo_of(pretrained(name), test_images)
    assert abs(measured - stated) < 0.01  # another processor's arithmetic
    assert abs(measured - unrounded) < 0.1


@pytest.mark.parametrize("name", PRETRAINED)
def test_it_is_the_model_of_the_sweep(name, test_images):
    """The recipe is the sweep's, and so is what comes of it, to what differs between processors."""
    own = sweep_rows(name).elbo.item()
    assert elbo_of(pretrained(name), test_images) == pytest.approx(own, rel=0.005)


def test_a_worse_rounding_would_be_noticed(test_images):
    """4 bits: what the test above would say of weights that are rounded too coarsely."""
    model = pretrained("sparse")
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                scale = weight.abs().amax(dim=1, keepdim=True) / 7
                weight.copy_((weight / scale).round() * scale)
    assert abs(elbo_of(model, test_images) - read_parts("sparse")["elbo"][0]) > 0.1


def test_it_loads_the_same_each_time_and_leaves_the_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = pretrained("dense")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    second = pretrained("dense")
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


def test_it_is_ready_for_use_and_for_more_training():
    model = pretrained("sparse_0.9")
    assert isinstance(model, VAE) and not model.training
    assert model.latent_dim == 20 and float(model.prior.spike_prob) == 0.9
    history = fit(model, load_mnist()[0].images[:64], epochs=1, progress=False, device="cpu")
    assert history.train["loss"][0] < 130


def test_priors_are_those_of_the_names():
    probabilities = {"sparse": 0.8, "sparse_marginals": 0.8, "sparse_0.5": 0.5, "sparse_0.9": 0.9}
    assert float(pretrained("dense").prior.scale) == 1.0
    for name, spike_prob in probabilities.items():
        assert float(pretrained(name).prior.spike_prob) == spike_prob
    assert probabilities.keys() | {"dense"} == PRETRAINED.keys()


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(ValueError, match=r"dense, sparse, sparse_marginals.*got 'spares'"):
        pretrained("spares")


@pytest.mark.parametrize("damage", ["missing", "cut short", "no archive"])
def test_a_damaged_file_says_what_to_do(damage, monkeypatch, tmp_path):
    content = {"cut short": ASSET.read_bytes()[:90_000], "no archive": b"weights"}
    if damage in content:
        (tmp_path / ASSET.name).write_bytes(content[damage])
    monkeypatch.setattr("svae_helpers.trained_models.files", lambda package: tmp_path)
    with pytest.raises(RuntimeError, match=r"pretrained\.npz cannot be read .* reinstall"):
        pretrained("sparse")


def test_the_files_are_small(tmp_path):
    assert ASSET.stat().st_size < MOST_BYTES
    export.main(["page", str(tmp_path / "weights.js")])
    assert (tmp_path / "weights.js").stat().st_size < MOST_BYTES


def test_quantise_rounds_each_row_to_its_own_scale():
    weight = torch.tensor([[1.0, -0.5, 0.0], [0.0, 0.0, 0.0], [200.0, 100.0, -200.0]])
    levels, scale = quantise(weight)
    assert levels.dtype == torch.int8 and levels.abs().max() == 127
    error = (levels * scale[:, None] - weight).abs().amax(dim=1)
    assert (error <= 0.5 * scale + 1e-6).all() and error[1] == 0


def test_the_command_trains_and_writes_what_pretrained_reads(monkeypatch, tmp_path, test_images):
    """One epoch on few digits: the whole way from `fit` to a file and back."""
    digits = load_mnist()
    few = [replace_images(part, 200) for part in digits]
    monkeypatch.setattr(export, "load_mnist", lambda: few)
    monkeypatch.setattr(export, "PRETRAINED", {"sparse": replace(PRETRAINED["sparse"], epochs=1)})
    monkeypatch.setattr("svae_helpers.classifier.LOOKS", 200)
    said = []
    export.train_models(tmp_path / ASSET.name, say=said.append)
    assert said[0].startswith("sparse: ELBO") and [path.name for path in tmp_path.iterdir()] == [
        ASSET.name
    ]
    monkeypatch.setattr("svae_helpers.trained_models.files", lambda package: tmp_path)
    unrounded, stated = read_parts("sparse")["elbo"].tolist()
    assert stated == pytest.approx(elbo_of(pretrained("sparse"), few[1].images), abs=0.01)
    assert unrounded == pytest.approx(stated, abs=0.1)


def replace_images(part, count):
    return type(part)(part.images[:count], part.labels[:count])


def test_the_command_says_what_went_wrong(tmp_path):
    command = [sys.executable, "-m", "svae_helpers.export", "page", str(tmp_path / "no" / "w.js")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_the_archive_holds_no_code():
    arrays = np.load(io.BytesIO(ASSET.read_bytes()), allow_pickle=False)
    assert {array.dtype.kind for array in map(arrays.__getitem__, arrays.files)} <= {"i", "f"}


def test_the_page_gets_the_course_s_units(tmp_path):
    """Standard deviations and priors of the page are the package's."""
    export.main(["page", str(tmp_path / "weights.js")])
    text = (tmp_path / "weights.js").read_text()
    content = json.loads(text.removeprefix("window.playgroundContent = ").rstrip(";\n"))
    model, images = pretrained("sparse"), load_mnist()[1].images
    with torch.no_grad():
        deviations = model.encode(images).mean.std(dim=0)
    assert content["models"]["sparse"]["deviations"] == pytest.approx(deviations.tolist(), abs=1e-4)
    assert content["models"]["sparse"]["prior"]["crossover"] == pytest.approx(
        float(model.prior.crossover)
    )
    for name in ("dense", "sparse"):
        rows = sweep_rows(name)
        assert content["models"][name]["errors"][4] == pytest.approx(-rows.kept_4.item(), rel=0.03)
    assert set(content["models"]) == set(export.ON_THE_PAGE)
