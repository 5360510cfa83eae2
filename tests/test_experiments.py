"""The sweep behind notebook 07: what it measures, what it stores, and that no run is lost."""

import math

import pytest
import torch
import torch.nn.functional as F
from scipy import integrate, stats
from torch import nn
from torch.distributions import Normal, kl_divergence

from svae_helpers import History, SpikeAndSlab, experiments, kl_monte_carlo, kl_normal_standard
from svae_helpers.experiments import COLUMNS, MEASURES, Setting, full_grid, read_rows, sweep

SETTINGS = [Setting(seed=seed, epochs=1, latent_dim=2) for seed in range(4)]


def silent(_line):
    pass


@pytest.fixture
def tiny(monkeypatch):
    """Few images and an untrained classifier: a run in a fraction of a second."""
    load = experiments._images
    monkeypatch.setattr(experiments, "_images", lambda pixels: tuple(x[:150] for x in load(pixels)))
    monkeypatch.setattr(experiments, "train_classifier", lambda: nn.Linear(784, 10))
    monkeypatch.setattr(experiments, "BOUND_SAMPLES", 3)


@pytest.fixture
def fake_run(monkeypatch):
    """`run` without training, which notes what it was asked for."""
    asked = []

    def run(setting):
        asked.append(setting)
        return experiments._key(setting) | {name: f"{setting.seed}.5" for name in MEASURES}

    monkeypatch.setattr(experiments, "run", run)
    return asked


# ---- the committed file


def committed_rows():
    return read_rows(experiments.DEFAULT_OUTPUT)


def test_committed_file_holds_the_full_grid_once():
    found = [tuple(row[name] for name in experiments._key(Setting())) for row in committed_rows()]
    wanted = [tuple(experiments._key(setting).values()) for setting in full_grid()]
    assert len(wanted) == len(set(wanted)) == 60
    assert sorted(found) == sorted(wanted)


def test_every_number_of_the_committed_file_is_finite():
    for row in committed_rows():
        for name in MEASURES:
            if name == "log_px" and row["pixels"] == "grey":
                assert row[name] == ""  # a cross-entropy of grey pixels is no likelihood
            else:
                assert math.isfinite(float(row[name])), (name, row)


def test_committed_numbers_obey_the_identities():
    for row in committed_rows():
        kl, elbo = float(row["kl"]), float(row["elbo"])
        assert elbo == pytest.approx(float(row["reconstruction"]) - kl, rel=1e-3)
        assert float(row["mutual_information"]) <= math.log(1_000) + 1e-3
        for parts in (
            ("mutual_information", "kl_aggregate"),
            ("latent_information", "kl_marginals"),
        ):
            assert sum(float(row[name]) for name in parts) == pytest.approx(kl, rel=0.02, abs=0.3)
        if row["pixels"] == "binary":
            assert float(row["log_px"]) > elbo


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
    finished = experiments.run

    def run(setting):
        if setting.seed == 2:
            raise KeyboardInterrupt
        return finished(setting)

    monkeypatch.setattr(experiments, "run", run)
    with pytest.raises(KeyboardInterrupt):
        sweep(SETTINGS, path, silent)
    assert [row["seed"] for row in read_rows(path)] == ["0", "1"]
    monkeypatch.setattr(experiments, "run", finished)
    sweep(SETTINGS, path, silent)
    assert path.read_bytes() == whole.read_bytes()


def test_a_half_written_line_is_run_again(tmp_path, fake_run):
    whole = tmp_path / "whole.csv"
    sweep(SETTINGS, whole, silent)
    content = whole.read_bytes()
    lines = content.splitlines(keepends=True)
    for kept in range(len(content)):
        path = tmp_path / "cut.csv"
        path.write_bytes(content[:kept])
        missing = max(0, len(lines) - max(1, content[:kept].count(b"\n")))
        assert len(read_rows(path)) == len(SETTINGS) - missing
        assert sweep(SETTINGS, path, silent) == missing
        assert path.read_bytes() == content


def test_an_interrupted_training_is_no_result(tiny, monkeypatch):
    monkeypatch.setattr(experiments, "fit", lambda *_, **__: History(interrupted=True))
    with pytest.raises(KeyboardInterrupt):
        experiments.run(SETTINGS[0])


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, fake_run):
    path = tmp_path / "sweep.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="other columns"):
        sweep(SETTINGS, path, silent)
    path.write_text(",".join(COLUMNS) + "\n1,2\n")
    with pytest.raises(ValueError, match=f"line 2: wanted {len(COLUMNS)} values, got 2"):
        sweep(SETTINGS, path, silent)
    assert fake_run == []


def test_progress_and_time_left_are_said(tmp_path, fake_run):
    said = []
    sweep(SETTINGS[:1], tmp_path / "sweep.csv", silent)
    sweep(SETTINGS, tmp_path / "sweep.csv", said.append)
    assert said[0] == "1 of 4 runs are in sweep.csv"
    assert said[1].startswith("[1/3]") and "min left" in said[1]


def test_the_command_says_what_is_wrong(tmp_path, fake_run, monkeypatch, capsys):
    path = tmp_path / "sweep.csv"
    experiments.main(["--output", str(path), "--seeds", "1", "--epochs", "3"])
    assert fake_run == full_grid([0], 3)
    with pytest.raises(SystemExit):
        experiments.main(["--seeds", "0"])
    path.write_text("a\n")
    with pytest.raises(SystemExit, match=r"error: sweep.csv has other columns"):
        experiments.main(["--output", str(path)])


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
    row = experiments.run(setting)
    assert list(row) == COLUMNS
    torch.manual_seed(0)  # the untrained classifier of `tiny`
    assert experiments.run(setting) == row


def test_a_measure_that_is_not_finite_is_named(tiny, monkeypatch):
    monkeypatch.setattr(experiments, "elbo_surgery", lambda q, p: (float("nan"), 0.0))
    with pytest.raises(FloatingPointError, match="mutual_information not finite"):
        experiments.run(SETTINGS[0])


@pytest.mark.parametrize(
    "wrong", [{"gradient": "dense"}, {"reduction": "max"}, {"pixels": "red"}, {"spike_prob": 1.0}]
)
def test_an_impossible_setting_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Setting(**wrong)


def test_the_mean_is_the_printed_loss():
    """Summed cross-entropy plus the mean of the KL over latents and batch, divided by B."""
    setting = Setting(latent_dim=7, reduction="mean")
    logits, x = torch.randn(experiments.BATCH_SIZE, 784), torch.rand(experiments.BATCH_SIZE, 784)
    kl = torch.rand(experiments.BATCH_SIZE, 7)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    printed = cross_entropy.sum() + kl.mean()
    ours = (cross_entropy.sum(dim=-1) + setting.beta * kl.sum(dim=-1)).mean()
    torch.testing.assert_close(ours, printed / experiments.BATCH_SIZE)
    assert Setting().beta == 1 and Setting(gradient="none").beta == 0


def test_detached_samples_exert_no_expected_pull():
    torch.manual_seed(0)
    prior = SpikeAndSlab.gaussian(0.8, 0.05)
    scores = {}
    for kl in (experiments.kl_detached, kl_monte_carlo):
        mu = torch.full((20_000,), 1.5, requires_grad=True)
        value = kl(Normal(mu, torch.tensor(0.3)), prior)
        exact = kl_divergence(Normal(torch.tensor(1.5), torch.tensor(0.3)), prior)
        assert value.mean().item() == pytest.approx(exact.item(), abs=0.02)
        value.sum().backward()
        scores[kl] = (mu.grad.mean() / mu.grad.std() * 20_000**0.5).abs().item()
    assert scores[experiments.kl_detached] < 5 < scores[kl_monte_carlo] / 10


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
    for split in (experiments.elbo_surgery, experiments.latent_surgery):
        found = split(q_small, prior, num_samples=20)
        assert found[0] == pytest.approx(information, abs=0.02)
        assert found[1] == pytest.approx(aggregate, abs=0.02)


def test_surgery_parts_add_up_to_the_kl():
    torch.manual_seed(0)
    q = Normal(torch.randn(300, 6), 0.1 + torch.rand(300, 6))
    prior = SpikeAndSlab.gaussian(0.8, 0.05)
    kl = kl_divergence(q, prior).sum(dim=-1).mean().item()
    for split in (experiments.elbo_surgery, experiments.latent_surgery):
        assert sum(split(q, prior, num_samples=40)) == pytest.approx(kl, abs=0.1)


def test_information_is_nought_for_one_posterior_and_log_n_for_distinct_ones():
    torch.manual_seed(0)
    same = Normal(torch.zeros(50, 3), torch.ones(50, 3))
    assert experiments.elbo_surgery(same, Normal(0.0, 1.0))[0] == pytest.approx(0, abs=1e-6)
    apart = Normal(100 * torch.randn(50, 3), torch.full((50, 3), 0.01))
    assert experiments.elbo_surgery(apart, Normal(0.0, 1.0))[0] == pytest.approx(math.log(50))


# ---- references


def test_the_classifiers_verdict_at_its_two_ends():
    undecided, single = torch.zeros(8, 10), torch.zeros(8, 10)
    single[:, 3] = 100.0
    assert experiments.judge(nn.Identity(), undecided) == pytest.approx((0.1, math.log(10)))
    assert experiments.judge(nn.Identity(), single) == pytest.approx((1, 0), abs=1e-6)


@pytest.mark.parametrize("spike_prob", [0.0, 0.8])
def test_the_priors_own_counts_are_those_of_its_draws(tiny, spike_prob):
    torch.manual_seed(0)
    setting = Setting(spike_prob, latent_dim=10, epochs=1)
    row = experiments.run(setting)
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

    monkeypatch.setattr(experiments, "train_classifier", train_classifier)
    fresh = experiments.run(SETTINGS[1])
    kept = train_classifier()
    monkeypatch.setattr(experiments, "train_classifier", lambda: kept)
    assert experiments.run(SETTINGS[1]) == fresh
