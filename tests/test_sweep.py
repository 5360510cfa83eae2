"""The sweep behind notebook 07: what it measures, what it stores, and that no run is lost."""

import math
import signal
import subprocess
import sys
from dataclasses import astuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import integrate, stats
from torch import nn
from torch.distributions import Normal, kl_divergence

from svae_helpers import History, SpikeAndSlab, classifier, kl_monte_carlo, kl_normal_standard
from svae_helpers import sweep as room
from svae_helpers.settings import COLUMNS, KEY, MEASURES, Setting, full_grid
from svae_helpers.surgery import elbo_surgery, latent_surgery
from svae_helpers.sweep import read_sweep, sweep

SETTINGS = [Setting(seed=seed, epochs=1, latent_dim=2) for seed in range(4)]


def silent(_line):
    pass


@pytest.fixture
def tiny(monkeypatch):
    """Few images and an untrained classifier: a run in a fraction of a second."""
    load = room._images
    monkeypatch.setattr(room, "_images", lambda pixels: tuple(x[:150] for x in load(pixels)))
    monkeypatch.setattr(room, "train_classifier", lambda: nn.Linear(784, 10))
    monkeypatch.setattr(room, "BOUND_SAMPLES", 3)


@pytest.fixture
def fake_run(monkeypatch):
    """`run` without training, which notes what it was asked for."""
    asked = []

    def run(setting):
        asked.append(setting)
        return room._key(setting) | {name: f"{setting.seed}.5" for name in MEASURES}

    monkeypatch.setattr(room, "run", run)
    return asked


# ---- the committed file


COMMITTED = read_sweep()


def test_committed_file_holds_the_full_grid_once():
    found = list(COMMITTED[KEY].itertuples(index=False, name=None))
    wanted = [astuple(setting) for setting in full_grid()]
    assert len(wanted) == len(set(wanted)) == 60
    assert sorted(found) == sorted(wanted)


def test_every_number_of_the_committed_file_is_finite():
    grey = COMMITTED["pixels"] == "grey"
    assert COMMITTED.loc[grey, "log_px"].isna().all()  # a cross-entropy is no likelihood
    others = [name for name in MEASURES if name != "log_px"]
    assert np.isfinite(COMMITTED[others]).all(axis=None)
    assert np.isfinite(COMMITTED.loc[~grey, "log_px"]).all()


def test_committed_numbers_obey_the_identities():
    for _, row in COMMITTED.iterrows():
        assert row["elbo"] == pytest.approx(row["reconstruction"] - row["kl"], rel=1e-3)
        assert row["mutual_information"] <= math.log(1_000) + 1e-3
        for parts in (
            ["mutual_information", "kl_aggregate"],
            ["latent_information", "kl_marginals"],
        ):
            assert row[parts].sum() == pytest.approx(row["kl"], rel=0.02, abs=0.3)
        if row["pixels"] == "binary":
            assert row["log_px"] > row["elbo"]


# ---- resuming


def test_a_second_sweep_runs_what_is_missing(tmp_path, fake_run):
    path = tmp_path / "new" / "sweep.csv"
    assert sweep(SETTINGS[:2], path, silent) == 2
    before = path.read_bytes()
    assert sweep(SETTINGS, path, silent) == 2
    assert fake_run == SETTINGS
    assert path.read_bytes().startswith(before)
    assert sweep(SETTINGS, path, silent) == 0


def test_other_epochs_are_other_runs(tmp_path, fake_run):
    sweep([Setting(epochs=1)], tmp_path / "sweep.csv", silent)
    assert sweep([Setting(epochs=2)], tmp_path / "sweep.csv", silent) == 1


def test_an_interrupt_loses_no_finished_run(tmp_path, fake_run, monkeypatch):
    path, whole = tmp_path / "cut.csv", tmp_path / "whole.csv"
    sweep(SETTINGS, whole, silent)
    finished = room.run

    def run(setting):
        if setting.seed == 2:
            raise KeyboardInterrupt
        return finished(setting)

    monkeypatch.setattr(room, "run", run)
    with pytest.raises(KeyboardInterrupt):
        sweep(SETTINGS, path, silent)
    assert read_sweep(path)["seed"].tolist() == [0, 1]
    monkeypatch.setattr(room, "run", finished)
    sweep(SETTINGS, path, silent)
    assert path.read_bytes() == whole.read_bytes()


KILLED = """
import os, signal, sys
from pathlib import Path
from svae_helpers import sweep as room, tables
from svae_helpers.settings import MEASURES

def run(setting):
    return room._key(setting) | {{name: f"{{setting.seed}}.5" for name in MEASURES}}

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

room.run = run
settings = [room.Setting(seed=seed, epochs=1, latent_dim=2) for seed in range(4)]
room.sweep(settings[:2], sys.argv[1], lambda line: None)
{dies_at} = die
room.sweep(settings, sys.argv[1], lambda line: None)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize("dies_at", ["room.run", "tables.os.replace", "tables.os.fsync"])
def test_a_killed_sweep_loses_no_finished_run(tmp_path, fake_run, dies_at):
    path, whole = tmp_path / "sweep.csv", tmp_path / "whole.csv"
    sweep(SETTINGS, whole, silent)
    command = [sys.executable, "-c", KILLED.format(dies_at=dies_at), str(path)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert read_sweep(path)["seed"].tolist() == [0, 1]
    assert sweep(SETTINGS, path, silent) == 2
    assert path.read_bytes() == whole.read_bytes()


def test_an_interrupted_training_is_no_result(tiny, monkeypatch):
    monkeypatch.setattr(room, "fit", lambda *_, **__: History(interrupted=True))
    with pytest.raises(KeyboardInterrupt):
        room.run(SETTINGS[0])


@pytest.mark.parametrize(
    "content, words",
    [
        ("a,b\n1,2\n", "other columns"),
        ("", "no table of runs"),
        (",".join(COLUMNS) + "\n0.8,2\n", "line 2: gradient is"),
        (",".join(COLUMNS) + "\n" + ",".join("1" for _ in COLUMNS) + "\n", "gradient is '1'"),
        (",".join(COLUMNS) + "\n" + ",".join("1" for _ in [*COLUMNS, 0]) + "\n", "sweep.csv"),
    ],
)
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, fake_run, content, words):
    path = tmp_path / "sweep.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=words):
        sweep(SETTINGS, path, silent)
    assert fake_run == [] and path.read_text() == content
    assert [found.name for found in tmp_path.iterdir()] == ["sweep.csv"]


def test_no_file_is_refused_in_words(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"python -m svae_helpers\.sweep makes one"):
        read_sweep(tmp_path / "sweep.csv")


def test_progress_and_time_left_are_said(tmp_path, fake_run):
    said = []
    sweep(SETTINGS[:1], tmp_path / "sweep.csv", silent)
    sweep(SETTINGS, tmp_path / "sweep.csv", said.append)
    assert said[0] == "1 of 4 runs are in sweep.csv"
    assert said[1].startswith("[1/3]") and "min left" in said[1]


def test_the_command_says_what_is_wrong(tmp_path, fake_run, monkeypatch, capsys):
    path = tmp_path / "sweep.csv"
    room.main(["--output", str(path), "--seeds", "1", "--epochs", "3"])
    assert fake_run == full_grid([0], 3)
    with pytest.raises(SystemExit):
        room.main(["--seeds", "0"])
    path.write_text("a\n")
    with pytest.raises(SystemExit, match=r"error: sweep.csv has other columns"):
        room.main(["--output", str(path)])


# ---- one run


@pytest.mark.parametrize(
    "setting",
    [
        SETTINGS[0],
        Setting(0.0, latent_dim=3, epochs=1),
        Setting(latent_dim=3, gradient="detached", reduction="mean", epochs=1),
        Setting(latent_dim=3, gradient="none", pixels="binary", epochs=1),
    ],
)
def test_a_run_gives_a_full_row_and_the_same_one_again(tiny, setting):
    torch.manual_seed(0)
    row = room.run(setting)
    assert list(row) == COLUMNS
    torch.manual_seed(0)  # the untrained classifier of `tiny`
    assert room.run(setting) == row


def test_a_measure_that_is_not_finite_is_named(tiny, monkeypatch):
    monkeypatch.setattr(room, "elbo_surgery", lambda q, p: (float("nan"), 0.0))
    with pytest.raises(FloatingPointError, match="mutual_information not finite"):
        room.run(SETTINGS[0])


@pytest.mark.parametrize(
    "wrong", [{"gradient": "dense"}, {"reduction": "max"}, {"pixels": "red"}, {"spike_prob": 1.0}]
)
def test_an_impossible_setting_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Setting(**wrong)


def test_the_mean_is_the_printed_loss():
    """Summed cross-entropy plus the mean of the KL over latents and batch, divided by B."""
    setting = Setting(latent_dim=7, reduction="mean")
    logits, x = torch.randn(room.BATCH_SIZE, 784), torch.rand(room.BATCH_SIZE, 784)
    kl = torch.rand(room.BATCH_SIZE, 7)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    printed = cross_entropy.sum() + kl.mean()
    ours = (cross_entropy.sum(dim=-1) + setting.beta * kl.sum(dim=-1)).mean()
    torch.testing.assert_close(ours, printed / room.BATCH_SIZE)
    assert Setting().beta == 1 and Setting(gradient="none").beta == 0


def test_detached_samples_exert_no_expected_pull():
    torch.manual_seed(0)
    prior = SpikeAndSlab.gaussian(0.8, 0.05)
    scores = {}
    for kl in (room.kl_detached, kl_monte_carlo):
        mu = torch.full((20_000,), 1.5, requires_grad=True)
        value = kl(Normal(mu, torch.tensor(0.3)), prior)
        exact = kl_divergence(Normal(torch.tensor(1.5), torch.tensor(0.3)), prior)
        assert value.mean().item() == pytest.approx(exact.item(), abs=0.02)
        value.sum().backward()
        scores[kl] = (mu.grad.mean() / mu.grad.std() * 20_000**0.5).abs().item()
    assert scores[room.kl_detached] < 5 < scores[kl_monte_carlo] / 10


# ---- the split of the KL


def test_surgery_agrees_with_quadrature_in_one_latent():
    loc, scale = torch.tensor([[-1.0], [0.2], [0.3], [1.7]]), torch.full((4, 1), 0.4)
    q, prior = Normal(loc.repeat(2_000, 1), scale.repeat(2_000, 1)), Normal(0.0, 1.0)

    def density(z):
        return stats.norm.pdf(z, loc.ravel().numpy(), 0.4).mean()

    entropy = integrate.quad(lambda z: -density(z) * math.log(density(z)), -6, 6, limit=200)[0]
    information = entropy - stats.norm(scale=0.4).entropy()
    aggregate = kl_normal_standard(q).mean().item() - information
    torch.manual_seed(0)
    q_small = Normal(loc.repeat(250, 1), scale.repeat(250, 1))
    for split in (elbo_surgery, latent_surgery):
        found = split(q_small, prior, num_samples=20)
        assert found[0] == pytest.approx(information, abs=0.02)
        assert found[1] == pytest.approx(aggregate, abs=0.02)


def test_surgery_parts_add_up_to_the_kl():
    torch.manual_seed(0)
    q = Normal(torch.randn(300, 6), 0.1 + torch.rand(300, 6))
    prior = SpikeAndSlab.gaussian(0.8, 0.05)
    kl = kl_divergence(q, prior).sum(dim=-1).mean().item()
    for split in (elbo_surgery, latent_surgery):
        assert sum(split(q, prior, num_samples=40)) == pytest.approx(kl, abs=0.1)


def test_information_is_nought_for_one_posterior_and_log_n_for_distinct_ones():
    torch.manual_seed(0)
    same = Normal(torch.zeros(50, 3), torch.ones(50, 3))
    assert elbo_surgery(same, Normal(0.0, 1.0))[0] == pytest.approx(0, abs=1e-6)
    apart = Normal(100 * torch.randn(50, 3), torch.full((50, 3), 0.01))
    assert elbo_surgery(apart, Normal(0.0, 1.0))[0] == pytest.approx(math.log(50))


# ---- references


def test_the_classifiers_verdict_at_its_two_ends():
    undecided, single = torch.zeros(8, 10), torch.zeros(8, 10)
    single[:, 3] = 100.0
    assert classifier.judge(nn.Identity(), undecided) == pytest.approx((0.1, math.log(10)))
    assert classifier.judge(nn.Identity(), single) == pytest.approx((1, 0), abs=1e-6)


@pytest.mark.parametrize("spike_prob", [0.0, 0.8])
def test_the_priors_own_counts_are_those_of_its_draws(tiny, spike_prob):
    torch.manual_seed(0)
    setting = Setting(spike_prob, latent_dim=10, epochs=1)
    row = room.run(setting)
    reference = SpikeAndSlab.gaussian(0.8, 0.05)
    drawn = setting.prior.sample((50_000, 10))
    counts = (drawn.abs() > reference.crossover).sum(dim=-1).float()
    assert float(row["count_prior"]) == pytest.approx(counts.mean().item(), abs=0.06)
    expected = reference.slab_responsibility(drawn).sum(dim=-1)
    assert float(row["expected_count_prior"]) == pytest.approx(expected.mean().item(), abs=0.06)


def test_a_resumed_sweep_gives_the_numbers_of_an_uninterrupted_one(tmp_path, tiny, monkeypatch):
    """The classifier is trained in whichever run comes first, and must not shift its draws."""

    def train_classifier():
        torch.manual_seed(0)
        return nn.Linear(784, 10)

    monkeypatch.setattr(room, "train_classifier", train_classifier)
    fresh = room.run(SETTINGS[1])
    kept = train_classifier()
    monkeypatch.setattr(room, "train_classifier", lambda: kept)
    assert room.run(SETTINGS[1]) == fresh
