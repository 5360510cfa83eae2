"""fit, device choice, seeds and checkpoints, on tiny models."""

import math
import os
import pickle
import subprocess
import sys
from functools import partial

import pytest
import torch
from torch.distributions import kl_divergence

from svae_helpers import (
    VAE,
    GatedNormal,
    History,
    SpikeAndSlab,
    elbo_terms,
    evaluate,
    fit,
    gated_posterior,
    get_device,
    kl_monte_carlo,
    load_checkpoint,
    posterior_means,
    save_checkpoint,
    seed_everything,
)

CPU = {"device": "cpu", "progress": False}


def tiny(**swap):
    seed_everything(0)
    return VAE(3, hidden_dim=16, data_dim=25, **swap)


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.rand(60, 25).round()


def test_fit_lowers_the_loss_and_records_every_epoch(images):
    model = tiny(prior=SpikeAndSlab.gaussian())
    history = fit(model, images, epochs=15, batch_size=16, test_images=images[:20], **CPU)
    for part in (history.train, history.test):
        assert set(part) == {"loss", "reconstruction", "kl", "active"}
        assert all(len(values) == 15 for values in part.values())
        for loss, reconstruction, kl in zip(
            part["loss"], part["reconstruction"], part["kl"], strict=True
        ):
            assert loss == pytest.approx(kl - reconstruction, rel=1e-6)
    assert history.train["loss"][-1] < history.train["loss"][0] - 0.5
    assert not history.interrupted and not model.training
    assert history.train["active"][-1] <= 3


def test_the_same_seed_gives_the_same_model(images):
    losses = [
        fit(tiny(), images, epochs=2, seed=seed, binarise="dynamic", **CPU).train["loss"]
        for seed in (5, 5, 6)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_the_first_epoch_is_the_average_over_images(images):
    model = tiny()
    history = fit(model, images, epochs=1, batch_size=7, learning_rate=1e-12, **CPU)
    terms = evaluate(model, images.repeat(20, 1))
    assert history.train["loss"][0] == pytest.approx(-terms.elbo.mean().item(), rel=0.02)
    assert evaluate(model, images).kl.shape == (60,)
    assert posterior_means(model, images).shape == (60, 3)


def test_beta_and_warm_up_weigh_the_kl(images):
    def kl_after(**settings):
        return fit(
            tiny(), images, epochs=30, learning_rate=1e-2, kl=kl_divergence, **settings, **CPU
        ).train["kl"]

    plain, strong, warm = kl_after(), kl_after(beta=20.0), kl_after(kl_warmup=60)
    assert strong[-1] < 0.5 * plain[-1] < plain[-1] < warm[-1]


def test_nan_stops_training_in_words_and_keeps_the_history(images):
    calls = []

    def breaking_kl(q, p):
        calls.append(1)
        kl = kl_monte_carlo(q, p)
        return kl * math.nan if len(calls) == 10 else kl

    with pytest.raises(
        FloatingPointError, match=r"kl became NaN or infinite in epoch 3, step 2 of 4"
    ) as info:
        fit(tiny(), images, epochs=5, batch_size=16, kl=breaking_kl, **CPU)
    assert len(info.value.history.train["loss"]) == 2


def test_nan_in_the_images_names_the_reconstruction(images):
    images[3, 4] = math.nan
    with pytest.raises(FloatingPointError, match="reconstruction"):
        fit(tiny(), images, epochs=1, **CPU)


def test_interrupting_keeps_model_and_history(images, capsys):
    calls = []

    def interrupted_kl(q, p):
        calls.append(1)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return kl_monte_carlo(q, p)

    model = tiny()
    before = model.decoder.output.weight.clone()
    history = fit(model, images, epochs=5, batch_size=16, kl=interrupted_kl, **CPU)
    assert history.interrupted and len(history.train["loss"]) == 2
    assert not torch.equal(before, model.decoder.output.weight)
    assert "after 2 of 5 epochs" in capsys.readouterr().out


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"images": torch.rand(5, 24)}, r"images must have shape \(N, 25\), got \(5, 24\)"),
        ({"images": torch.rand(0, 25)}, "images must have shape"),
        ({"images": torch.ones(5, 25, dtype=torch.uint8)}, "divide by 255"),
        ({"test_images": torch.rand(5, 5, 5)}, "test_images must have shape"),
        ({"epochs": -1}, "epochs must be at least 0, got -1"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"binarise": "static"}, "belongs to load_mnist"),
        ({"images": torch.full((5, 25), 1.5), "binarise": "dynamic"}, r"lie in \[0, 1\]"),
    ],
)
def test_bad_settings_are_refused_in_words(images, settings, words):
    with pytest.raises(ValueError, match=words):
        fit(tiny(), **{"images": images, "epochs": 1, **CPU, **settings})


def test_the_progress_bar_leaves_nothing_in_a_plain_stream(images, capsys):
    fit(tiny(), images, epochs=1, device="cpu", progress=True)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("asked, threads", [(None, 1), ("2", 2)])
def test_one_thread_unless_the_user_says_otherwise(asked, threads):
    code = "import svae_helpers; print(svae_helpers.use_one_thread())"
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    environment |= {"OMP_NUM_THREADS": asked} if asked else {}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert int(done.stdout) == threads


def test_device_choice(monkeypatch):
    monkeypatch.delenv("SVAE_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert get_device().type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert get_device().type == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert get_device().type == "cpu"
    monkeypatch.setenv("SVAE_DEVICE", "meta")
    assert get_device().type == "meta" and get_device("cpu").type == "cpu"
    monkeypatch.setenv("SVAE_DEVICE", "gpu")
    with pytest.raises(ValueError, match="SVAE_DEVICE is 'gpu'"):
        get_device()
    with pytest.raises(ValueError, match="device is 'warp'"):
        get_device("warp")


def test_checkpoint_round_trip(images, tmp_path):
    path = tmp_path / "model.pt"
    model = tiny(prior=SpikeAndSlab.gaussian())
    history = fit(model, images, epochs=2, test_images=images, **CPU)
    save_checkpoint(path, model, history)
    other = VAE(3, hidden_dim=16, data_dim=25, prior=SpikeAndSlab.gaussian())
    assert load_checkpoint(path, other) == history
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.parametrize(
    "other, words",
    [
        (lambda: VAE(4, hidden_dim=16, data_dim=25), "encoder.output.weight"),
        (lambda: VAE(3, hidden_dim=16, data_dim=25, prior=SpikeAndSlab.gaussian()), "prior"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_in_words(other, words, tmp_path):
    path = tmp_path / "model.pt"
    save_checkpoint(path, tiny())
    model = other()
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(ValueError, match=f"another model.*{words}"):
        load_checkpoint(path, model)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_checkpoint_of_another_process_is_read_and_its_settings_compared(tmp_path):
    code = (
        "import sys; from functools import partial; from svae_helpers import *;"
        "posterior = partial(gated_posterior, temperature=0.3);"
        "model = VAE(3, hidden_dim=16, data_dim=25, posterior=posterior,"
        "            prior=GatedNormal(gate_prob=0.2));"
        "save_checkpoint(sys.argv[1], model)"
    )
    path = tmp_path / "model.pt"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    prior = GatedNormal(gate_prob=0.2)
    load_checkpoint(path, tiny(posterior=partial(gated_posterior, temperature=0.3), prior=prior))
    for swap in (
        {"posterior": partial(gated_posterior, temperature=0.4), "prior": prior},
        {
            "posterior": partial(gated_posterior, temperature=0.3),
            "prior": GatedNormal(gate_prob=0.3),
        },
    ):
        with pytest.raises(ValueError, match="another model"):
            load_checkpoint(path, tiny(**swap))


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a checkpoint's content was executed",))


def test_damaged_and_hostile_files_are_refused_in_words(tmp_path):
    path = tmp_path / "model.pt"
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        load_checkpoint(path, tiny())
    save_checkpoint(path, tiny())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged"):
        load_checkpoint(path, tiny())
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="damaged"):
        load_checkpoint(path, tiny())
    torch.save({"weights": {}}, path)
    with pytest.raises(ValueError, match="no checkpoint of this course"):
        load_checkpoint(path, tiny())


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = tiny()
    with torch.no_grad():
        model.decoder.output.bias[0] = math.nan
    save_checkpoint(tmp_path / "model.pt", model, History())
    with pytest.raises(ValueError, match=r"NaN or infinite weights in decoder.output.bias"):
        load_checkpoint(tmp_path / "model.pt", tiny())


def test_seed_everything_is_all_the_randomness(images):
    code = (
        "import torch; from svae_helpers import *; seed_everything(3);"
        "m = VAE(2, hidden_dim=4, data_dim=9);"
        "print(elbo_terms(m, torch.rand(3, 9)).loss.item(), m.sample(1).sum().item())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        for _ in "ab"
    }
    assert len(runs) == 1 and runs.pop().strip()
    assert elbo_terms(tiny(), images).loss.isfinite()
