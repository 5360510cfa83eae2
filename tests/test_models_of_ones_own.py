"""What the instructor's page shows: networks, priors, posteriors and losses of one's own."""

import math
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

import svae_helpers
from svae_helpers import (
    VAE,
    SpikeAndSlab,
    default_optimiser,
    elbo_terms,
    evaluate,
    fit,
    importance_weighted_bound,
    kl_monte_carlo,
    load_checkpoint,
    posterior_means,
    save_checkpoint,
    seed_everything,
)

PAGE = Path(__file__).parents[1] / "notebooks" / "assignments" / "README.md"
CPU = {"device": "cpu", "progress": False}
SMALL = {"hidden_dim": 16, "data_dim": 25}


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.rand(60, 25).round()


def blocks():
    section = PAGE.read_text(encoding="utf-8").split("## Models of your own")[1]
    return re.findall(r"^```python\n(.*?)^```", section, flags=re.M | re.S)


def test_the_page_runs_and_every_example_trains(monkeypatch):
    load = svae_helpers.load_mnist
    few = tuple(svae_helpers.Digits(*(part[:300] for part in parts)) for parts in load())
    monkeypatch.setattr(svae_helpers, "load_mnist", lambda: few)
    torch.manual_seed(0)
    names = {}
    trained = 0
    for block in blocks():
        exec(block, names)
        if "history = " in block:
            trained += 1
            assert math.isfinite(names["history"].train["loss"][-1]), block
    assert trained == 4 and names["prior"] is not None
    assert names["class_means"].grad.abs().sum() > 0


# ---- networks


def convolutional(channels, side, latent_dim):
    inner = side // 4
    encoder = nn.Sequential(
        nn.Conv2d(channels, 8, 4, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * inner * inner, 2 * latent_dim),
    )
    decoder = nn.Sequential(
        nn.Linear(latent_dim, 16 * inner * inner),
        nn.ReLU(),
        nn.Unflatten(1, (16, inner, inner)),
        nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, channels, 4, stride=2, padding=1),
    )
    return {"encoder": encoder, "decoder": decoder}


def blobs(count, channels, side):
    """Soft discs in a place and a colour of their own: something that a few latents can say."""
    axis = torch.linspace(-1, 1, side)
    centre = torch.rand(count, 2) - 0.5
    distance = (axis[None, :, None] - centre[:, 0, None, None]).square()
    distance = distance + (axis[None, None, :] - centre[:, 1, None, None]).square()
    return torch.rand(count, channels, 1, 1) * torch.exp(-4 * distance)[:, None]


@pytest.mark.parametrize("channels, side", [(1, 28), (3, 32)])
def test_convolutional_networks_train_unchanged(channels, side, tmp_path):
    seed_everything(0)
    x = blobs(256, channels, side)
    model = VAE(4, prior=SpikeAndSlab.gaussian(), **convolutional(channels, side, 4))
    history = fit(model, x, epochs=6, batch_size=32, learning_rate=3e-3, test_images=x[:64], **CPU)
    assert history.test["loss"][-1] < 0.8 * history.test["loss"][0]
    assert model(x[:5]).log_prob(x[:5]).shape == (5,)  # summed over channels and both sides
    assert model.decode(torch.zeros(7, 5, 4)).mean.shape == (7, 5, channels, side, side)
    assert model.sample(3).shape == (3, channels, side, side)
    assert importance_weighted_bound(model, x[:5], 3).shape == (5,)
    result = evaluate(model, x, num_samples=20)
    assert result.bound.shape == (256,) and result.bound.mean() > result.elbo.mean()
    save_checkpoint(tmp_path / "model.pt", model, history)
    other = VAE(4, prior=SpikeAndSlab.gaussian(), **convolutional(channels, side, 4))
    assert load_checkpoint(tmp_path / "model.pt", other) == history


def test_the_reconstruction_is_the_sum_over_every_number_of_an_image():
    model = VAE(4, **convolutional(3, 32, 4)).eval()
    x, z = blobs(2, 3, 32), torch.randn(2, 4)
    pixels = Bernoulli(logits=model.decoder(z), validate_args=False).log_prob(x)  # (2, 3, 32, 32)
    torch.testing.assert_close(model.decode(z).log_prob(x), pixels.sum(dim=(1, 2, 3)))


def test_networks_that_do_not_fit_are_refused_in_words(images):
    model = VAE(3, encoder=nn.Linear(25, 7), **SMALL)
    with pytest.raises(ValueError, match=r"2 heads of 3 latents.*\(B, 6\).*got shape \(1, 7\)"):
        fit(model, images, epochs=1, **CPU)
    model = VAE(3, encoder=nn.Linear(25, 6), decoder=nn.Linear(3, 24))
    with pytest.raises(ValueError, match=r"decoder gives images of shape \(24,\).*are \(25,\)"):
        fit(model, images, epochs=1, **CPU)
    with pytest.raises(TypeError, match=r"posterior Bernoulli has no rsample"):
        fit(VAE(3, posterior=lambda logits: Bernoulli(logits=logits), **SMALL), images, **CPU)


def test_pairs_are_taken_and_other_things_refused_in_words(images):
    pair = svae_helpers.Digits(images, torch.zeros(60, dtype=torch.long))
    for data in (pair, tuple(pair)):
        history = fit(VAE(3, **SMALL), data, epochs=1, test_images=data, **CPU)
        assert len(history.test["loss"]) == 1
    assert posterior_means(VAE(3, **SMALL), pair).shape == (60, 3)
    loader = torch.utils.data.DataLoader(images)
    with pytest.raises(TypeError, match=r"images must be a tensor .* got DataLoader"):
        fit(VAE(3, **SMALL), loader, epochs=1, **CPU)


def test_dropout_is_off_where_a_model_is_evaluated(images):
    encoder = nn.Sequential(nn.Dropout(0.5), nn.Linear(25, 6))
    model = VAE(3, encoder=encoder, **SMALL)
    model.train()
    torch.testing.assert_close(posterior_means(model, images), posterior_means(model, images))
    assert model.training


# ---- joint priors and posteriors


def test_a_joint_prior_gives_what_the_same_latents_give_one_by_one(images):
    torch.manual_seed(0)
    single = VAE(3, prior=Normal(torch.tensor([0.0, 1.0, -1.0]), 2.0), **SMALL)
    joint = VAE(3, prior=Independent(Normal(torch.tensor([0.0, 1.0, -1.0]), 2.0), 1), **SMALL)
    joint.load_state_dict(single.state_dict())
    for kl in (kl_monte_carlo, kl_divergence):
        results = []
        for model in (single, joint):
            torch.manual_seed(1)
            results.append(elbo_terms(model, images, kl))
        torch.testing.assert_close(*results)
    bounds = []
    for model in (single, joint):
        torch.manual_seed(1)
        bounds.append(importance_weighted_bound(model, images, 5))
    torch.testing.assert_close(*bounds)
    assert joint.sample_prior(4).shape == (4, 3)


def test_a_joint_posterior_goes_with_a_prior_of_single_latents(images):
    def full(mu, log_scale, below):
        lower = below[..., None] * torch.ones(3, 3).tril(-1)
        scale = torch.diag_embed(log_scale.exp()) + lower
        return MultivariateNormal(mu, scale_tril=scale, validate_args=False)

    torch.manual_seed(0)
    model = VAE(3, posterior=full, **SMALL)
    q = model.encode(images)
    terms = elbo_terms(model, images, lambda q, p: kl_monte_carlo(q, p, 4_000))
    standard = MultivariateNormal(torch.zeros(3), torch.eye(3))
    assert terms.kl.mean().item() == pytest.approx(
        kl_divergence(q, standard).mean().item(), rel=0.05
    )


def test_a_mixture_prior_gives_the_mixtures_kl(images):
    torch.manual_seed(0)
    parts = Independent(Normal(torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.5, 0.0]]), 0.7), 1)
    prior = MixtureSameFamily(Categorical(torch.tensor([0.3, 0.7])), parts)
    model = VAE(3, prior=prior, **SMALL)
    terms = elbo_terms(model, images[:3], lambda q, p: kl_monte_carlo(q, p, 20_000))
    q = model.encode(images[:3])
    z = q.sample((20_000,))
    each = [0.3 * parts.log_prob(z[..., None, :])[..., 0].exp()]
    each.append(0.7 * parts.log_prob(z[..., None, :])[..., 1].exp())
    exact = (q.log_prob(z).sum(-1) - sum(each).log()).mean(0)
    torch.testing.assert_close(terms.kl, exact, atol=0.03, rtol=0.03)


# ---- fit's hooks


def test_a_resumed_training_is_the_uninterrupted_one(images, tmp_path):
    def start():
        seed_everything(0)
        return VAE(3, prior=SpikeAndSlab.gaussian(), **SMALL)

    settings = {
        "batch_size": 16,
        "schedule": None,
        "kl_warmup": 4,
        "test_images": images[:9],
        **CPU,
    }
    whole, parts = start(), start()
    history = fit(whole, images, epochs=5, **settings)
    first = fit(parts, images, epochs=2, **settings)
    save_checkpoint(tmp_path / "two.pt", parts, first)
    loaded = start()
    for model, resume in ((parts, first), (loaded, load_checkpoint(tmp_path / "two.pt", loaded))):
        followed = fit(model, images, epochs=3, resume=resume, **settings)
        assert followed is resume and followed == history and followed.epochs == 5
        for ours, theirs in zip(whole.parameters(), model.parameters(), strict=True):
            assert torch.equal(ours, theirs)
    afresh = start()
    for _ in range(5):
        fit(afresh, images, epochs=1, **settings)
    assert not torch.equal(afresh.decoder.output.weight, whole.decoder.output.weight)


def test_a_ready_optimiser_is_used(images):
    model = VAE(3, **SMALL)
    before = model.decoder.output.weight.clone()
    optimiser = torch.optim.SGD(model.encoder.parameters(), lr=1e-3)
    history = fit(model, images, epochs=1, optimiser=optimiser, **CPU)
    assert torch.equal(before, model.decoder.output.weight)
    fit(model, images, epochs=1, optimiser=default_optimiser(model), resume=history, **CPU)
    assert not torch.equal(before, model.decoder.output.weight) and history.epochs == 2


def test_a_one_cycle_rises_and_falls_over_the_calls_own_epochs(images):
    model, rates = VAE(3, **SMALL), []
    history = None
    for _ in range(2):
        optimiser = default_optimiser(model, 1e-2)
        history = fit(
            model,
            images,
            epochs=10,
            batch_size=6,
            schedule="one-cycle",
            optimiser=optimiser,
            resume=history,
            on_epoch=lambda *_, o=optimiser: rates.append(o.param_groups[0]["lr"]),
            **CPU,
        )
    assert rates[2] == pytest.approx(1e-2, rel=1e-2) and rates[9] < 1e-5
    assert rates[:2] == sorted(rates[:2]) and rates[2:10] == sorted(rates[2:10], reverse=True)
    assert rates[10:] == pytest.approx(rates[:10])
    with pytest.raises(ValueError, match="schedule must be None or 'one-cycle'"):
        fit(model, images, schedule="cosine", **CPU)


def test_on_epoch_sees_each_epoch_and_may_change_the_prior(images):
    prior = SpikeAndSlab.gaussian(0.1)
    seen = []

    def anneal(epoch, model, history):
        prior.spike_prob = 0.1 + 0.2 * epoch
        at_zero = float(model.prior.log_prob(torch.zeros(1)))
        seen.append((epoch, history.epochs, model.training, at_zero))

    fit(VAE(3, prior=prior, **SMALL), images, epochs=3, on_epoch=anneal, **CPU)
    assert [part[:3] for part in seen] == [(1, 1, False), (2, 2, False), (3, 3, False)]
    assert seen[0][3] < seen[1][3] < seen[2][3]


def test_a_penalty_joins_the_loss_and_not_the_history(images):
    seen = []

    def penalty(q, z, prior):
        seen.append((q.mean.shape, z.shape, prior.log_prob(z).shape))
        return 100 * q.mean.square().sum(dim=-1).mean()

    def size(**settings):
        seed_everything(0)
        model = VAE(3, **SMALL)
        history = fit(model, images, epochs=20, learning_rate=1e-2, **settings, **CPU)
        expected = history.train["kl"][-1] - history.train["reconstruction"][-1]
        assert history.train["loss"][-1] == pytest.approx(expected, rel=1e-5)
        return posterior_means(model, images).square().mean()

    assert size(penalty=penalty) < 0.1 * size()
    assert set(seen) == {((60, 3), (60, 3), (60, 3))}


def test_a_posterior_without_a_mean_has_no_active_units(images):
    def relaxed(logits):
        return torch.distributions.RelaxedBernoulli(torch.tensor(0.5), logits=logits)

    def kl(q, p):
        return kl_divergence(Bernoulli(logits=q.logits), Bernoulli(0.2))

    model = VAE(3, posterior=relaxed, **SMALL)
    history = fit(model, images, epochs=2, kl=kl, test_images=images, **CPU)
    assert math.isnan(history.train["active"][-1]) and math.isnan(history.test["active"][-1])


# ---- evaluation


def test_evaluation_in_pieces_is_the_bound_at_once(images, monkeypatch):
    model = VAE(3, prior=SpikeAndSlab.gaussian(), **SMALL)
    most = []
    decode = VAE.decode

    def watched(self, z):
        most.append(z.numel() // 3 * 25)
        return decode(self, z)

    monkeypatch.setattr(VAE, "decode", watched)
    torch.manual_seed(0)
    whole = evaluate(model, images, kl_divergence, num_samples=4_000)
    monkeypatch.setattr(svae_helpers.evaluation, "NUMBERS_AT_ONCE", 20_000)
    most.clear()
    pieces = evaluate(model, images, kl_divergence, num_samples=4_000)
    assert max(most) <= 20_000 and len(pieces.bound) == 60
    assert pieces.bound.mean().item() == pytest.approx(whole.bound.mean().item(), abs=0.02)
    torch.testing.assert_close(pieces.kl, whole.kl)
    assert evaluate(model, images).bound is None
    assert (pieces.bound.mean() - pieces.elbo.mean()) > 0
