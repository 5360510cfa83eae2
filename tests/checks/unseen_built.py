"""Functions, networks and trained models that students may hand over to an inspection."""

import copy
import functools
import math
from collections import namedtuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Independent, Laplace, MultivariateNormal, Normal
from torch.distributions import kl_divergence as kl

from svae_helpers import VAE, SpikeAndSlab, fit
from svae_helpers.checks.small_vae import digits

from .built_sparse import SmallVAE, sparse_prior, trained_sparse
from .built_vaes import trained_pairs
from .unseen import RIGHT, tried

# --- 1.4


def honest(log_joint, q, num_samples):
    z = q.sample((num_samples,))
    return (log_joint(z) - q.log_prob(z).sum(-1)).mean(0)


def weights(reduce):
    def broken(log_joint, q, num_samples):
        z = q.rsample((num_samples,))
        return reduce(log_joint(z) - q.log_prob(z).sum(-1))

    return broken


def density(log_r):
    def broken(log_joint, q, num_samples):
        z = q.sample((num_samples,))
        return (log_joint(z) - log_r(q, z)).mean(0)

    return broken


def narrow_draws(log_joint, q, num_samples):
    z = q.mean + 0.3 * q.stddev * torch.randn(num_samples, *q.mean.shape, dtype=q.mean.dtype)
    return (log_joint(z) - q.log_prob(z).sum(-1)).mean(0)


def wide_density(log_joint, q, num_samples):
    z = q.sample((num_samples,))
    return (log_joint(z) - Normal(q.mean, 1.0).log_prob(z).sum(-1)).mean(0)


def loop_keeps_best(log_joint, q, num_samples):
    best = torch.full((len(q.mean),), -torch.inf, dtype=torch.float64)
    for _ in range(num_samples):
        z = q.sample((1,))
        best = torch.maximum(best, (log_joint(z) - q.log_prob(z).sum(-1))[0])
    return best


def fresh_density(log_joint, q, num_samples):
    z = q.sample((num_samples,))
    return (
        log_joint(z) - Normal(q.mean, q.stddev).log_prob(q.sample((num_samples,))).sum(-1)
    ).mean(0)


def no_log_sigma(q, z):
    return (-0.5 * ((z - q.mean) / q.stddev) ** 2 - 0.5 * math.log(2 * math.pi)).sum(-1)


def keyword(log_joint, q, num_samples=10):
    return weights(lambda w: torch.logsumexp(w, dim=0))(log_joint, q, num_samples=num_samples)


class Broken(nn.Module):
    def forward(self, log_joint, q, num_samples):
        return wide_density(log_joint, q, num_samples)


def per_image(log_joint, q, num_samples):
    return honest(log_joint, q, num_samples) + torch.tensor([1.0, 2.0, 3.0, 4.0])


def at_the_mean(log_joint, q, num_samples):
    z = q.mean.expand(num_samples, *q.mean.shape)
    return (log_joint(z) - q.log_prob(z).sum(-1)).mean(0)


tried(
    "broken_elbo",
    ("σ² for σ", (density(lambda q, z: Normal(q.mean, q.stddev**2).log_prob(z).sum(-1)),), RIGHT),
    ("σ doubled", (density(lambda q, z: Normal(q.mean, 2 * q.stddev).log_prob(z).sum(-1)),), RIGHT),
    ("σ = 1 in log q", (wide_density,), RIGHT),
    ("Laplace", (density(lambda q, z: Laplace(q.mean + 1, 1.0).log_prob(z).sum(-1)),), RIGHT),
    ("q moved", (density(lambda q, z: Normal(q.mean + 1, q.stddev).log_prob(z).sum(-1)),), RIGHT),
    ("rows rolled", (density(lambda q, z: q.log_prob(z.roll(1, 1)).sum(-1)),), RIGHT),
    ("best of all", (weights(lambda w: w.max(dim=0).values),), RIGHT),
    ("best, in a loop", (loop_keeps_best,), RIGHT),
    ("best, by hand", (lambda log_joint, q, n: loop_keeps_best(log_joint, q, 200),), RIGHT),
    ("sum of weights", (keyword,), RIGHT),
    ("weights, no log", (weights(lambda w: w.exp().mean(0)),), RIGHT),
    ("the loss", (weights(lambda w: -w.mean(0)),), RIGHT),
    ("a module", (Broken(),), RIGHT),
    ("best half", (weights(lambda w: w.topk(10, dim=0).values.mean(0)),), RIGHT),
    ("mean over latents too", (weights(lambda w: w.mean(0) / 2),), RIGHT),
    ("absolute values", (weights(lambda w: w.abs().mean(0)),), RIGHT),
    ("log q twice", (density(lambda q, z: 2 * q.log_prob(z).sum(-1)),), RIGHT),
    ("− log σ forgotten", (density(no_log_sigma),), RIGHT),
    ("honest", (honest,), "the ELBO itself"),
    ("honest, a fresh log q", (fresh_density,), "not above"),
    ("+ 5", (lambda *a: honest(*a) + 5,), "a constant added"),
    ("+ 100, other draws", (weights(lambda w: w.mean(0) + 100),), "a constant added"),
    ("a constant for each image", (per_image,), "a constant added"),
    ("ones", (lambda log_joint, q, n: torch.ones(4),), "a constant"),
    ("log q forgotten", (density(lambda q, z: 0.0),), "q's entropy lost"),
    ("log q added", (density(lambda q, z: -q.log_prob(z).sum(-1)),), "q's entropy lost"),
    ("log q averaged", (density(lambda q, z: q.log_prob(z).mean(-1)),), "q's entropy lost"),
    ("sum", (weights(lambda w: w.sum(0)),), "sum over samples"),
    (
        "log of the mean",
        (weights(lambda w: w.exp().mean(0).log()),),
        "mean of the weights, then the logarithm",
    ),
    ("the mean for a draw", (at_the_mean,), "not above"),
    ("median", (weights(lambda w: w.median(0).values),), "not above"),
    ("worst", (weights(lambda w: w.amin(0)),), "not above"),
    ("narrow draws", (narrow_draws,), "not above"),
    ("one number", (weights(lambda w: w.max()),), "wrong shape"),
    ("not averaged", (weights(lambda w: w),), "wrong shape"),
    ("a float", (weights(lambda w: float(w.max())),), "wrong type"),
    ("nothing returned", (lambda *a: print(end=""),), "missing return"),
    ("an infinity", (weights(lambda w: w.mean(0) / 0),), "not finite"),
    ("a name unknown", (lambda *a: honest(*a) + margin,), "an exception"),  # noqa: F821
    ("no sum over latents", (density(lambda q, z: q.log_prob(z)),), "an exception"),
    ("two faults", (weights(lambda w: (w - 5).sum(0)),), "not above"),
)

# --- 3.4


class Encoder(nn.Module):
    def __init__(self, latent_dim, hidden=300, bend=nn.ReLU, end=None):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(784, hidden), bend())
        self.mu, self.log_var = nn.Linear(hidden, latent_dim), nn.Linear(hidden, latent_dim)
        self.end = end or (lambda h: (self.mu(h), self.log_var(h)))

    def forward(self, x):
        return self.end(self.body(x))


def mlp(*sizes, bend=nn.ReLU):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), bend()]
    return nn.Sequential(*layers[:-1])


class Halves(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x).chunk(2, dim=1)


class Listed(nn.Module):
    """An encoder whose first layer is hidden in a list."""

    def __init__(self, latent_dim):
        super().__init__()
        self.layers = [nn.Linear(784, 100)]
        self.mu, self.log_var = nn.Linear(100, latent_dim), nn.Linear(100, latent_dim)

    def forward(self, x):
        h = torch.relu(self.layers[0](x))
        return self.mu(h), self.log_var(h)


class InForward(nn.Module):
    """A decoder that makes its last layer anew in each call."""

    def __init__(self, latent_dim):
        super().__init__()
        self.hidden = nn.Linear(latent_dim, 100)

    def forward(self, z):
        return nn.Linear(100, 784)(torch.relu(self.hidden(z)))


class NoSuper(nn.Module):
    def __init__(self, latent_dim):
        self.hidden = nn.Linear(784, latent_dim)


Heads = namedtuple("Heads", "mu log_var")


class Named(Encoder):
    def forward(self, x):
        h = self.body(x)
        return Heads(self.mu(h), self.log_var(h))


class OneHeadTwice(Encoder):
    def forward(self, x):
        h = self.body(x)
        return self.mu(h), self.mu(h)


class Reshaping(nn.Module):
    """Layers in a ModuleDict, with convolutions."""

    def __init__(self, latent_dim):
        super().__init__()
        self.parts = nn.ModuleDict(
            {"in": nn.Conv2d(1, 4, 4, stride=4), "out": nn.Linear(196, 2 * latent_dim)}
        )

    def forward(self, x):
        h = F.silu(self.parts["in"](x.reshape(-1, 1, 28, 28))).flatten(1)
        mu, log_var = torch.tensor_split(self.parts["out"](h), 2, dim=-1)
        return mu, log_var


def build(latent_dim, hidden=300):
    return Encoder(latent_dim, hidden), mlp(latent_dim, hidden, 784)


def pair(encoder=Encoder, decoder=lambda d: mlp(d, 100, 784)):
    return lambda latent_dim: (encoder(latent_dim), decoder(latent_dim))


def with_list(latent_dim):
    return [
        Halves(mlp(784, 200, 200, 2 * latent_dim, bend=nn.Tanh)),
        mlp(latent_dim, 99, 784, bend=nn.GELU),
    ]


def with_dropout(latent_dim):
    decoder = nn.Sequential(
        nn.Linear(latent_dim, 100),
        nn.LayerNorm(100),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(100, 784),
    )
    return Encoder(latent_dim, bend=nn.LeakyReLU), decoder


def with_lazy(latent_dim):
    return Halves(nn.Sequential(nn.LazyLinear(64), nn.ReLU(), nn.LazyLinear(2 * latent_dim))), mlp(
        latent_dim, 64, 784
    )


def losses(logits, x, mu, log_var, reduce=lambda c, k: (c.sum(1) + k.sum(1)).mean()):
    c = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return reduce(c, 0.5 * (mu**2 + log_var.exp() - log_var - 1))


def train(
    loss=losses, draw=lambda m, v: m + (v / 2).exp() * torch.randn_like(m), value=lambda v: v
):
    def training_step(encoder, decoder, optimiser, x):
        mu, log_var = encoder(x)
        total = loss(decoder(draw(mu, log_var)), x, mu, log_var)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        return value(total)

    return training_step


def step_by_distributions(encoder, decoder, optimiser, x):
    optimiser.zero_grad(set_to_none=False)
    q = Independent(
        Normal(*(f(h) for f, h in zip((lambda m: m, lambda v: v.exp().sqrt()), encoder(x)))), 1
    )
    p = Independent(Bernoulli(logits=decoder(q.rsample())), 1)
    prior = Independent(Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean)), 1)
    loss = -(p.log_prob(x) - kl(q, prior)).mean()
    loss.backward()
    optimiser.step()
    return loss.detach()


def step_by_networks(encoder, decoder, optimiser, x):
    encoder.train(), decoder.train()
    mu, log_var = encoder(x)
    noise = torch.empty_like(mu).normal_()
    logits = decoder(noise * torch.exp(log_var * 0.5) + mu)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / x.shape[0]
    kld = -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp()) / x.shape[0]
    encoder.zero_grad(), decoder.zero_grad()
    (bce + kld).backward(retain_graph=True)
    optimiser.step()
    return (bce + kld).item()


def step_in_a_loop(encoder, decoder, optimiser, x):
    mu, log_var = encoder(x)
    eps = torch.stack([torch.randn(mu.shape[1]) for _ in x])
    logits, total = decoder(mu + log_var.mul(0.5).exp().mul(eps)), 0.0
    for b in range(len(x)):
        total = total + F.softplus(logits[b]).sum() - (logits[b] * x[b]).sum()
        total = total - 0.5 * (1 + log_var[b] - mu[b] ** 2 - torch.exp(log_var[b])).sum()
    loss = total / len(x)
    for network in (encoder, decoder):
        for p in network.parameters():
            p.grad = None
    loss.backward()
    optimiser.step()
    return loss.detach().numpy().item()


def step_by_closure(encoder, decoder, optimiser, x):
    def closure():
        optimiser.zero_grad()
        mu, log_var = encoder(x)
        loss = losses(decoder(Normal(mu, torch.exp(0.5 * log_var)).rsample()), x, mu, log_var)
        loss.backward()
        return loss

    return optimiser.step(closure)


def own_optimiser(encoder, decoder, optimiser, x):
    ours = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.01)
    return train()(encoder, decoder, ours, x)


def two_encodes(encoder, decoder, optimiser, x):
    mu, log_var = encoder(x)[0], encoder(x)[1]
    loss = losses(decoder(mu + (log_var / 2).exp() * torch.randn_like(mu)), x, mu, log_var)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss


def zero_after_backward(encoder, decoder, optimiser, x):
    mu, log_var = encoder(x)
    loss = losses(decoder(mu + (log_var / 2).exp() * torch.randn_like(mu)), x, mu, log_var)
    loss.backward()
    optimiser.zero_grad()
    optimiser.step()
    return loss.item()


def no_zero(encoder, decoder, optimiser, x):
    mu, log_var = encoder(x)
    loss = losses(decoder(mu + (log_var / 2).exp() * torch.randn_like(mu)), x, mu, log_var)
    loss.backward()
    optimiser.step()
    return loss.item()


def no_backward(encoder, decoder, optimiser, x):
    mu, log_var = encoder(x)
    loss = losses(decoder(mu + (log_var / 2).exp() * torch.randn_like(mu)), x, mu, log_var)
    optimiser.zero_grad()
    optimiser.step()
    return loss


def without_gradients(encoder, decoder, optimiser, x):
    with torch.no_grad():
        mu, log_var = encoder(x)
    return losses(decoder(mu), x, mu, log_var)


def two_steps(encoder, decoder, optimiser, x):
    train()(encoder, decoder, optimiser, x)
    return train()(encoder, decoder, optimiser, x)


def clipped(encoder, decoder, optimiser, x):
    mu, log_var = encoder(x)
    loss = losses(decoder(mu + (log_var / 2).exp() * torch.randn_like(mu)), x, mu, log_var)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([*encoder.parameters(), *decoder.parameters()], 1.0)
    optimiser.step()
    return loss


def returns_nothing(*arguments):
    train()(*arguments)


def normal_mc(logits, x, mu, log_var):
    q = Normal(mu, (log_var / 2).exp())
    z = q.rsample()
    c = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    return (c + (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(1)).mean()


def mean_bce(logits, x, mu, log_var):
    return (
        F.binary_cross_entropy_with_logits(logits, x)
        + kl(Normal(mu, (log_var / 2).exp()), Normal(0.0, 1.0)).sum(1).mean()
    )


def reduced(reduce):
    return train(functools.partial(losses, reduce=reduce))


def bce_of_sigmoid(logits, x, mu, log_var):
    c = F.binary_cross_entropy(torch.sigmoid(logits), x, reduction="none").sum(1)
    return (c + 0.5 * (mu**2 + log_var.exp() - log_var - 1).sum(1)).mean()


def mse(logits, x, mu, log_var):
    c = F.mse_loss(logits.sigmoid(), x, reduction="sum") / len(x)
    return c + 0.5 * (mu**2 + log_var.exp() - log_var - 1).sum(1).mean()


def no_half(logits, x, mu, log_var):
    return losses(logits, x, mu, log_var, lambda c, k: (c.sum(1) + 2 * k.sum(1)).mean())


FIXED = torch.Generator()


def seeded(mu, log_var):
    return mu + (log_var / 2).exp() * torch.randn(mu.shape, generator=FIXED.manual_seed(0))


@functools.cache
def same_networks(latent_dim):
    return build(latent_dim)


tried(
    "first_vae",
    ("plain", (build, train()), RIGHT),
    ("distributions", (build, step_by_distributions), RIGHT),
    ("chunk, Tanh, a list", (with_list, step_by_networks), RIGHT),
    ("Dropout, LayerNorm", (with_dropout, step_in_a_loop), RIGHT),
    ("lazy layers", (with_lazy, train()), RIGHT),
    ("namedtuple", (pair(Named), train(value=torch.Tensor.item)), RIGHT),
    ("convolutions", (pair(Reshaping), train(value=torch.Tensor.detach)), RIGHT),
    ("partial", (functools.partial(build, hidden=50), train(value=float)), RIGHT),
    ("a closure", (build, step_by_closure), RIGHT),
    ("rsample", (build, train(draw=lambda m, v: Normal(m, v.exp() ** 0.5).rsample())), RIGHT),
    ("first layer in a list", (pair(Listed), train()), "layers that are not registered"),
    ("a layer in forward", (pair(decoder=InForward), train()), "layers that are not registered"),
    ("no super().__init__()", (pair(NoSuper), train()), "an exception"),
    ("a head twice", (pair(OneHeadTwice), train()), "one head twice"),
    ("2 latents always", (lambda latent_dim: build(2), train()), "wrong shape"),
    ("swapped pair", (lambda d: build(d)[::-1], train()), "encoder and decoder swapped"),
    ("no relu", (pair(decoder=lambda d: nn.Linear(d, 784)), train()), "no hidden nonlinearity"),
    (
        "sigmoid at the end",
        (pair(decoder=lambda d: nn.Sequential(mlp(d, 99, 784), nn.Sigmoid())), train()),
        "probabilities for logits",
    ),
    (
        "relu at the end",
        (pair(decoder=lambda d: nn.Sequential(mlp(d, 99, 784), nn.ReLU())), train()),
        "bent answer",
    ),
    (
        "softplus for σ",
        (
            pair(lambda d: Encoder(d, end=None)),
            train(draw=lambda m, v: m + F.softplus(v) * torch.randn_like(m)),
        ),
        "another draw",
    ),
    ("one tensor", (pair(lambda d: mlp(784, 99, 2 * d)), train()), "one tensor for two heads"),
    ("the mean only", (pair(lambda d: mlp(784, 99, d)), train()), "one tensor for two heads"),
    ("a dict", (lambda d: dict(zip("ed", build(d))), train()), "not two networks"),
    ("encoder only", (lambda d: Encoder(d), train()), "not two networks"),
    ("classes", (lambda d: (Encoder, nn.Linear), train()), "not two networks"),
    (
        "exp(log_var)",
        (build, train(draw=lambda m, v: m + v.exp() * torch.randn_like(m))),
        "variance for standard deviation",
    ),
    (
        "noise (D,)",
        (build, train(draw=lambda m, v: m + (v / 2).exp() * torch.randn(m.shape[1]))),
        "ε shared between images",
    ),
    (
        "noise (B, 1)",
        (build, train(draw=lambda m, v: m + (v / 2).exp() * torch.randn(len(m), 1))),
        "ε shared between latents",
    ),
    (
        "rand",
        (build, train(draw=lambda m, v: m + (v / 2).exp() * torch.rand_like(m))),
        "uniform noise",
    ),
    ("a seed", (build, train(draw=seeded)), "same noise in every step"),
    ("the mean decoded", (build, train(draw=lambda m, v: m)), "no noise"),
    (
        "sample",
        (build, train(draw=lambda m, v: Normal(m, (v / 2).exp()).sample())),
        "detached sample",
    ),
    (
        "Normal(mu, log_var)",
        (build, train(draw=lambda m, v: m + v * torch.randn_like(m))),
        "log_var taken for σ",
    ),
    (
        "halved σ",
        (build, train(draw=lambda m, v: m + 0.5 * v.exp() * torch.randn_like(m))),
        "another draw",
    ),
    ("own optimiser", (build, own_optimiser), "another step"),
    ("clipped gradients", (build, clipped), "another step"),
    ("encoded twice", (build, two_encodes), "not one pass a step"),
    ("two steps", (build, two_steps), "not one pass a step"),
    ("no_grad", (build, without_gradients), "not one pass a step"),
    ("zeroed after backward", (build, zero_after_backward), "parameters never move"),
    ("no zero_grad", (build, no_zero), "gradients never zeroed"),
    ("no backward", (build, no_backward), "no backward"),
    ("returns nothing", (build, returns_nothing), "missing return"),
    ("returns a pair", (build, train(value=lambda v: (v, v))), "wrong type"),
    ("returns the batch's sum", (build, train(value=lambda v: 64 * v)), "another number returned"),
    ("returns minus", (build, train(value=lambda v: -v)), "another number returned"),
    ("a sampled KL", (build, train(normal_mc)), "another loss"),
    ("mean BCE, summed KL", (build, train(mean_bce)), "mean over pixels"),
    ("sigmoid and BCE", (build, train(bce_of_sigmoid)), "clamped probabilities"),
    ("MSE", (build, train(mse)), "squared error"),
    ("lost ½", (build, train(no_half)), "lost ½"),
    ("mean of all", (build, reduced(lambda c, k: c.mean() + k.mean())), "mean over everything"),
    (
        "mean over latents",
        (build, reduced(lambda c, k: (c.sum(1) + k.mean(1)).mean())),
        "mean over latents",
    ),
    ("the sum", (build, reduced(lambda c, k: c.sum() + k.sum())), "batch summed"),
    ("the ELBO", (build, reduced(lambda c, k: -(c.sum(1) + k.sum(1)).mean())), "sign"),
    ("β = 4", (build, reduced(lambda c, k: (c.sum(1) + 4 * k.sum(1)).mean())), "a β left in"),
    ("no KL", (build, reduced(lambda c, k: c.sum(1).mean())), "a β left in"),
    ("KL subtracted", (build, reduced(lambda c, k: (c.sum(1) - k.sum(1)).mean())), "a β left in"),
    (
        "mean BCE and exp(log_var)",
        (build, train(mean_bce, lambda m, v: m + v.exp() * torch.randn_like(m))),
        "variance for standard deviation",
    ),
    ("no zero_grad, mean KL", (build, lambda *a: no_zero(*a) * 0 + 1), "another number returned"),
)

# --- 3.5


def train_vae(do=None, split=64, shuffle=True, epochs=lambda n: n, nets=(0, 1)):
    def loop(encoder, decoder, images, epochs_wanted):
        both = (encoder, decoder)
        optimiser = torch.optim.Adam([p for n in nets for p in both[n].parameters()], 1e-3)
        history = []
        for _ in range(epochs(epochs_wanted)):
            order = torch.randperm(len(images)) if shuffle else torch.arange(len(images))
            for rows in order.split(split):
                history.append((do or train())(encoder, decoder, optimiser, images[rows]))
        return history

    return loop


def by_loader(encoder, decoder, images, epochs):
    data = torch.utils.data.TensorDataset(images)
    loader = torch.utils.data.DataLoader(data, batch_size=100, shuffle=True, drop_last=True)
    optimiser = torch.optim.SGD(list(encoder.parameters()) + list(decoder.parameters()), lr=1e-4)
    for _epoch in range(1, epochs + 1):
        for (x,) in loader:
            step_by_networks(encoder, decoder, optimiser, x)


def by_slices(encoder, decoder, images, epochs=10):
    optimiser = torch.optim.AdamW(nn.ModuleList([encoder, decoder]).parameters(), lr=1e-3)
    while epochs > 0:
        images = images[torch.randperm(images.shape[0])]
        for i in range(0, len(images), 32):
            train()(encoder, decoder, optimiser, images[i : i + 32])
        epochs -= 1


def returns_early(encoder, decoder, images, epochs):
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()])
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(64):
            train()(encoder, decoder, optimiser, images[rows])
        return


def with_replacement(encoder, decoder, images, epochs):
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()])
    for _ in range(epochs * len(images) // 64):
        train()(encoder, decoder, optimiser, images[torch.randint(len(images), (64,))])


def first_batches(encoder, decoder, images, epochs):
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()])
    for _ in range(epochs):
        for i in range(4):
            train()(encoder, decoder, optimiser, images[64 * i : 64 * (i + 1)])


def no_optimiser_step(encoder, decoder, optimiser, x):
    mu, log_var = encoder(x)
    loss = losses(decoder(mu + torch.randn_like(mu) * (log_var / 2).exp()), x, mu, log_var)
    loss.backward()
    return loss


def seed_in_each_step(encoder, decoder, optimiser, x):
    torch.manual_seed(0)
    return train()(encoder, decoder, optimiser, x)


def handed(loop=None, models=lambda pairs: pairs):
    return lambda: (loop or train_vae(), models(trained_pairs()))


tried(
    "trained_vaes",
    ("plain", handed(), RIGHT),
    ("DataLoader", handed(by_loader), RIGHT),
    ("slices", handed(by_slices), RIGHT),
    ("unshuffled", handed(train_vae(shuffle=False, split=200)), RIGHT),
    ("a tuple of lists", handed(models=lambda pairs: tuple(map(list, pairs))), RIGHT),
    ("first epoch only", handed(returns_early), "epochs not counted"),
    ("first 4 batches", handed(first_batches), "part of the images"),
    ("with replacement", handed(with_replacement), "part of the images"),
    ("epochs + 1", handed(train_vae(epochs=lambda n: n + 1)), "epochs not counted"),
    ("6 epochs always", handed(train_vae(epochs=lambda n: 6)), "epochs not counted"),
    ("decoder's weights only", handed(train_vae(nets=(1,))), "one network never moves"),
    ("encoder's weights only", handed(train_vae(nets=(0,))), "one network never moves"),
    ("no optimiser.step", handed(train_vae(no_optimiser_step)), "parameters never move"),
    ("seeded steps", handed(train_vae(seed_in_each_step)), "same noise in every step"),
    ("does nothing", handed(lambda encoder, decoder, images, epochs: 0), "part of the images"),
    ("raises", handed(lambda encoder, decoder, images: 0), "an exception"),
    ("flat list", handed(models=lambda p: [*p[0], *p[1]]), "not two models"),
    ("one pair", handed(models=lambda p: p[0]), "not two models"),
    ("three pairs", handed(models=lambda p: [*p, p[0]]), "not two models"),
    ("a dict", handed(models=lambda p: dict(enumerate(p))), "not two models"),
    ("functions", handed(models=lambda p: [(train, train)] * 2), "not two models"),
    ("decoder first", handed(models=lambda p: [m[::-1] for m in p]), "decoder first"),
    ("deep copies", handed(models=lambda p: [p[0], copy.deepcopy(p[0])]), "one model twice"),
    ("untrained", handed(models=lambda p: [build(2), build(2)]), "bound not reached"),
    ("second untrained", handed(models=lambda p: [p[0], build(2)]), "bound not reached"),
    ("20 latents", handed(models=lambda p: [build(20), build(20)]), "wrong shape"),
    ("mixed", handed(models=lambda p: [p[0], (p[0][0], p[1][1])]), "bound not reached"),
    (
        "sigmoid at the end",
        handed(models=lambda p: [(e, nn.Sequential(d, nn.Sigmoid())) for e, d in p]),
        "probabilities for logits",
    ),
)

# --- 5.3


def broken_kl(draw=lambda q, m, v, k: q.rsample((k,)), term=lambda q, z, p: q.log_prob(z) - p(z)):
    def f(mu, log_var, log_prior, num_samples):
        q = Normal(mu, torch.exp(0.5 * log_var))
        z = draw(q, mu, log_var, num_samples)
        return term(q, z, log_prior).mean(dim=0).sum(dim=-1)

    return f


def frozen(q):
    return Normal(q.mean.detach(), q.stddev.detach())


def by_loop(mu, log_var, log_prior, num_samples):
    total = 0.0
    for _ in range(num_samples):
        z = Normal(mu, log_var.exp().sqrt()).sample()
        total = total + Normal(mu, log_var.exp().sqrt()).log_prob(z) - log_prior(z)
    return (total / num_samples).sum(1)


def doubled(*arguments):
    kl_value = broken_kl()(*arguments)
    return 2 * kl_value - kl_value.detach()


def reversed_gradient(*arguments):
    kl_value = broken_kl()(*arguments)
    return 2 * kl_value.detach() - kl_value


def item(*arguments):
    return torch.tensor(broken_kl()(*arguments).tolist())


tried(
    "broken_gradient",
    ("sample", (broken_kl(lambda q, m, v, k: q.sample((k,))),), RIGHT),
    ("sample, in a loop", (by_loop,), RIGHT),
    ("z detached everywhere", (broken_kl(lambda q, m, v, k: q.rsample((k,)).detach()),), RIGHT),
    (
        "z detached in the prior",
        (broken_kl(term=lambda q, z, p: q.log_prob(z) - p(z.detach())),),
        RIGHT,
    ),
    ("log p detached", (broken_kl(term=lambda q, z, p: q.log_prob(z) - p(z).detach()),), RIGHT),
    ("log q detached", (broken_kl(term=lambda q, z, p: q.log_prob(z).detach() - p(z)),), RIGHT),
    (
        "μ detached in the draws",
        (broken_kl(lambda q, m, v, k: m.detach() + (v / 2).exp() * torch.randn(k, *m.shape)),),
        RIGHT,
    ),
    (
        "σ detached in the draws",
        (broken_kl(lambda q, m, v, k: m + (v.detach() / 2).exp() * torch.randn(k, *m.shape)),),
        RIGHT,
    ),
    ("doubled", (doubled,), RIGHT),
    ("reversed", (reversed_gradient,), RIGHT),
    (
        "entropy, prior detached",
        (broken_kl(term=lambda q, z, p: -q.entropy() - p(z.detach())),),
        RIGHT,
    ),
    (
        "half of the draws cut",
        (broken_kl(lambda q, m, v, k: torch.cat([q.sample((k - k // 2,)), q.rsample((k // 2,))])),),
        RIGHT,
    ),
    ("right", (broken_kl(),), "gradient right"),
    (
        "path gradient only",
        (broken_kl(term=lambda q, z, p: frozen(q).log_prob(z) - p(z)),),
        "gradient right",
    ),
    ("entropy", (broken_kl(term=lambda q, z, p: -q.entropy() - p(z)),), "gradient right"),
    ("detached", (lambda *a: broken_kl()(*a).detach(),), "no gradient at all"),
    ("a new tensor", (item,), "no gradient at all"),
    ("no_grad", (torch.no_grad()(broken_kl()),), "no gradient at all"),
    (
        "all inputs detached",
        (lambda m, v, p, k: broken_kl()(m.detach(), v.detach(), p, k),),
        "no gradient at all",
    ),
    ("minus", (lambda *a: -broken_kl()(*a),), "value wrong"),
    ("halved", (lambda *a: 0.5 * broken_kl()(*a),), "value wrong"),
    ("no log q", (broken_kl(term=lambda q, z, p: -p(z)),), "value wrong"),
    (
        "exp(log_var) in the draws",
        (broken_kl(lambda q, m, v, k: m + v.exp() * torch.randn(k, *m.shape)),),
        "value wrong",
    ),
    ("at the mean", (broken_kl(lambda q, m, v, k: m.expand(k, *m.shape)),), "value wrong"),
    ("clamped", (lambda *a: broken_kl()(*a).clamp(min=3),), "value wrong"),
    ("log_var clamped", (lambda m, v, p, k: broken_kl()(m, v.clamp(min=0), p, k),), "value wrong"),
    ("batch averaged", (lambda *a: broken_kl()(*a).mean().expand(24),), "value wrong"),
    (
        "mean over latents",
        (broken_kl(term=lambda q, z, p: (q.log_prob(z) - p(z)) / z.shape[-1]),),
        "value wrong",
    ),
    ("one number", (lambda *a: broken_kl()(*a).mean(),), "wrong shape"),
    ("not summed", (lambda m, v, p, k: broken_kl()(m, v, p, k)[:, None] + 0 * m,), "wrong shape"),
    ("a float", (lambda *a: broken_kl()(*a).mean().item(),), "wrong type"),
    ("K as a keyword missing", (lambda mu, log_var, log_prior: 0,), "an exception"),
    ("sample and halved", (lambda *a: 0.5 * by_loop(*a),), "value wrong"),
)

# --- 8.3


class Wrong(nn.Module):
    def forward(self, s):
        return s - torch.sin(2 * torch.pi * s)


def pieces(s):
    return torch.where(s < 0.25, -s, torch.where(s < 0.75, 3 * s - 1, 2 - s))


def kinks(s):
    return 2 * (s - 0.3).abs() - 2 * (s - 0.7).abs() - s


def whole(s):
    return (s - torch.sin(2 * torch.pi * s)).sum()


def loop_over_s(s):
    return torch.stack([x - torch.sin(2 * torch.pi * x) for x in s])


tried(
    "misled_gate",
    ("minus", ((lambda s: torch.sin(2 * torch.pi * s) - s),), RIGHT),
    ("a polynomial", ((lambda s: s + 10 * s * (s - 1) * (1 - 2 * s)),), RIGHT),
    ("horner", ((lambda s: s * (-1 + s * (6 - 4 * s))),), RIGHT),
    ("a module", (Wrong(),), RIGHT),
    ("pieces", (pieces,), RIGHT),
    ("kinks", (kinks,), RIGHT),
    ("a loop", (loop_over_s,), RIGHT),
    (
        "exponentials",
        ((lambda s: s + 0.5 * torch.exp(-9 * s) - 0.5 * torch.exp(-9 * (1 - s))),),
        RIGHT,
    ),
    ("tanh", ((lambda s: torch.tanh(20 * (s - 0.5)) - 1.5 * s + 0 * s),), RIGHT),
    ("fast", ((lambda s: s - torch.sin(20 * torch.pi * s)),), RIGHT),
    ("quadratic", ((lambda s: (s - 0.2) ** 2),), "the rule is exact"),
    ("linear", ((lambda s: 3 * s),), "the rule is exact"),
    ("a negative line", ((lambda s: -s),), "the rule is exact"),
    ("identity", ((lambda s: s),), "the rule is exact"),
    ("cubic", ((lambda s: s**3),), "the right way"),
    ("sigmoid", (torch.sigmoid,), "the right way"),
    ("added sine", ((lambda s: s + torch.sin(2 * torch.pi * s)),), "the right way"),
    ("too small a sine", ((lambda s: s - 0.1 * torch.sin(2 * torch.pi * s)),), "the right way"),
    ("sine", ((lambda s: torch.sin(torch.pi * s)),), "nothing to gain"),
    ("cosine", ((lambda s: torch.cos(2 * torch.pi * s)),), "nothing to gain"),
    ("|s − ½|", ((lambda s: (s - 0.5).abs()),), "nothing to gain"),
    ("a whole sine alone", ((lambda s: -torch.sin(2 * torch.pi * s)),), "nothing to gain"),
    ("flat ends", ((lambda s: s - torch.sin(2 * torch.pi * s) / (2 * torch.pi)),), "no slope"),
    ("constant", ((lambda s: 0 * s + 1),), "nothing to gain"),
    ("zeros", (torch.zeros_like,), "no slope"),
    ("detached", ((lambda s: (s - torch.sin(2 * torch.pi * s)).detach()),), "no slope"),
    ("rounded", (torch.round,), "a jump"),
    ("a step", ((lambda s: (s > 0.5).double() - 0.1 * s),), "a jump"),
    ("sign", ((lambda s: torch.sign(s - 0.5) - 0.2 * s),), "a jump"),
    ("root", ((lambda s: s.sqrt() - s),), "not finite"),
    ("log", (torch.log,), "not finite"),
    ("1/s", ((lambda s: 1 / s),), "not finite"),
    ("summed", (whole,), "wrong shape"),
    ("math", ((lambda s: s - math.sin(2 * math.pi * s)),), "an exception"),
    ("a number", ((lambda s: 0.5),), "wrong type"),
    ("booleans", ((lambda s: s > 0.5),), "wrong type"),
    ("nothing", ((lambda s: print(end="")),), "missing return"),
    ("whole numbers", ((lambda s: (s > 0.5).long()),), "wrong type"),
)

# --- 6.2


@functools.cache
def trained_by(loss, steps=70, prior="sparse"):
    """Two models trained in a hurry, with a loss from (cross-entropy (B, P), log-ratios (B, D))."""
    models = []
    for seed in (0, 1):
        model = SmallVAE(sparse_prior() if prior == "sparse" else prior, seed)
        optimiser = torch.optim.Adam(model.parameters(), 5e-3)
        g = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(seed)
            for _ in range(steps):
                x = digits()[0][torch.randint(4000, (64,), generator=g)]
                q = model.encode(x)
                z = q.rsample()
                c = F.binary_cross_entropy_with_logits(model.decoder(z), x, reduction="none")
                optimiser.zero_grad()
                loss(c, q.log_prob(z) - model.prior.log_prob(z)).backward()
                optimiser.step()
        models.append(model)
    return tuple(models)


def fresh(prior, latents=20):
    return tuple(VAE(latents, prior=prior) for _ in range(2))


def package_prior(*arguments, **named):
    return SpikeAndSlab.gaussian(*arguments, **named)


tried(
    "trained_sparse_vae",
    ("trained", lambda: (trained_sparse(0), trained_sparse(1)), RIGHT),
    ("in the other order", lambda: (trained_sparse(1), trained_sparse(0)), RIGHT),
    ("in eval mode", lambda: (trained_sparse(0).eval(), trained_sparse(1)), RIGHT),
    ("untrained", lambda: fresh(package_prior(0.8, 0.05)), "untrained"),
    (
        "second untrained",
        lambda: (trained_sparse(0), fresh(package_prior(0.8, 0.05))[1]),
        "untrained",
    ),
    ("no prior given", lambda: (VAE(20), VAE(20)), "the dense prior"),
    ("swapped", lambda: fresh(package_prior(0.2, 0.05)), "spike_prob taken for on"),
    (
        "squared",
        lambda: fresh(package_prior(0.8, 0.05**2)),
        "spike_var taken for a standard deviation",
    ),
    ("root", lambda: fresh(package_prior(0.8, 0.05**0.5)), "root taken twice"),
    ("scaled", lambda: fresh(Normal(0.0, 0.24**0.5)), "a Gaussian of the sparse prior's variance"),
    ("swapped and squared", lambda: fresh(package_prior(0.2, 0.0025)), "another prior"),
    ("0.9", lambda: fresh(package_prior(0.9, 0.05)), "another prior"),
    ("N(0, 0.24)", lambda: fresh(Normal(0.0, 0.24)), "another prior"),
    ("10 latents", lambda: fresh(package_prior(0.8, 0.05), 10), "another number of latents"),
    ("2 latents, dense", lambda: (VAE(2), VAE(2)), "another number of latents"),
    ("one model", lambda: (trained_sparse(0),) * 2, "the same model twice"),
    (
        "a copy",
        lambda: (trained_sparse(0), copy.deepcopy(trained_sparse(0))),
        "the same model twice",
    ),
    (
        "with a history",
        lambda: ((trained_sparse(0), [1.0]), (trained_sparse(1), [1.0])),
        "not a model",
    ),
    ("state dicts", lambda: (trained_sparse(0).state_dict(), {}), "not a model"),
    ("decoders", lambda: (trained_sparse(0).decoder, trained_sparse(1).decoder), "not a model"),
    ("losses", lambda: (98.0, 97.0), "not a model"),
    ("VAE itself", lambda: (VAE, VAE), "not a model"),
    (
        "too short",
        lambda: trained_by(lambda c, k: (c.sum(1) + k.sum(1)).mean()),
        "short of the bound",
    ),
    ("mean BCE", lambda: trained_by(lambda c, k: c.mean() + k.sum(1).mean()), "short of the bound"),
    (
        "β = 20",
        lambda: trained_by(lambda c, k: (c.sum(1) + 99 * k.sum(1)).mean(), 120),
        "no latent says anything",
    ),
    (
        "mean KL",
        lambda: trained_by(lambda c, k: (c.sum(1) + k.mean()).mean()),
        "nothing holds the KL down",
    ),
    ("no KL", lambda: trained_by(lambda c, k: c.sum(1).mean()), "nothing holds the KL down"),
    (
        "batch summed",
        lambda: trained_by(lambda c, k: c.sum() + k.sum(1).mean()),
        "nothing holds the KL down",
    ),
)

# --- 7.4


@functools.cache
def dense():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VAE(20)
        fit(model, digits()[0][:2000], epochs=2, progress=False)
    return model


def control(s=0.49, mean=None, width=None, read=None, prior=None, model=None):
    """The folded answer's construction, with its parts in units of their own."""
    model = model or dense()
    mean, width, read = (s if t is None else t for t in (mean, width, read))
    decoder = copy.deepcopy(model.decoder)
    decoder.hidden.weight.data /= read
    return VAE(
        20,
        prior=Normal(0.0, s) if prior is None else prior,
        posterior=lambda mu, log_var: Normal(mean * mu, width * torch.exp(0.5 * log_var)),
        encoder=model.encoder,
        decoder=decoder,
    )


class Scaled(nn.Module):
    """The dense decoder, reading z / s."""

    def __init__(self, s):
        super().__init__()
        self.inner, self.s = dense().decoder, s

    def forward(self, z):
        return self.inner(z / self.s)


def by_a_wrapper(s=0.4):
    def posterior(mu, log_var):
        return Normal(s * mu, torch.exp(0.5 * log_var + math.log(s)))

    return VAE(
        20,
        prior=Normal(torch.tensor(0.0), s),
        posterior=posterior,
        encoder=dense().encoder,
        decoder=Scaled(s),
    )


def each_its_own():
    s = torch.linspace(0.2, 0.45, 20)
    return control(s=s, prior=Normal(torch.zeros(20), s))


def shares_the_decoder():
    model = copy.deepcopy(dense())
    model.decoder.hidden.weight.data /= 0.49
    made = control(model=model, read=1.0)
    made.decoder = model.decoder
    return model, made


def biases_too():
    made = control()
    made.decoder.hidden.bias.data /= 0.49
    return made


def last_layer_scaled():
    made = control(read=1.0)
    last = [m for m in made.decoder.modules() if isinstance(m, nn.Linear)][-1]
    last.weight.data /= 0.49
    return made


def silenced(n=10):
    keep = (torch.arange(20) >= n).float()
    return VAE(
        20,
        posterior=lambda mu, log_var: Normal(keep * mu, torch.exp(0.5 * log_var)),
        encoder=dense().encoder,
        decoder=dense().decoder,
    )


def trained_anew():
    model = VAE(20, prior=Normal(0.0, 0.49))
    with torch.random.fork_rng(devices=[]):
        fit(model, digits()[0][:2000], epochs=2, progress=False)
    return model


UNITS = {"w": "widths in other units", "d": "decoder in other units", "p": "prior in other units"}
tried(
    "half_the_count",
    ("0.49", lambda: (dense(), control()), RIGHT),
    ("0.1", lambda: (dense(), control(0.1)), RIGHT),
    (
        "the other sign",
        lambda: (dense(), control(-0.49, width=0.49, prior=Normal(0.0, 0.49))),
        RIGHT,
    ),
    ("a wrapper", lambda: (dense(), by_a_wrapper()), RIGHT),
    ("a unit for each", lambda: (dense(), each_its_own()), RIGHT),
    ("√VARIANCE", lambda: (dense(), control(math.sqrt(0.24))), RIGHT),
    ("widths left", lambda: (dense(), control(width=1.0)), UNITS["w"]),
    ("widths squared", lambda: (dense(), control(width=0.49**2)), UNITS["w"]),
    ("σ in units, μ not", lambda: (dense(), control(mean=1.0)), UNITS["w"]),
    ("decoder left", lambda: (dense(), control(read=1.0)), UNITS["d"]),
    ("decoder multiplied", lambda: (dense(), control(read=1 / 0.49)), UNITS["d"]),
    ("biases too", lambda: (dense(), biases_too()), UNITS["d"]),
    ("last layer", lambda: (dense(), last_layer_scaled()), UNITS["d"]),
    ("the dense decoder changed", shares_the_decoder, UNITS["d"]),
    ("prior left", lambda: (dense(), control(prior=Normal(0.0, 1.0))), UNITS["p"]),
    ("s for s²", lambda: (dense(), control(prior=Normal(0.0, 0.49**2))), UNITS["p"]),
    ("root of s", lambda: (dense(), control(prior=Normal(0.0, 0.7))), UNITS["p"]),
    (
        "prior and decoder left",
        lambda: (dense(), control(read=1.0, prior=Normal(0.0, 1.0))),
        UNITS["d"],
    ),
    (
        "only the means",
        lambda: (dense(), control(width=1.0, read=1.0, prior=Normal(0.0, 1.0))),
        UNITS["w"],
    ),
    (
        "sparse prior",
        lambda: (dense(), control(prior=package_prior(0.8, 0.05))),
        "a prior of another shape",
    ),
    (
        "Laplace prior",
        lambda: (dense(), control(prior=Laplace(0.0, 0.35))),
        "a prior of another shape",
    ),
    ("moved prior", lambda: (dense(), control(prior=Normal(1.0, 0.49))), UNITS["p"]),
    ("half silenced", lambda: (dense(), silenced()), "latents switched off"),
    ("all silenced", lambda: (dense(), silenced(20)), "latents switched off"),
    ("trained anew", lambda: (dense(), trained_anew()), "another model"),
    ("fresh", lambda: (dense(), VAE(20, prior=Normal(0.0, 0.49))), "another model"),
    ("10 latents", lambda: (dense(), VAE(10)), "another number of latents"),
    ("itself", lambda: (dense(), dense()), "not half yet"),
    ("a copy", lambda: (dense(), copy.deepcopy(dense())), "not half yet"),
    ("0.9", lambda: (dense(), control(0.9)), "not half yet"),
    ("2", lambda: (dense(), control(2.0)), "more than before"),
    ("swapped", lambda: (control(), dense()), "more than before"),
    ("its decoder", lambda: (dense(), dense().decoder), "not a model"),
    ("a number", lambda: (dense(), 0.49), "not a model"),
    (
        "a joint prior",
        lambda: (dense(), control(prior=MultivariateNormal(torch.zeros(20), 0.24 * torch.eye(20)))),
        "wrong shape",
    ),
)
