"""Formulas and losses of students who had not seen a check, in their own words."""

import math

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Normal

from svae_helpers import SpikeAndSlab

from .unseen import ONE_PLACE, RIGHT, UNNAMED, answer

# --- 1.2


@answer("log_marginal", RIGHT)
def by_way_of_log_softmax(log_joint, log_q):
    w = log_joint - log_q
    return w[0] - F.log_softmax(w, dim=0)[0] - math.log(w.size(0))


@answer("log_marginal", RIGHT)
def running_logaddexp(log_joint, log_q):
    total = None
    for a, b in zip(log_joint, log_q):
        total = a - b if total is None else torch.logaddexp(total, a - b)
    return total - torch.tensor(float(len(log_q))).log()


@answer("log_marginal", RIGHT)
def own_maximum_detached(log_joint, log_q):
    w = log_joint - log_q
    top = w.detach().amax(0)
    return torch.log(torch.mean(torch.exp(w - top), 0)) + top


@answer("log_marginal", "shifted by another than the largest")
def shift_by_the_mean(log_joint, log_q):
    lw = log_joint - log_q
    m = lw.mean(0)
    return m + (lw - m).exp().mean(0).log()


@answer("log_marginal", "shifted by another than the largest")
def shift_by_the_first_sample(log_joint, log_q):
    lw = log_joint - log_q
    return lw[0] + (lw - lw[0]).exp().mean(0).log()


@answer("log_marginal", ONE_PLACE)
def subtracts_log_b_instead_of_log_k(log_joint, log_q):
    log_weights = log_joint - log_q
    return torch.logsumexp(log_weights, dim=0) - math.log(log_weights.shape[-1])


@answer("log_marginal", "divided by K outside the logarithm")
def divides_the_logarithm_by_k(log_joint, log_q):
    log_weights = log_joint - log_q
    return torch.logsumexp(log_weights, dim=0) / log_weights.shape[0]


@answer("log_marginal", "ratio of sums")
def ratio_of_the_means_not_the_mean(log_joint, log_q):
    return torch.logsumexp(log_joint, dim=0) - torch.logsumexp(log_q, dim=0)


@answer("log_marginal", "maximum of the whole batch")
def one_maximum_for_the_whole_batch(log_joint, log_q):
    log_w = log_joint - log_q
    top = log_w.max()
    return top + (log_w - top).exp().mean(dim=0).log()


@answer("log_marginal", "maximum not added back")
def maximum_subtracted_and_never_added_back(log_joint, log_q):
    log_w = log_joint - log_q
    top = log_w.max(dim=0, keepdim=True).values
    return (log_w - top).exp().mean(dim=0).log()


@answer("log_marginal", "self-normalised weights")
def self_normalised_average_of_the_log_weights(log_joint, log_q):
    log_w = log_joint - log_q
    return (torch.softmax(log_w, dim=0) * log_w).sum(dim=0)


@answer("log_marginal", "detached log_q")
def log_q_detached(log_joint, log_q):
    log_w = log_joint - log_q.detach()
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


@answer("log_marginal", "arguments swapped, and sign")
def harmonic_mean_of_the_weights(log_joint, log_q):
    inverse = log_q - log_joint
    return -(torch.logsumexp(inverse, dim=0) - math.log(len(inverse)))


@answer("log_marginal", "underflow")
def clamped_then_plain(log_joint, log_q):
    log_w = (log_joint - log_q).clamp(min=-80)
    return log_w.exp().mean(dim=0).log()


@answer("log_marginal", ONE_PLACE)
def divides_by_k_b_numel(log_joint, log_q):
    lw = log_joint - log_q
    return torch.logsumexp(lw, 0) - math.log(lw.numel())


@answer("log_marginal", "batch averaged")
def right_then_averaged_over_images(log_joint, log_q):
    lw = log_joint - log_q
    return (torch.logsumexp(lw, 0) - math.log(len(lw))).mean()


@answer("log_marginal", "largest weight only")
def largest_weight_only(log_joint, log_q):
    lw = log_joint - log_q
    return lw.max(dim=0).values - math.log(len(lw))


@answer("log_marginal", "log_q averaged apart")
def log_q_averaged_apart(log_joint, log_q):
    return torch.logsumexp(log_joint, 0) - math.log(len(log_q)) - log_q.mean(0)


@answer("log_marginal", ONE_PLACE)
def rounded(log_joint, log_q):
    lw = log_joint - log_q
    return (torch.logsumexp(lw, 0) - math.log(len(lw))).round()


@answer("log_marginal", "NaN")
def log_of_minus_the_mean(log_joint, log_q):
    lw = log_joint - log_q
    return -torch.log(-lw.mean(0))


@answer("log_marginal", UNNAMED)
def fixed_shift_of_1000_nats(log_joint, log_q):
    lw = log_joint - log_q
    return (lw + 1000).exp().mean(0).log() - 1000


@answer("log_marginal", "underflow")
def naive_in_float64(log_joint, log_q):
    lw = (log_joint - log_q).double()
    return lw.exp().mean(0).log().to(log_q.dtype)


@answer("log_marginal", "shifted by another than the largest")
def own_max_trick_gradient_through_max(log_joint, log_q):
    lw = log_joint - log_q
    m = lw.min(0).values
    return m + (lw - m).exp().mean(0).log()


# --- 1.3


@answer("elbo", RIGHT)
def matrix_product_with_weights_1_k(log_joint, log_q):
    K = log_joint.shape[0]
    return log_joint.new_full((K,), 1 / K) @ (log_joint - log_q)


@answer("elbo", RIGHT)
def vmap_over_images(log_joint, log_q):
    return torch.vmap(lambda a, b: a.mean() - b.mean(), in_dims=1)(log_joint, log_q)


@answer("elbo", RIGHT)
def running_mean(log_joint, log_q):
    running = torch.zeros_like(log_q[0])
    for k in range(len(log_q)):
        running = running + (log_joint[k] - log_q[k] - running) / (k + 1)
    return running


@answer("elbo", "right for ordinary numbers only")
def guarded_by_1e_30(log_joint, log_q):
    return ((log_joint - log_q).exp() + 1e-30).log().mean(0)


@answer("elbo", "weighted by q again")
def weighs_with_q_again(log_joint, log_q):
    return (log_q.exp() * (log_joint - log_q)).mean(dim=0)


@answer("elbo", ONE_PLACE)
def divides_by_k_1(log_joint, log_q):
    return (log_joint - log_q).sum(dim=0) / (len(log_joint) - 1)


@answer("elbo", "log q with the wrong sign")
def log_q_added(log_joint, log_q):
    return (log_joint + log_q).mean(dim=0)


@answer("elbo", "gradients do not flow")
def log_q_under_no_grad(log_joint, log_q):
    with torch.no_grad():
        entropy = -log_q.mean(dim=0)
    return log_joint.mean(dim=0) + entropy


@answer("elbo", "median for mean")
def median_in_place_of_mean(log_joint, log_q):
    return (log_joint - log_q).median(dim=0).values


@answer("elbo", "wrong axis")
def mean_over_images_last_axis(log_joint, log_q):
    return (log_joint - log_q).mean(dim=-1)


@answer("elbo", "logarithms divided")
def quotient_of_the_logs(log_joint, log_q):
    return (log_joint / log_q).mean(dim=0)


@answer("elbo", "self-normalised weights")
def self_normalised_importance_weights(log_joint, log_q):
    log_w = log_joint - log_q
    return (torch.softmax(log_w.detach(), dim=0) * log_w).sum(dim=0)


@answer("elbo", "log_q averaged apart")
def log_of_a_mean_for_each_part(log_joint, log_q):
    K = len(log_q)
    return torch.logsumexp(log_joint, 0) - math.log(K) - log_q.mean(0)


@answer("elbo", "weighted by q again")
def f_kl_div_which_weighs(log_joint, log_q):
    return -F.kl_div(log_joint, log_q, reduction="none", log_target=True).mean(0)


@answer("elbo", ONE_PLACE)
def in_bits(log_joint, log_q):
    lw = log_joint - log_q
    return lw.mean(0) / math.log(2)


@answer("elbo", ONE_PLACE)
def minus_log_k_too(log_joint, log_q):
    lw = log_joint - log_q
    return lw.mean(0) - math.log(len(lw))


@answer("elbo", "log of mean for mean of logs")
def logarithm_of_the_mean(log_joint, log_q):
    lw = log_joint - log_q
    return lw.exp().mean(0).log()


@answer("elbo", ONE_PLACE)
def positive_terms_clamped_away(log_joint, log_q):
    lw = log_joint - log_q
    return lw.clamp(max=0).mean(0)


@answer("elbo", "log p(x, z) forgotten")
def entropy_only_log_q(log_joint, log_q):
    return -log_q.mean(0)


@answer("elbo", "largest weight only")
def best_of_k(log_joint, log_q):
    lw = log_joint - log_q
    return lw.amax(0)


@answer("elbo", "log of mean for mean of logs")
def exercise_1_2_with_logsumexp(log_joint, log_q):
    lw = log_joint - log_q
    return torch.logsumexp(lw, 0) - math.log(len(lw))


@answer("elbo", ONE_PLACE)
def squeeze(log_joint, log_q):
    return (log_joint - log_q).mean(0, keepdim=True).squeeze()


@answer("elbo", ONE_PLACE)
def clamped_at_minus_1500(log_joint, log_q):
    return (log_joint - log_q).clamp(min=-1500).mean(0)


# --- 3.1


@answer("bernoulli_log_likelihood", RIGHT)
def logsigmoid_of_the_signed_logit(logits, x):
    return F.logsigmoid((2 * x - 1) * logits).sum(-1)


@answer("bernoulli_log_likelihood", RIGHT)
def two_class_log_softmax(logits, x):
    both = F.log_softmax(torch.stack([torch.zeros_like(logits), logits], dim=-1), dim=-1)
    return both.gather(-1, x.long()[..., None]).squeeze(-1).sum(1)


@answer("bernoulli_log_likelihood", RIGHT)
def logaddexp_and_a_matrix_product(logits, x):
    return torch.einsum("bp,bp->b", x, logits) - torch.logaddexp(logits, logits.new_zeros(())).sum(
        1
    )


@answer("bernoulli_log_likelihood", "softplus with the wrong sign")
def softplus_without_absolute_value(logits, x):
    sp = logits.clamp(min=0) + torch.log1p(torch.exp(-logits))
    return (x * logits - sp).sum(-1)


@answer("bernoulli_log_likelihood", "overflow")
def log_1_exp_overflows(logits, x):
    return (x * logits - torch.log(1 + torch.exp(logits))).sum(dim=-1)


@answer("bernoulli_log_likelihood", "softplus with the wrong sign")
def softplus_of_the_wrong_sign(logits, x):
    return (x * logits - F.softplus(-logits)).sum(dim=-1)


@answer("bernoulli_log_likelihood", "black pixels forgotten")
def only_the_white_pixels_count(logits, x):
    return (x * F.logsigmoid(logits)).sum(dim=-1)


@answer("bernoulli_log_likelihood", "clamped logits")
def logits_clamped_to_10(logits, x):
    return -F.binary_cross_entropy_with_logits(logits.clamp(-10, 10), x, reduction="none").sum(-1)


@answer("bernoulli_log_likelihood", "logits and pixels swapped")
def arguments_of_the_cross_entropy_swapped(logits, x):
    return -F.binary_cross_entropy_with_logits(x, logits, reduction="none").sum(dim=-1)


@answer("bernoulli_log_likelihood", "sigmoid twice")
def sigmoid_taken_twice(logits, x):
    y = torch.sigmoid(logits)
    return -F.binary_cross_entropy_with_logits(y, x, reduction="none").sum(dim=-1)


@answer("bernoulli_log_likelihood", "squared error")
def squared_error_gaussian(logits, x):
    return -0.5 * (x - torch.sigmoid(logits)).square().sum(dim=-1)


@answer("bernoulli_log_likelihood", "clamped probabilities")
def bernoulli_of_probabilities(logits, x):
    return Bernoulli(probs=torch.sigmoid(logits)).log_prob(x).sum(dim=-1)


@answer("bernoulli_log_likelihood", "sign, and mean over pixels")
def two_mistakes_mean_over_pixels(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").mean(dim=1)


@answer("bernoulli_log_likelihood", "1 − log for log(1 − …)")
def at_1_log_sigma_for_log_1_sigma(logits, x):
    y = F.logsigmoid(logits)
    return (x * y + (1 - x) * (1 - y)).sum(-1)


@answer("bernoulli_log_likelihood", "batch averaged")
def sum_over_everything_divided_by_b(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


@answer("bernoulli_log_likelihood", "targets flipped")
def x_inverted(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, 1 - x, reduction="none").sum(-1)


@answer("bernoulli_log_likelihood", "softmax over the pixels")
def softmax_over_pixels(logits, x):
    y = torch.log_softmax(logits, -1)
    return (x * y).sum(-1)


@answer("bernoulli_log_likelihood", "softmax over the pixels")
def f_cross_entropy(logits, x):
    return -F.cross_entropy(logits, x, reduction="none")


@answer("bernoulli_log_likelihood", "overflow")
def log1p_exp_overflow(logits, x):
    return (x * logits - torch.log1p(logits.exp())).sum(-1)


@answer("bernoulli_log_likelihood", "clamped probabilities")
def probabilities_clamped_at_1e_6(logits, x):
    y = torch.sigmoid(logits).clamp(1e-6, 1 - 1e-6)
    return (x * y.log() + (1 - x) * (1 - y).log()).sum(-1)


@answer("bernoulli_log_likelihood", "tanh for sigmoid")
def tanh(logits, x):
    y = (torch.tanh(logits) + 1) / 2
    return -F.binary_cross_entropy(y, x, reduction="none").sum(-1)


@answer("bernoulli_log_likelihood", ONE_PLACE)
def softplus_with_threshold_2(logits, x):
    return (x * logits - F.softplus(logits, threshold=2)).sum(-1)


@answer("bernoulli_log_likelihood", ONE_PLACE)
def result_clamped_at_100(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1).clamp(max=100)


@answer("bernoulli_log_likelihood", "x·logit alone")
def softplus_forgotten(logits, x):
    return (x * logits).sum(-1)


@answer("bernoulli_log_likelihood", "wrong axis")
def sum_over_images(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(0)


@answer("bernoulli_log_likelihood", ONE_PLACE)
def squeeze_b_1_gives(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1).squeeze()


@answer("bernoulli_log_likelihood", "far-out logits")
def probabilities_in_float64(logits, x):
    y = torch.sigmoid(logits.double())
    return (torch.xlogy(x, y) + torch.xlogy(1 - x, 1 - y)).sum(-1).float()


@answer("bernoulli_log_likelihood", "far-out logits")
def overflow_hidden_by_where(logits, x):
    r = x * logits - torch.log1p(torch.exp(logits))
    return torch.where(logits > 30, (x - 1) * logits, r).sum(-1)


# --- 3.2


@answer("gaussian_kl", RIGHT)
def expm1(mu, log_var):
    return (torch.expm1(log_var) - log_var + mu * mu).sum(1).div(2)


@answer("gaussian_kl", RIGHT)
def multivariatenormal_pair(mu, log_var):
    MVN = torch.distributions.MultivariateNormal
    eye = torch.eye(mu.shape[-1], dtype=mu.dtype)
    return torch.distributions.kl_divergence(
        MVN(mu, torch.diag_embed(log_var.exp())), MVN(torch.zeros_like(mu), eye)
    )


@answer("gaussian_kl", RIGHT)
def cross_entropy_minus_entropy(mu, log_var):
    q = torch.distributions.Independent(Normal(mu, (log_var / 2).exp()), 1)
    cross = 0.5 * (math.log(2 * math.pi) + mu**2 + log_var.exp())
    return torch.einsum("bd->b", cross) - q.entropy()


@answer("gaussian_kl", "batch summed")
def summed_over_everything(mu, log_var):
    return -0.5 * (1 + log_var - mu**2 - log_var.exp()).sum()


@answer("gaussian_kl", "log σ² counted twice")
def half_lost_on_the_log_only(mu, log_var):
    return (0.5 * (mu.square() + log_var.exp() - 1) - log_var).sum(dim=-1)


@answer("gaussian_kl", "KL the wrong way round")
def kl_the_wrong_way_round(mu, log_var):
    q = Normal(mu, torch.exp(0.5 * log_var))
    return torch.distributions.kl_divergence(
        Normal(torch.zeros_like(mu), torch.ones_like(mu)), q
    ).sum(-1)


@answer("gaussian_kl", "log_var taken for log σ")
def normal_gets_the_variance(mu, log_var):
    q = Normal(mu, log_var.exp())
    return torch.distributions.kl_divergence(q, Normal(0.0, 1.0)).sum(-1)


@answer("gaussian_kl", "−1 once for all")
def the_1_subtracted_once(mu, log_var):
    return 0.5 * ((mu**2 + log_var.exp() - log_var).sum(-1) - 1)


@answer("gaussian_kl", "square of the sum")
def square_of_the_sum(mu, log_var):
    return 0.5 * (mu.sum(-1) ** 2 + (log_var.exp() - 1 - log_var).sum(-1))


@answer("gaussian_kl", "random where nothing is")
def one_sample_monte_carlo_estimate(mu, log_var):
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample()
    return (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(-1)


@answer("gaussian_kl", "σ² with the wrong sign")
def misremembered_bracket_plus_sigma2(mu, log_var):
    return -0.5 * torch.sum(1 + log_var - mu.pow(2) + log_var.exp(), dim=1)


@answer("gaussian_kl", "μ not squared")
def norm_of_mu_without_the_square(mu, log_var):
    return 0.5 * (mu.norm(dim=-1) + (log_var.exp() - 1 - log_var).sum(-1))


@answer("gaussian_kl", "log_var taken for log σ, and mean over latents")
def two_mistakes_log_var_as_log_sigma(mu, log_var):
    return 0.5 * (mu.square() + torch.exp(2 * log_var) - 1 - 2 * log_var).mean(dim=-1)


@answer("gaussian_kl", "σ², −1, log σ² counted twice")
def half_on_mu_only(mu, log_var):
    return (0.5 * mu**2 + log_var.exp() - 1 - log_var).sum(-1)


@answer("gaussian_kl", ONE_PLACE)
def log_of_log_var(mu, log_var):
    return 0.5 * (mu**2 + log_var.exp() - 1 - torch.log(log_var)).sum(-1)


@answer("gaussian_kl", "latents not summed")
def kl_per_latent_no_sum(mu, log_var):
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var)


@answer("gaussian_kl", "σ² detached")
def detached_sigma(mu, log_var):
    return 0.5 * (mu**2 + log_var.exp().detach() - 1 - log_var).sum(-1)


@answer("gaussian_kl", "σ where σ² belongs")
def sigma_in_place_of_sigma2(mu, log_var):
    return 0.5 * (mu**2 + (0.5 * log_var).exp() - 1 - log_var).sum(-1)


@answer("gaussian_kl", "free bits")
def free_bits_each_latent_at_least(mu, log_var):
    return (0.5 * (mu**2 + log_var.exp() - 1 - log_var)).clamp(min=0.1).sum(-1)


@answer("gaussian_kl", "μ² divided by σ²")
def mu2_divided_by_sigma2(mu, log_var):
    return 0.5 * (mu**2 / log_var.exp() + log_var.exp() - 1 - log_var).sum(-1)


@answer("gaussian_kl", "clamped log_var")
def log_var_clamped_to_4(mu, log_var):
    lv = log_var.clamp(-4, 4)
    return 0.5 * (mu**2 + lv.exp() - 1 - lv).sum(-1)


@answer("gaussian_kl", "entropy forgotten")
def entropy_forgotten(mu, log_var):
    return 0.5 * (math.log(2 * math.pi) + mu**2 + log_var.exp()).sum(-1)


@answer("gaussian_kl", "−1 forgotten")
def at_1_missing(mu, log_var):
    return 0.5 * (mu**2 + log_var.exp() - log_var).sum(-1)


@answer("gaussian_kl", "log σ² counted twice")
def log_variance_twice(mu, log_var):
    return 0.5 * (mu**2 + log_var.exp() - 1 - 2 * log_var).sum(-1)


@answer("gaussian_kl", UNNAMED)
def mu_1_2_slip_1(mu, log_var):
    return 0.5 * ((mu - 1) ** 2 + log_var.exp() - log_var).sum(-1)


@answer("gaussian_kl", RIGHT)
def log_var_clamp_at_10(mu, log_var):
    lv = log_var.clamp(-10, 10)
    return 0.5 * (mu**2 + lv.exp() - 1 - lv).sum(-1)


@answer("gaussian_kl", "nearly right")
def at_1e_4_in_sigma2(mu, log_var):
    return 0.5 * (mu**2 + log_var.exp() + 1e-4 - 1 - (log_var.exp() + 1e-4).log()).sum(-1)


@answer("gaussian_kl", RIGHT)
def relu_per_latent(mu, log_var):
    return F.relu(0.5 * (mu**2 + log_var.exp() - 1 - log_var)).sum(-1)


@answer("gaussian_kl", "in-place change")
def exponentiates_in_place(mu, log_var):
    var = log_var.exp_()
    return 0.5 * (mu**2 + var - 1 - log_var).sum(dim=-1)


# --- 3.3


@answer("vae_loss", RIGHT)
def broadcast_whose_mean_is_right(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1, keepdim=True)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)
    return (bce + kl).mean()


@answer("vae_loss", RIGHT)
def means_rescaled_to_sums(logits, x, mu, log_var):
    P, D = x.shape[1], mu.shape[1]
    kl = -0.5 * (1 + log_var - mu.pow(2) - log_var.exp()).mean()
    return P * F.binary_cross_entropy_with_logits(logits, x) + D * kl


@answer("vae_loss", RIGHT)
def distributions(logits, x, mu, log_var):
    p_x = torch.distributions.Independent(Bernoulli(logits=logits), 1)
    q = torch.distributions.Independent(Normal(mu, log_var.mul(0.5).exp()), 1)
    p = torch.distributions.Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    return torch.distributions.kl_divergence(q, p).sub(p_x.log_prob(x)).sum() / x.size(0)


@answer("vae_loss", "mean over everything")
def both_by_pytorch_s_default_mean(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x)
    kl = 0.5 * torch.mean(mu**2 + log_var.exp() - 1 - log_var)
    return bce + kl


@answer("vae_loss", "batch summed in one term")
def kl_summed_over_the_whole_batch(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1).mean()
    kl = 0.5 * torch.sum(mu**2 + log_var.exp() - 1 - log_var)
    return bce + kl


@answer("vae_loss", "KL with the wrong sign")
def kl_subtracted(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)
    return (bce - kl).mean()


@answer("vae_loss", "divided by P for B")
def divided_by_p_instead_of_b(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum()
    return (bce + kl) / x.shape[1]


@answer("vae_loss", "clamped probabilities")
def sigmoid_then_binary_cross_entropy_clamped(logits, x, mu, log_var):
    bce = F.binary_cross_entropy(torch.sigmoid(logits), x, reduction="sum")
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum()
    return (bce + kl) / len(x)


@answer("vae_loss", "lost ½")
def kl_without_the_half(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = (mu**2 + log_var.exp() - 1 - log_var).sum(-1)
    return (bce + kl).mean()


@answer("vae_loss", "log σ² forgotten")
def forgotten_log_term_sigma_free_to_shrink(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1).sum(-1)
    return (bce + kl).mean()


@answer("vae_loss", "squared error")
def mean_squared_error_for_reconstruction(logits, x, mu, log_var):
    rec = F.mse_loss(torch.sigmoid(logits), x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)
    return (rec + kl).mean()


@answer("vae_loss", "log_var taken for log σ, and sign")
def two_mistakes_returns_the_elbo(logits, x, mu, log_var):
    ll = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + (2 * log_var).exp() - 1 - 2 * log_var).sum(-1)
    return (ll - kl).mean()


@answer("vae_loss", "mean over latents")
def kl_mean_over_latents(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (bce + kl.mean(-1)).mean()


@answer("vae_loss", "KL detached")
def kl_without_gradient(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return bce.mean() + kl.sum(-1).mean().item()


@answer("vae_loss", "divided by D for B")
def divides_by_d(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (bce.sum() + kl.sum()) / mu.shape[1]


@answer("vae_loss", "KL counted twice, and mean over pixels")
def kl_lost_half_and_pixels_averaged(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (bce / x.shape[1] + 2 * kl.sum(-1)).mean()


@answer("vae_loss", "batch summed")
def sum_over_the_batch(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (bce + kl.sum(-1)).sum()


@answer("vae_loss", "divided by B twice")
def divided_by_b_twice(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return ((bce + kl.sum(-1)) / len(x)).mean()


@answer("vae_loss", "KL divided by P")
def kl_divided_by_the_number_of_pixels(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (bce + kl.sum(-1) / x.shape[1]).mean()


@answer("vae_loss", "median for mean")
def median_over_the_batch(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (bce + kl.sum(-1)).median()


@answer("vae_loss", "free bits")
def free_bits_of_0_5_per_latent(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (bce + kl.clamp(min=0.5).sum(-1)).mean()


@answer("vae_loss", "overflow")
def log_of_1_plus_exp(logits, x, mu, log_var):
    bce = (torch.log(1 + logits.exp()) - x * logits).sum(-1)
    return (bce + 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)).mean()


@answer("vae_loss", "cross-entropy with the wrong sign")
def likelihood_taken_for_its_minus(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return (kl.sum(-1) - bce).mean()


@answer("vae_loss", "batch not averaged")
def returns_per_image_losses(logits, x, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var)
    return bce + kl.sum(-1)


# --- 6.1


@answer("sparse_vae_loss", RIGHT)
def by_hand_all_formulas_written_out(logits, x, mu, log_var, z, spike_prob, spike_var):
    rec = F.softplus(logits) - x * logits
    log_q = -0.5 * (log_var + (z - mu) ** 2 * torch.exp(-log_var))
    slab = math.log1p(-spike_prob) - 0.5 * z**2
    log_p = slab + F.softplus(
        math.log(spike_prob) - 0.5 * math.log(spike_var) - z**2 / (2 * spike_var) - slab
    )
    return (rec.sum() + (log_q - log_p).sum()) / x.shape[0]


@answer("sparse_vae_loss", RIGHT)
def sparse_vae_loss_distributions(logits, x, mu, log_var, z, spike_prob, spike_var):
    mix = torch.distributions.Categorical(torch.tensor([spike_prob, 1 - spike_prob], dtype=z.dtype))
    parts = Normal(
        torch.zeros(2, dtype=z.dtype), torch.tensor([spike_var, 1.0], dtype=z.dtype).sqrt()
    )
    prior = torch.distributions.Independent(
        torch.distributions.MixtureSameFamily(mix, parts).expand(z.shape), 1
    )
    q = torch.distributions.Independent(Normal(mu, log_var.exp().sqrt()), 1)
    like = torch.distributions.Independent(Bernoulli(logits=logits), 1)
    return -(like.log_prob(x) + prior.log_prob(z) - q.log_prob(z)).mean()


@answer("sparse_vae_loss", RIGHT)
def means_times_counts(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x) * x.shape[-1]
    d = Normal(mu, torch.exp(log_var / 2)).log_prob(z) - SpikeAndSlab.gaussian(
        spike_prob, spike_var
    ).log_prob(z)
    return bce + d.mean() * d.shape[-1]


@answer("sparse_vae_loss", "one mixture per vector")
def one_switch_for_all_latents(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z).sum(-1)
    a = math.log(spike_prob) + Normal(0.0, math.sqrt(spike_var)).log_prob(z).sum(-1)
    b = math.log(1 - spike_prob) + Normal(0.0, 1.0).log_prob(z).sum(-1)
    return (bce + log_q - torch.logaddexp(a, b)).mean()


@answer("sparse_vae_loss", "closed-form entropy")
def closed_form_entropy(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    q = Normal(mu, torch.exp(0.5 * log_var))
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    return (bce - (q.entropy() + log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "log q forgotten")
def log_q_forgotten(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z).sum(-1)
    return (bce - log_p).mean()


@answer("sparse_vae_loss", "log p detached")
def z_detached_in_log_p(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z.detach())
    return (bce + (log_q - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "KL from a different draw than stated")
def draws_z_anew(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    q = Normal(mu, torch.exp(0.5 * log_var))
    z = q.rsample()
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    return (bce + (q.log_prob(z) - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "KL to N(0, I)")
def the_dense_model_s_kl_to_n(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)
    return (bce + kl).mean()


@answer("sparse_vae_loss", "spike and slab swapped")
def at_1_minus_spike_prob(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(1 - spike_prob, spike_var).log_prob(z)
    return (bce + (log_q - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "batch summed in one term")
def kl_summed_over_everything(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1).mean()
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    return bce + (log_q - log_p).sum()


@answer("sparse_vae_loss", "KL with the wrong sign, and mean over pixels")
def two_mistakes_kl_with_the_sign_turned(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    return bce + (log_p - log_q).sum(-1).mean()


@answer("sparse_vae_loss", "log σ² forgotten")
def log_q_without_its_log_sigma(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    log_q = -0.5 * ((z - mu) / torch.exp(0.5 * log_var)) ** 2 - 0.5 * math.log(2 * math.pi)
    return (bce + (log_q - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "gradients do not flow")
def z_detached_everywhere(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z.detach())
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z.detach())
    return (bce + (log_q - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "clamped probabilities")
def sigmoid_first_bernoulli_probs(logits, x, mu, log_var, z, spike_prob, spike_var):
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    bce = -Bernoulli(probs=torch.sigmoid(logits)).log_prob(x).sum(-1)
    return (bce + (log_q - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "slab only")
def slab_only_prior(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = Normal(0.0, 1.0).log_prob(z)
    return (bce + (log_q - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "log q under N(0, 1)")
def log_q_under_n_0_1(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    log_q = Normal(0.0, 1.0).log_prob(z)
    return (bce + (log_q - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "logits and pixels swapped")
def sparse_vae_loss_arguments_of_the_cross_entropy_swapped(
    logits, x, mu, log_var, z, spike_prob, spike_var
):
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    bce = F.binary_cross_entropy_with_logits(x, logits, reduction="none").sum(-1)
    return (bce + (log_q - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "gradients do not flow")
def mu_detached_in_log_q(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    log_q = Normal(mu.detach(), torch.exp(0.5 * log_var.detach())).log_prob(z)
    return (bce + (log_q - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "KL halved")
def kl_half(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    return (bce + 0.5 * (log_q - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "mean over latents")
def sparse_vae_loss_kl_mean_over_latents(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    return (bce + (log_q - log_p).mean(-1)).mean()


@answer("sparse_vae_loss", "clamped at 0")
def kl_clamped_at_0(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    return (bce + (log_q - log_p).sum(-1).clamp(min=0)).mean()


@answer("sparse_vae_loss", "log-ratio made positive")
def kl_clamped_at_0_per_latent(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    return (bce + (log_q - log_p).clamp(min=0).sum(-1)).mean()


@answer("sparse_vae_loss", "spike_var used as a standard deviation")
def spike_var_as_sd(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var**2).log_prob(z)
    return (bce + (log_q - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "log_var taken for log σ")
def log_q_with_sd_exp_log_var(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    log_q = Normal(mu, log_var.exp()).log_prob(z)
    return (bce + (log_q - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "log p at the mean")
def log_p_at_mu(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(mu)
    return (bce + (log_q - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "underflow")
def naive_log_p(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    p = (
        spike_prob * Normal(0.0, spike_var**0.5).log_prob(z).exp()
        + (1 - spike_prob) * Normal(0.0, 1.0).log_prob(z).exp()
    )
    return (bce + (log_q - p.log()).sum(-1)).mean()


@answer("sparse_vae_loss", "log q detached")
def sparse_vae_loss_log_q_detached(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    return (bce + (log_q.detach() - log_p).sum(-1)).mean()


@answer("sparse_vae_loss", "clamped log_var")
def sigma_clamped_in_log_q(logits, x, mu, log_var, z, spike_prob, spike_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    log_q = Normal(mu, torch.exp(0.5 * log_var).clamp(min=0.05)).log_prob(z)
    log_p = SpikeAndSlab.gaussian(spike_prob, spike_var).log_prob(z)
    return (bce + (log_q - log_p).sum(-1)).mean()
