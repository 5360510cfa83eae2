"""Answers to 3.4 and 3.5: VAEs and how they are trained, right but for what is changed."""

import functools

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal, kl_divergence

from svae_helpers.checks import vae_loss
from svae_helpers.checks.nb03_build_a_vae import NAMED
from svae_helpers.checks.small_vae import digits

PIXELS = 784


class Net(nn.Module):
    """A hidden layer; `end` makes the answer of what the last one gives."""

    def __init__(self, inputs, outputs, end, bend=torch.relu):
        super().__init__()
        self.first, self.last = nn.Linear(inputs, 200), nn.Linear(200, outputs)
        self.end, self.bend = end, bend

    def forward(self, x):
        return self.end(self.last(self.bend(self.first(x))))


class Listed(nn.Module):
    """A network in a list, where no optimiser finds it."""

    def __init__(self, network):
        super().__init__()
        self.layers = [network]


def halves(t):
    return t.chunk(2, dim=-1)


def same(t):
    return t


def fixed(mu):
    return torch.randn(mu.shape, generator=torch.Generator().manual_seed(1))


def σ(log_var):
    return torch.exp(0.5 * log_var)


def networks(heads=halves, pixels=same, bend=torch.relu, pair=same):
    """A `build(latent_dim)`."""

    def build(latents):
        return pair((Net(PIXELS, 2 * latents, heads, bend), Net(latents, PIXELS, pixels)))

    return build


def loss_with(beta=1.0, cross_entropy=lambda b: b.sum(1), kl=lambda k: k.sum(1)):
    def loss(logits, x, mu, log_var):
        b = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
        k = kl_divergence(Normal(mu, σ(log_var)), Normal(0.0, 1.0))
        return (cross_entropy(b) + beta * kl(k)).mean()

    return loss


DRAWS = {  # z = a + b · noise
    "variance for standard deviation": lambda m, v: (m, v.exp()),
    "log_var taken for σ": lambda m, v: (m, v),
    "σ forgotten": lambda m, v: (m, 1.0),
    "heads swapped": lambda m, v: (v, σ(m)),
    "another draw": lambda m, v: (m, F.softplus(v)),
}


def step(
    loss=loss_with(),
    draw=lambda m, v: (m, σ(v)),
    noise=torch.randn_like,
    cut=same,
    order="zero backward step",
    change=lambda networks: None,
    told=lambda value: value,
):
    """A `training_step(encoder, decoder, optimiser, x)`."""

    def training_step(encoder, decoder, optimiser, x):
        mu, log_var = encoder(x)
        a, b = draw(mu, log_var)
        value = loss(decoder(cut(a + b * noise(mu))), x, mu, log_var)
        do = {"zero": optimiser.zero_grad, "backward": value.backward, "step": optimiser.step}
        for name in order.split():
            do[name]()
        change((encoder, decoder))
        return told(value.detach())

    return training_step


def nets(*changes):
    """Answers to 3.4 whose networks are wrong."""
    return [lambda c=c: (networks(**c), step()) for c in changes]


def steps(*changes):
    """Answers to 3.4 whose step is wrong."""
    return [lambda c=c: (networks(), step(**c)) for c in changes]


def decay(networks):
    for network in networks:
        network.weight.data *= 0.99


def right_vae():
    return networks(), step()


WRONG_VAES = {
    "not two networks": nets(
        {"pair": lambda p: p[0]}, {"pair": lambda p: (torch.relu, torch.relu)}
    ),
    "layers that are not registered": nets({"pair": lambda p: tuple(map(Listed, p))}),
    "encoder and decoder swapped": nets({"pair": lambda p: p[::-1]}),
    "one tensor for two heads": nets({"heads": lambda t: halves(t)[0]}, {"heads": same}),
    "one head twice": nets({"heads": lambda t: halves(t)[:1] * 2}),
    "probabilities for logits": nets({"pixels": torch.sigmoid}),
    "bent answer": nets(
        {"heads": lambda t: halves(t.relu())},
        {"heads": lambda t: (halves(t.tanh())[0], halves(t)[1])},
        {"heads": lambda t: (halves(t)[0], halves(t)[1].exp())},
        {"pixels": torch.relu},
    ),
    "no hidden nonlinearity": nets({"bend": same}),
    "not one pass a step": [lambda: (networks(), lambda *a: step()(*a) + step()(*a))],
    "no noise": steps({"noise": torch.zeros_like}),
    "same noise in every step": steps({"noise": fixed}),
    "ε shared between images": steps({"noise": lambda m: torch.randn_like(m[:1])}),
    "ε shared between latents": steps({"noise": lambda m: torch.randn_like(m[:, :1])}),
    "uniform noise": steps({"noise": torch.rand_like}),
    **{name: steps({"draw": draw}) for name, draw in DRAWS.items()},
    "detached sample": steps({"cut": torch.Tensor.detach}),
    "no backward": steps({"order": "step"}),
    "parameters never move": steps({"order": "zero backward"}, {"order": "backward zero step"}),
    "step before backward": steps({"order": "step zero backward"}),
    "gradients never zeroed": steps({"order": "backward step"}),
    "another step": steps({"change": decay}),
    "another number returned": steps({"told": lambda value: 64 * value}),
    "mean beside sum": steps({"loss": loss_with(cross_entropy=torch.mean, kl=torch.sum)}),
    "a β left in": steps(*({"loss": loss_with(beta)} for beta in (4.0, 0.1, -1.0))),
    "another loss": steps({"loss": loss_with(kl=lambda k: k.sum(1).sqrt())}),
}
for _mistake, _wrong in vae_loss.catalogue():
    if _mistake.name in NAMED | {"clamped probabilities"}:
        WRONG_VAES.setdefault(_mistake.name, []).extend(steps({"loss": _wrong}))


def train(
    do=step(),
    weights=lambda e, d: [*e.parameters(), *d.parameters()],
    rows=lambda n: torch.randperm(n).split(64),
    epochs=lambda n: n,
):
    """A `train_vae(encoder, decoder, images, epochs)`."""

    def train_vae(encoder, decoder, images, wanted):
        optimiser = torch.optim.Adam(weights(encoder, decoder), lr=5e-3)
        for _ in range(epochs(wanted)):
            for batch in rows(len(images)):
                do(encoder, decoder, optimiser, images[batch])

    return train_vae


@functools.cache
def trained_pairs():
    """Two models that reach the bound, after a few seconds."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        models = [networks()(2), networks()(2)]
        for model in models:
            train()(*model, digits()[0], 3)
    return models


def right_loop():
    return train(), trained_pairs()


def loops(*changes):
    """Answers to 3.5 whose loop is wrong."""
    return [lambda c=c: (train(**c), trained_pairs()) for c in changes]


def models(change):
    """An answer to 3.5 whose models are wrong."""
    return [lambda: (train(), change(trained_pairs()))]


WRONG_LOOPS = {
    "part of the images": loops(
        {"rows": lambda n: [torch.arange(64)]}, {"do": lambda *arguments: None}
    ),
    "epochs not counted": loops({"epochs": lambda n: 1}, {"epochs": lambda n: 5}),
    "same noise in every step": loops({"do": step(noise=fixed)}),
    "one network never moves": loops(
        {"weights": lambda e, d: d.parameters()}, {"weights": lambda e, d: e.parameters()}
    ),
    "parameters never move": loops({"do": step(order="zero backward")}),
    "not two models": [*models(lambda pairs: pairs[0]), *models(lambda pairs: pairs[:1])],
    "decoder first": models(lambda pairs: [pair[::-1] for pair in pairs]),
    "probabilities for logits": models(
        lambda pairs: [(e, nn.Sequential(d, nn.Sigmoid())) for e, d in pairs]
    ),
    "one model twice": models(lambda pairs: pairs[:1] * 2),
    "bound not reached": models(lambda pairs: [networks()(2), networks()(2)]),
}
