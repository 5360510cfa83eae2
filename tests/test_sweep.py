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

from svae_helpers import (
    VAE,
    History,
    SpikeAndSlab,
    classifier,
    elbo_terms,
    kl_monte_carlo,
    kl_normal_standard,
    load_mnist,
    measures,
    runs,
)
from svae_helpers import sweep as room
from svae_helpers.measures import MEASURES
from svae_helpers.settings import ALLOWED, KEY, Setting, as_text, full_grid
from svae_helpers.surgery import elbo_surgery, latent_surgery
from svae_helpers.sweep import COLUMNS, read_sweep, sweep

SETTINGS = [Setting(seed=seed, epochs=1, latent_dim=2) for seed in range(4)]


def silent(_line):
    pass


@pytest.fixture
def tiny(monkeypatch):
    """Few images and an untrained classifier: a run in a fraction of a second."""
    load = runs._images
    monkeypatch.setattr(runs, "_images", lambda *where: tuple(x[:150] for x in load(*where)))
    monkeypatch.setattr(runs, "_classifier", lambda *where: nn.Linear(784, 10))
    monkeypatch.setattr(measures, "BOUND_SAMPLES", 3)


@pytest.fixture
def fake_run(monkeypatch):
    """`run` without training, which notes what it was asked for."""
    asked = []

    def run(setting):
        asked.append(setting)
        return as_text(setting) | {name: f"{setting.seed}.5" for name in MEASURES}

    monkeypatch.setattr(runs, "run", run)
    return asked


# ---- the committed file


COMMITTED = read_sweep()
TRAINED = COMMITTED[COMMITTED["diverged"].isna()]


def test_committed_file_holds_the_full_grids_once():
    found = list(COMMITTED[KEY].itertuples(index=False, name=None))
    wanted = [astuple(setting) for source in ALLOWED["source"] for setting in full_grid(source)]
    assert len(wanted) == len(set(wanted))
    assert sorted(found) == sorted(wanted)


def test_only_faulty_losses_diverge():
    fallen = COMMITTED[COMMITTED["diverged"].notna()]
    assert (fallen["gradient"] == "detached").all()
    assert fallen[[name for name in MEASURES if name != "diverged"]].isna().all(axis=None)


def test_every_number_of_the_committed_file_is_finite_where_it_has_a_meaning():
    grey, gated = TRAINED["pixels"] == "grey", TRAINED["prior"] == "gated"
    held = (TRAINED["gradient"] == "pathwise") & (TRAINED["reduction"] == "sum")
    assert TRAINED.loc[grey, "log_px"].isna().all()  # a cross-entropy is no likelihood
    assert np.isfinite(TRAINED.loc[~grey, "log_px"]).all()
    joint, each = ["mutual_information", "kl_aggregate"], ["latent_information", "kl_marginals"]
    assert TRAINED.loc[gated | ~held, joint].isna().all(axis=None)
    assert TRAINED.loc[~held, each].isna().all(axis=None)
    assert np.isfinite(TRAINED.loc[held & ~gated, joint]).all(axis=None)
    assert np.isfinite(TRAINED.loc[held, each]).all(axis=None)
    others = [name for name in MEASURES if name not in {"diverged", "log_px", *joint, *each}]
    assert np.isfinite(TRAINED[others]).all(axis=None)


def test_committed_numbers_obey_the_identities():
    for _, row in TRAINED.iterrows():
        assert row["elbo"] == pytest.approx(row["reconstruction"] - row["kl"], rel=1e-3)
        for parts in (
            ["mutual_information", "kl_aggregate"],
            ["latent_information", "kl_marginals"],
        ):
            if row[parts].isna().any():
                continue
            assert row[parts].sum() == pytest.approx(row["kl"], rel=0.02, abs=0.3)
        if row["pixels"] == "binary":
            assert row["log_px"] > row["elbo"]
    assert TRAINED["mutual_information"].max() <= math.log(1_000) + 1e-3


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
    finished = runs.run

    def run(setting):
        if setting.seed == 2:
            raise KeyboardInterrupt
        return finished(setting)

    monkeypatch.setattr(runs, "run", run)
    with pytest.raises(KeyboardInterrupt):
        sweep(SETTINGS, path, silent)
    assert read_sweep(path)["seed"].tolist() == [0, 1]
    monkeypatch.setattr(runs, "run", finished)
    sweep(SETTINGS, path, silent)
    assert path.read_bytes() == whole.read_bytes()


KILLED = """
import os, signal, sys
from pathlib import Path
from svae_helpers import runs, sweep as room, whole_files
from svae_helpers.measures import MEASURES

def run(setting):
    return room.as_text(setting) | {{name: f"{{setting.seed}}.5" for name in MEASURES}}

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

runs.run = run
settings = [room.Setting(seed=seed, epochs=1, latent_dim=2) for seed in range(4)]
room.sweep(settings[:2], sys.argv[1], lambda line: None)
{dies_at} = die
room.sweep(settings, sys.argv[1], lambda line: None)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize("dies_at", ["runs.run", "whole_files.os.replace", "whole_files.os.fsync"])
def test_a_killed_sweep_loses_no_finished_run(tmp_path, fake_run, dies_at):
    path, whole = tmp_path / "sweep.csv", tmp_path / "whole.csv"
    sweep(SETTINGS, whole, silent)
    command = [sys.executable, "-c", KILLED.format(dies_at=dies_at), str(path)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert read_sweep(path)["seed"].tolist() == [0, 1]
    assert sweep(SETTINGS, path, silent) == 2
    assert path.read_bytes() == whole.read_bytes()


def test_an_interrupted_training_is_no_result(tiny, monkeypatch):
    monkeypatch.setattr(runs, "fit", lambda *_, **__: History(interrupted=True))
    with pytest.raises(KeyboardInterrupt):
        runs.run(SETTINGS[0])


@pytest.mark.parametrize(
    "content, words",
    [
        ("a,b\n1,2\n", "other columns"),
        ("", "no table of runs"),
        (",".join(COLUMNS) + "\n0.8,2\n", "line 2: source is"),
        (",".join(COLUMNS) + "\n" + ",".join("1" for _ in COLUMNS) + "\n", "source is '1'"),
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
    assert fake_run == full_grid("embedded", [0], 3)
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
        Setting(prior="dense", latent_dim=3, epochs=1),
        Setting(prior="scaled", latent_dim=3, marginal_weight=1.0, epochs=1),
        Setting(prior="gated", posterior="sharp", latent_dim=5, pixels="binary", epochs=1),
        Setting(latent_dim=3, gradient="detached", reduction="mean", epochs=1),
        Setting(latent_dim=3, gradient="none", pixels="binary", epochs=1),
    ],
)
def test_a_run_gives_a_full_row_and_the_same_one_again(tiny, setting):
    torch.manual_seed(0)
    row = runs.run(setting)
    assert list(row) == COLUMNS
    torch.manual_seed(0)  # the untrained classifier of `tiny`
    assert runs.run(setting) == row


def test_a_measure_that_is_not_finite_is_named(tiny, monkeypatch):
    monkeypatch.setattr(measures, "elbo_surgery", lambda q, p: (float("nan"), 0.0))
    with pytest.raises(FloatingPointError, match="mutual_information not finite"):
        runs.run(SETTINGS[0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"gradient": "dense"},
        {"reduction": "max"},
        {"pixels": "red"},
        {"spike_prob": 1.0},
        {"prior": "gated"},
        {"posterior": "relaxed"},
    ],
)
def test_an_impossible_setting_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Setting(**wrong)


def test_the_mean_is_the_printed_loss():
    """Summed cross-entropy plus the mean of the KL over latents and batch, divided by B."""
    setting = Setting(latent_dim=7, reduction="mean")
    logits, x = torch.randn(setting.batch_size, 784), torch.rand(setting.batch_size, 784)
    kl = torch.rand(setting.batch_size, 7)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    printed = cross_entropy.sum() + kl.mean()
    ours = (cross_entropy.sum(dim=-1) + setting.kl_weight * kl.sum(dim=-1)).mean()
    torch.testing.assert_close(ours, printed / setting.batch_size)
    assert Setting().kl_weight == 1 and Setting(gradient="none").kl_weight == 0
    assert Setting(beta=1.5).kl_weight == 1.5


def test_detached_samples_exert_no_expected_pull():
    torch.manual_seed(0)
    prior = SpikeAndSlab.gaussian(0.8, 0.05)
    scores = {}
    for kl in (runs.kl_detached, kl_monte_carlo):
        mu = torch.full((20_000,), 1.5, requires_grad=True)
        value = kl(Normal(mu, torch.tensor(0.3)), prior)
        exact = kl_divergence(Normal(torch.tensor(1.5), torch.tensor(0.3)), prior)
        assert value.mean().item() == pytest.approx(exact.item(), abs=0.02)
        value.sum().backward()
        scores[kl] = (mu.grad.mean() / mu.grad.std() * 20_000**0.5).abs().item()
    assert scores[runs.kl_detached] < 5 < scores[kl_monte_carlo] / 10


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


@pytest.mark.parametrize("prior", ["dense", "scaled", "sparse", "gated"])
def test_the_priors_own_counts_are_those_of_its_draws(tiny, prior):
    torch.manual_seed(0)
    posterior = "relaxed" if prior == "gated" else "gaussian"
    setting = Setting(prior=prior, posterior=posterior, latent_dim=10, epochs=1)
    row = runs.run(setting)
    drawn = setting.model_prior.sample((50_000, 10))
    if prior == "gated":
        on = responsibility = (drawn != 0).float()
    else:
        reference = SpikeAndSlab.gaussian(0.8, 0.05)
        on = drawn.abs() > reference.crossover
        responsibility = reference.slab_responsibility(drawn)
    count, expected = on.float().sum(dim=-1).mean(), responsibility.sum(dim=-1).mean()
    assert float(row["count_prior"]) == pytest.approx(count.item(), abs=0.06)
    assert float(row["expected_count_prior"]) == pytest.approx(expected.item(), abs=0.06)


def test_the_scaled_prior_has_the_sparse_ones_variance():
    scaled = Setting(prior="scaled").model_prior
    assert float(scaled.variance) == pytest.approx(0.8 * 0.05 + 0.2)


def test_a_scaled_prior_is_the_dense_one_in_other_units():
    """Same weights but for the units of z: the same reconstruction and KL, image by image."""
    torch.manual_seed(0)
    dense, scaled = (VAE(4, prior=Setting(prior=name).model_prior) for name in ("dense", "scaled"))
    scaled.load_state_dict(dense.state_dict())
    unit, x = scaled.prior.scale, torch.rand(5, 784)
    with torch.no_grad():
        means, log_variances = slice(0, 4), slice(4, 8)
        scaled.encoder.output.weight[means] *= unit
        scaled.encoder.output.bias[means] *= unit
        scaled.encoder.output.bias[log_variances] += 2 * unit.log()
        scaled.decoder.hidden.weight /= unit
    terms = []
    for model in (dense, scaled):
        torch.manual_seed(1)
        terms.append(elbo_terms(model, x))
    torch.testing.assert_close(terms[0], terms[1], rtol=1e-5, atol=1e-4)


def test_the_strongest_latents_are_kept():
    """All of them is the whole code; rankings by KL and by effect take other latents."""
    torch.manual_seed(0)
    setting = Setting(latent_dim=4, epochs=1)
    train, test = (digits.images[:200] for digits in load_mnist())
    found = measures.measure(
        runs.train_setting(setting, train), setting, train, test, nn.Linear(784, 10)
    )
    for name in ("kept_4", "kept_4_by_kl", "kept_4_by_effect"):
        assert float(found[name]) == pytest.approx(float(found["at_means"]), rel=1e-5)
    assert found["kept_8"] == ""
    assert found["kept_2"] < found["at_means"]


def test_a_training_that_falls_apart_is_a_row_of_its_own(tiny):
    setting = Setting(latent_dim=2, learning_rate=1e30, gradient="detached", epochs=2)
    row = runs.run(setting)
    assert row["diverged"] in {"1", "2"} and row["elbo"] == "" and list(row) == COLUMNS


def test_a_penalty_is_part_of_the_loss_that_is_trained(tiny):
    train, _ = runs._images(Setting())
    plain, charged = (
        runs.train_setting(Setting(latent_dim=2, epochs=1, marginal_weight=weight), train)
        for weight in (0.0, 5.0)
    )
    assert not torch.equal(*(next(model.parameters()) for model in (plain, charged)))


# ---- several runs at a time


def test_one_runs_error_loses_no_others(tmp_path, fake_run, monkeypatch):
    finished, said = runs.run, []

    def run(setting):
        if setting.seed == 1:
            raise RuntimeError("out of luck")
        return finished(setting)

    monkeypatch.setattr(runs, "run", run)
    with pytest.raises(RuntimeError, match="out of luck"):
        sweep(SETTINGS, tmp_path / "sweep.csv", said.append)
    assert read_sweep(tmp_path / "sweep.csv")["seed"].tolist() == [0, 2, 3]
    assert any("seed 1: RuntimeError: out of luck" in line for line in said)


def test_two_processes_give_the_rows_of_one(tmp_path):
    """Real processes and real, tiny runs: `--jobs 2` writes what `--jobs 1` writes."""
    settings = [Setting(seed=seed, epochs=1, latent_dim=2) for seed in (0, 1)]
    tables = []
    for jobs in (1, 2):
        path = tmp_path / f"{jobs}.csv"
        assert sweep(settings, path, silent, jobs=jobs) == 2
        tables.append(sorted(path.read_text().splitlines()))
    assert tables[0] == tables[1]


def test_a_source_from_files_is_found_under_root(tmp_path, monkeypatch):
    asked = []
    digits = load_mnist()
    monkeypatch.setattr(runs, "load_mnist", lambda *where: asked.append(where) or digits)
    runs._loaded.cache_clear()
    try:
        train, test = runs._images(Setting(source="fashion"), tmp_path)
        assert asked == [("fashion", tmp_path)]
        assert len(test) == runs.NUM_TEST and len(train) == 4_000
    finally:
        runs._loaded.cache_clear()


def test_a_resumed_sweep_gives_the_numbers_of_an_uninterrupted_one(tiny):
    """The classifier is trained in whichever run comes first, and must not shift its draws."""
    torch.manual_seed(0)
    fresh = runs.run(SETTINGS[1])
    torch.manual_seed(0)
    runs.run(SETTINGS[0])
    torch.manual_seed(0)
    assert runs.run(SETTINGS[1]) == fresh
