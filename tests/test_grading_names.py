"""The hidden tests of the assignment name mistakes and let other right answers pass.

They run in this process here, on a stand-in for a submission; test_grading.py has real ones.
"""

import contextlib
import inspect
import math
import re
import runpy

import pytest

from svae_helpers.checks import CheckResult, guard

from .submissions import FOLDER, cell_named, read_source, solution_of

SOURCE = read_source()
HIDDEN = runpy.run_path(str(FOLDER / "source" / "sparse_vae.py"))
TESTS = HIDDEN["TESTS"]
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
CELLS = {
    "log-prob": "task-1-tests",
    "antithetic-kl": "task-2-tests",
    "train-laplace": "task-3-tests",
    "prior-number": "task-3-tests",
    "mended-loss": "task-4-tests",
}


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A slow machine is no failure: training has as long as the grader gives it."""
    monkeypatch.setattr(guard, "SECONDS", 180.0)


class Here:
    """Stands in for a `Student`: a submission's names, in this process."""

    def __init__(self, *codes: str):
        self.names, self.kept, self.ready_made = {}, {}, False
        for code in codes:
            exec(code, self.names)

    def __getitem__(self, name):
        return self.names.get(name, lambda: ...)

    def value(self, name):
        thing = self[name]
        return ... if callable(thing) else thing

    def define(self, function, needs):
        exec(inspect.getsource(function), self.names)
        return self.names[function.__name__]

    def without(self, *paths):
        return contextlib.nullcontext()


def judged(solution: str, code: str, what: str, quick: bool = False) -> CheckResult:
    """The verdict of one part on an answer."""
    setup = (cell_named(SOURCE, name).source for name in ("setup", "faulty-loss"))
    student = Here(*setup, code)
    if quick:  # a few steps do where the prior is judged and not what was learned
        fit = student.names["fit"]
        student.names["fit"] = lambda model, images, **named: fit(model, images[:256], **named)
    ((_, _, check),) = [part for part in TESTS[CELLS[solution]] if part[1] == what]
    return check(student)


def edited(solution: str, *changes: str) -> str:
    code = solution_of(SOURCE, solution)
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in code, old
        code = code.replace(old, new)
    return code


LOGADDEXP = "torch.logaddexp(math.log(spike_prob) + log_spike, math.log(1 - spike_prob) + log_slab)"
HEAD = "def log_prob(z, spike_prob, spike_var, slab_scale):"
STD = "pairs.std(dim=0) / math.sqrt(num_pairs)"
DRAWS = "for z in (mu + sigma * epsilon, mu - sigma * epsilon):"
MISTAKES = {
    ("log-prob", "ordinary z"): [
        ("spike and slab swapped", "math.log(spike_prob)", "math.log(1-spike_prob)")
        + ("math.log(1 - spike_prob)", "math.log(spike_prob)"),
        (
            "spike_var used as a standard deviation",
            "    log_spike =",
            "    spike_var = spike_var**2\n    log_spike =",
        ),
        (
            "slab_scale taken for a variance",
            "    log_slab =",
            "    slab_scale = math.sqrt(slab_scale / 2)\n    log_slab =",
        ),
        (
            "slab_scale taken for a standard deviation",
            "    log_slab =",
            "    slab_scale = slab_scale / 2**0.5\n    log_slab =",
        ),
        (
            "slab_scale taken for a rate",
            "    log_slab =",
            "    slab_scale = 1 / slab_scale\n    log_slab =",
        ),
        (
            "Gaussian slab",
            "-z.abs() / slab_scale - math.log(2 * slab_scale)",
            "Normal(0.0, slab_scale).log_prob(z)",
        ),
        ("lost ½", "math.log(2 * slab_scale)", "math.log(slab_scale)"),
        ("weights forgotten", LOGADDEXP, "torch.logaddexp(log_spike, log_slab)"),
        (
            "sum of logs for log of sum",
            LOGADDEXP,
            "spike_prob * log_spike + (1 - spike_prob) * log_slab",
        ),
        ("logarithm forgotten", LOGADDEXP, LOGADDEXP + ".exp()"),
        ("latents summed", LOGADDEXP, LOGADDEXP + ".sum(-1)"),
    ],
    ("log-prob", "z far out"): [
        (
            "underflow in the tails",
            LOGADDEXP,
            "(spike_prob * log_spike.exp() + (1 - spike_prob) * log_slab.exp()).log()",
        ),
        (
            "underflow in the tails",
            LOGADDEXP,
            "(spike_prob * log_spike.exp() + (1 - spike_prob) * log_slab.exp() + 1e-30).log()",
        ),
        ("lost ½", "math.log(2 * slab_scale)", "math.log(slab_scale)"),
    ],
    ("log-prob", "gradients"): [
        ("gradients do not flow", "z**2", "z.detach()**2", "z.abs()", "z.detach().abs()"),
        ("wrong gradient", "z**2", "z.detach()**2"),
    ],
    ("antithetic-kl", "the estimate"): [
        ("estimate alone", ", pairs.std(dim=0) / math.sqrt(num_pairs)", ""),
        ("latents summed", "pairs.mean(dim=0), ", "pairs.mean(dim=0).sum(-1), "),
        ("wrong shape", "pairs.mean(dim=0), ", "pairs.mean(), "),
        (
            "independent draws",
            DRAWS,
            "for z in (mu + sigma * epsilon, mu + sigma * torch.randn_like(epsilon)):",
        ),
        ("half the pairs", "torch.randn(num_pairs,", "torch.randn(max(num_pairs // 2, 2),"),
        ("one draw a pair", "mu - sigma * epsilon", "", "total / 2", "total"),
        (
            "ε shared between images",
            "torch.randn(num_pairs, *mu.shape)",
            "torch.randn(num_pairs, 1, mu.shape[1]).expand(num_pairs, *mu.shape)",
        ),
        (
            "ε shared between latents",
            "torch.randn(num_pairs, *mu.shape)",
            "torch.randn(num_pairs, len(mu), 1).expand(num_pairs, *mu.shape)",
        ),
        (
            "ε shared between pairs",
            "torch.randn(num_pairs, *mu.shape)",
            "torch.randn_like(mu).expand(num_pairs, *mu.shape)",
        ),
        (
            "wrong width",
            DRAWS,
            "for z in (mu + sigma.sqrt() * epsilon, mu - sigma.sqrt() * epsilon):",
        ),
        ("uniform noise", "torch.randn(", "torch.rand("),
        (
            "another generator",
            "torch.randn(num_pairs, *mu.shape)",
            "torch.randn(num_pairs, *mu.shape, generator=OWN)",
            "def antithetic_kl(",
            "OWN = torch.Generator().manual_seed(5)\n\n\ndef antithetic_kl(",
        ),
        ("KL subtracted", "q.log_prob(z) - log_prior(z)", "log_prior(z) - q.log_prob(z)"),
        ("log q forgotten", "q.log_prob(z) - log_prior(z)", "- log_prior(z)"),
        ("pairs not averaged", "pairs.mean(dim=0), ", "pairs.sum(dim=0), "),
        ("the two of a pair added", "total / 2", "total"),
        (None, "- log_prior(z)", "- 1.3 * log_prior(z)"),
        ("log p forgotten", "- log_prior(z)", "- 0 * z"),  # it is never asked: no raw exception
    ],
    ("antithetic-kl", "its gradients"): [
        ("gradients do not flow", "pairs.mean(dim=0), ", "pairs.mean(dim=0).detach(), "),
        (
            "detached draws",
            "- log_prior(z)",
            "- log_prior(z.detach())",
            "q.log_prob(z)",
            "q.log_prob(z.detach())",
        ),
        ("log p detached", "- log_prior(z)", "- log_prior(z).detach()"),
        ("log q detached", "q.log_prob(z)", "q.log_prob(z).detach()"),
    ],
    ("antithetic-kl", "its standard error"): [
        ("spread for standard error", STD, "pairs.std(dim=0)"),
        ("draws taken for independent", STD, "draws.std(dim=0) / math.sqrt(len(draws))")
        + (
            "    total = 0.0",
            "    total, draws = 0.0, []",
            "    pairs = total / 2",
            "    draws = torch.cat(draws)\n    pairs = total / 2",
        )
        + (DRAWS, DRAWS + "\n        draws.append(q.log_prob(z) - log_prior(z))"),
        ("divided by the root of 2K", STD, "pairs.std(dim=0) / math.sqrt(2 * num_pairs)"),
        ("variance for standard error", STD, "pairs.var(dim=0) / num_pairs"),
        ("divided by K", STD, "pairs.std(dim=0) / num_pairs"),
        ("K for K − 1", STD, "pairs.std(dim=0, unbiased=False) / math.sqrt(num_pairs)"),
        (None, STD, "1.5 * pairs.std(dim=0) / math.sqrt(num_pairs)"),
    ],
    ("train-laplace", "active latents"): [
        ("threshold at 0", "model.prior.slab_responsibility(mu) > 0.5", "mu != 0"),
        ("inactive counted", "(mu) > 0.5", "(mu) < 0.5"),
        ("expected count", "(mu) > 0.5", "(mu)"),
        (
            "Gaussian crossover",
            "model.prior.slab_responsibility(mu) > 0.5",
            "mu.abs() > SpikeAndSlab.gaussian(float(model.prior.spike_prob), "
            "model.prior.spike.variance, model.prior.slab.variance).crossover",
        ),
        ("counted over images", ".sum(dim=1)", ".sum(dim=0)"),
        ("averaged over images", ".sum(dim=1)", ".sum(dim=1).float().mean()"),
        ("fraction for count", ".sum(dim=1)", ".float().mean(dim=1)"),
        ("latents not summed", ".sum(dim=1)", ""),
    ],
    ("train-laplace", "the prior"): [
        ("spike_prob", "slab, 0.8)", "slab, 0.2)"),
        ("variance of the spike", "math.sqrt(0.05)", "0.05"),
        ("variance of the slab", "math.sqrt(0.5)", "1.0"),
        ("slab", "Laplace(0.0, math.sqrt(0.5))", "Normal(0.0, 1.0)"),
        ("prior", "prior=SpikeAndSlab(spike, slab, 0.8)", "prior=slab"),
        ("model", "return model", "return model.prior"),
        ("model", "return model", ""),
        ("an exception", "fit(model,", "fit(model, nothing,"),
    ],
    ("train-laplace", "training"): [
        ("size", "VAE(16,", "VAE(20,"),
        ("training", "epochs=5", "epochs=1"),
    ],
    ("train-laplace", "the seed"): [
        ("seed ignored", "seed_everything(seed)", "seed_everything(0)", "seed=seed", "seed=0"),
        ("seed", "    seed_everything(seed)\n", ""),
    ],
    ("prior-number", "the prior's own number"): [
        ("slab latents", "float(16 *", "3.2 + 0 * float(16 *"),
        ("spike latents forgotten", "0.8 * beyond[0] + ", ""),
        ("one latent's", "float(16 *", "float("),
        ("too low", "0.2 * beyond[1]", "0.05 * beyond[1]"),
        ("wrong type", "prior_active = float(", "prior_active = str("),
    ],
    ("mended-loss", "batch"): [
        (
            "left in: batch",
            "(entries.sum(dim=-1) + (log_q - log_p).sum(dim=-1)).mean()",
            "entries.sum() + (log_q - log_p).sum(dim=-1).mean()",
        ),
        ("mean over pixels", "entries.sum(dim=-1)", "entries.mean(dim=-1)"),
        ("wrong shape", ").sum(dim=-1)).mean()", ").sum(dim=-1))"),
    ],
    ("mended-loss", "posterior"): [
        ("left in: posterior", "(0.5 * log_var).exp()", "log_var.exp()")
    ],
    ("mended-loss", "spike"): [
        ("left in: spike", "math.sqrt(spike_var)", "spike_var"),
        (
            "left in: spike, detached",
            "Normal(0.0, math.sqrt(spike_var)).log_prob(z)",
            "Normal(0.0, spike_var).log_prob(z.detach())",
            "Normal(0.0, 1.0).log_prob(z)",
            "Normal(0.0, 1.0).log_prob(z.detach())",
        ),
    ],
    ("mended-loss", "detached"): [
        (
            "left in: detached",
            "math.sqrt(spike_var)).log_prob(z)",
            "math.sqrt(spike_var)).log_prob(z.detach())",
            "Normal(0.0, 1.0).log_prob(z)",
            "Normal(0.0, 1.0).log_prob(z.detach())",
        ),
    ],
}
CASES = [(*part, *case) for part, cases in MISTAKES.items() for case in cases]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}: {case[2]}")
def test_a_mistake_is_named(case):
    solution, what, name, *changes = case
    quick = what in ("the prior", "the seed")
    result = judged(solution, edited(solution, *changes), what, quick)
    assert result.status == "failed" and result.misconception == name, result.message
    raw = r"expected a non-empty list|Traceback|NoneType|could not be judged"
    assert not re.search(raw, result.message), result.message


def test_the_faults_of_task_4_are_credited_one_by_one():
    code = edited("mended-loss", "math.sqrt(spike_var)", "spike_var")
    for fault in ("batch", "posterior", "detached"):
        assert judged("mended-loss", code, fault)
    assert not judged("mended-loss", code, "spike")
    faulty = cell_named(SOURCE, "faulty-loss").source.replace("faulty_loss", "mended_loss")
    assert not any(judged("mended-loss", faulty, fault) for fault in HIDDEN["FAULTS"])


def test_what_is_solved_of_a_task_counts():
    naive = "(spike_prob * log_spike.exp() + (1 - spike_prob) * log_slab.exp()).log()"
    code = edited("log-prob", LOGADDEXP, naive)
    assert [bool(judged("log-prob", code, what)) for _, what, _ in TESTS["task-1-tests"]] == [
        True,
        False,
        True,
    ]
    code = edited("antithetic-kl", STD, "pairs.std(dim=0)")
    assert judged("antithetic-kl", code, "its gradients")


RIGHT = {
    "log-prob": """
def log_prob(z, *, spike_prob, spike_var, slab_scale):
    spike = Normal(0.0, spike_var**0.5).log_prob(z) + torch.log(torch.tensor(spike_prob))
    slab = Laplace(0.0, slab_scale).log_prob(z) + torch.log1p(torch.tensor(-spike_prob))
    return torch.logsumexp(torch.stack([spike, slab]), dim=0)
""",
    "antithetic-kl": """
def antithetic_kl(mu, sigma, log_prior, num_pairs):
    q, half = Normal(mu, sigma), torch.randn(num_pairs, *mu.shape)
    z = mu + sigma * torch.stack([half, -half], dim=1)
    pairs = (q.log_prob(z) - log_prior(z)).mean(dim=1)
    error = (pairs.var(dim=0, unbiased=False) / (num_pairs - 1)).sqrt()
    return [pairs.mean(dim=0), error.detach()]
""",
    "train-laplace": """
def train_laplace_vae(images, seed):
    seed_everything(seed)
    prior = SpikeAndSlab(Normal(torch.zeros(16), 0.05**0.5), Laplace(0.0, 2**-0.5), 0.8)
    model = VAE(latent_dim=16, hidden_dim=200, prior=prior)
    fit(model, images, epochs=5, seed=seed, progress=False)
    return model


def active_latents(model, images):
    with torch.no_grad():
        mu = model.encode(images).mean
    return torch.stack([(model.prior.slab_responsibility(m) > 0.5).sum() for m in mu])
""",
    "prior-number": """
draws = SpikeAndSlab(Normal(0.0, 0.05**0.5), Laplace(0.0, 0.5**0.5), 0.8).sample((50_000, 16))
on = SpikeAndSlab(Normal(0.0, 0.05**0.5), Laplace(0.0, 0.5**0.5), 0.8).slab_responsibility(draws)
prior_active = (on > 0.5).sum(dim=1).float().mean()
""",
    "mended-loss": """
def mended_loss(logits, x, mu, log_var, z, spike_prob, spike_var):
    sizes = len(x)
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / sizes
    log_q = Normal(mu, torch.sqrt(log_var.exp())).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    return bce + (log_q - log_p).sum() / sizes
""",
}


@pytest.mark.parametrize("solution", RIGHT)
def test_other_right_answers_pass(solution):
    for _, what, _ in TESTS[CELLS[solution]]:
        if (what == "the prior's own number") == (solution == "prior-number"):
            judged(solution, RIGHT[solution], what).require()


@pytest.mark.parametrize("solution", CELLS)
def test_the_solutions_pass_for_many_seeds(solution):
    """False alarms are below 1e-6 a check; these seeds would show one of 50%."""
    import torch

    cheap = {"log-prob": TESTS["task-1-tests"], "mended-loss": TESTS["task-4-tests"][:1]}
    parts = cheap.get(solution, TESTS[CELLS[solution]])
    trained = {"training", "the seed", "the prior"}
    for what in {part[1] for part in parts} - trained:
        for seed in range(5 if solution == "antithetic-kl" else 12):
            if (what == "the prior's own number") == (solution == "prior-number"):
                torch.manual_seed(seed)
                judged(solution, solution_of(SOURCE, solution), what).require()


def test_the_prior_has_the_number_that_is_asked_for():
    """Against draws: 400,000 of 16 latents, whose standard error is 0.002."""
    import torch

    HEAVY, asked = HIDDEN["HEAVY"], HIDDEN["prior_active"].right()
    torch.manual_seed(1)
    draws = HEAVY.sample((400_000, 16))
    found = float((HEAVY.slab_responsibility(draws) > 0.5).sum(1).double().mean())
    assert math.isclose(found, asked, abs_tol=0.012)


def random_mistakes():
    for part in ("ESTIMATE", "GRADIENTS", "ERROR"):
        for mistake, wrong in HIDDEN[part].catalogue():
            yield pytest.param(part, mistake.name, wrong, id=f"{part}: {mistake.name}")


@pytest.mark.parametrize(("part", "name", "wrong"), list(random_mistakes()))
def test_every_random_mistake_fails_its_part_and_gets_its_own_name(part, name, wrong):
    assert HIDDEN[part](wrong).misconception == name


def known() -> dict[tuple[int, str], str]:
    """Every mistake of the hidden tests, with what is said about it."""
    found = {(1, m.name): m.explanation for m in HIDDEN["DENSITY_MISTAKES"]}
    for name in ("ESTIMATE", "GRADIENTS", "ERROR"):
        found |= {(2, m.name): m.explanation for m in HIDDEN[name].known}
    for name in ("active_latents", "prior_active"):
        found |= {(3, m.name): m.explanation for m in HIDDEN[name].known}
    for name in ("laplace_prior", "training", "seeds"):
        found |= {(3, mistake): words for mistake, words in HIDDEN[name].texts.items()}
    return found | {(4, f"left in: {fault}"): words for fault, words in HIDDEN["FAULTS"].items()}


def test_the_page_lists_every_mistake():
    for task, name in known():
        assert re.search(rf"^\| {task} \| {re.escape(name)} \|", PAGE, re.M), name


def test_every_mistake_on_the_page_is_known():
    rows = re.findall(r"^\| ([1-4]) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.M)
    assert len(rows) == len(known()) >= 40
    for task, name, words in rows:
        assert known()[int(task), name].replace("|", "\\|") == words, name
