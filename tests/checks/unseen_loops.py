"""Answers that draw in a loop: draw by draw, image by image, entry by entry."""

import math

import torch

from .unseen import ONE_PLACE, RIGHT, UNNAMED, answer


@answer("monte_carlo_kl", RIGHT)
def estimate_draw_by_draw_right(mu, log_var, log_prior, num_samples):
    total = torch.zeros(len(mu))
    for _ in range(num_samples):
        std = torch.exp(0.5 * log_var)
        z = mu + std * torch.randn_like(mu)
        log_q = -0.5 * ((z - mu) ** 2 / log_var.exp() + log_var + math.log(2 * math.pi))
        total = total + (log_q - log_prior(z)).sum(1)
    return total / num_samples


@answer("monte_carlo_kl", "variance for standard deviation")
def estimate_draw_by_draw_variance_for_width(mu, log_var, log_prior, num_samples):
    total = torch.zeros(len(mu))
    for _ in range(num_samples):
        std = log_var.exp()
        z = mu + std * torch.randn_like(mu)
        log_q = -0.5 * ((z - mu) ** 2 / log_var.exp() + log_var + math.log(2 * math.pi))
        total = total + (log_q - log_prior(z)).sum(1)
    return total / num_samples


@answer("monte_carlo_kl", "log 2π forgotten")
def estimate_draw_by_draw_without_2_pi(mu, log_var, log_prior, num_samples):
    total = torch.zeros(len(mu))
    for _ in range(num_samples):
        std = torch.exp(0.5 * log_var)
        z = mu + std * torch.randn_like(mu)
        log_q = -0.5 * ((z - mu) ** 2 / log_var.exp() + log_var)
        total = total + (log_q - log_prior(z)).sum(1)
    return total / num_samples


@answer("monte_carlo_kl", "sum over samples")
def estimate_draw_by_draw_summed_draws(mu, log_var, log_prior, num_samples):
    total = torch.zeros(len(mu))
    for _ in range(num_samples):
        std = torch.exp(0.5 * log_var)
        z = mu + std * torch.randn_like(mu)
        log_q = -0.5 * ((z - mu) ** 2 / log_var.exp() + log_var + math.log(2 * math.pi))
        total = total + (log_q - log_prior(z)).sum(1)
    return total


@answer("monte_carlo_kl", ONE_PLACE)
def estimate_draw_by_draw_width_plus_a_hundredth(mu, log_var, log_prior, num_samples):
    total = torch.zeros(len(mu))
    for _ in range(num_samples):
        std = torch.exp(0.5 * log_var) + 0.01
        z = mu + std * torch.randn_like(mu)
        log_q = -0.5 * ((z - mu) ** 2 / log_var.exp() + log_var + math.log(2 * math.pi))
        total = total + (log_q - log_prior(z)).sum(1)
    return total / num_samples


@answer("monte_carlo_kl", UNNAMED)
def estimate_draw_by_draw_not_squared(mu, log_var, log_prior, num_samples):
    total = torch.zeros(len(mu))
    for _ in range(num_samples):
        std = torch.exp(0.5 * log_var)
        z = mu + std * torch.randn_like(mu)
        log_q = -0.5 * ((z - mu) / log_var.exp() + log_var + math.log(2 * math.pi))
        total = total + (log_q - log_prior(z)).sum(1)
    return total / num_samples


@answer("monte_carlo_kl", "uniform noise")
def estimate_draw_by_draw_uniform(mu, log_var, log_prior, num_samples):
    total = torch.zeros(len(mu))
    for _ in range(num_samples):
        std = torch.exp(0.5 * log_var)
        z = mu + std * torch.rand_like(mu)
        log_q = -0.5 * ((z - mu) ** 2 / log_var.exp() + log_var + math.log(2 * math.pi))
        total = total + (log_q - log_prior(z)).sum(1)
    return total / num_samples


@answer("monte_carlo_kl", "ε shared between images")
def estimate_draw_by_draw_noise_shared(mu, log_var, log_prior, num_samples):
    total = torch.zeros(len(mu))
    for _ in range(num_samples):
        std = torch.exp(0.5 * log_var)
        z = mu + std * torch.randn(1, mu.shape[1])
        log_q = -0.5 * ((z - mu) ** 2 / log_var.exp() + log_var + math.log(2 * math.pi))
        total = total + (log_q - log_prior(z)).sum(1)
    return total / num_samples


@answer("monte_carlo_kl", ONE_PLACE)
def estimate_draw_by_draw_one_too_many(mu, log_var, log_prior, num_samples):
    total = torch.zeros(len(mu))
    for _ in range(num_samples):
        std = torch.exp(0.5 * log_var)
        z = mu + std * torch.randn_like(mu)
        log_q = -0.5 * ((z - mu) ** 2 / log_var.exp() + log_var + math.log(2 * math.pi))
        total = total + (log_q - log_prior(z)).sum(1)
    return total / (num_samples + 1)


@answer("monte_carlo_kl", "prior detached")
def estimate_draw_by_draw_prior_detached(mu, log_var, log_prior, num_samples):
    total = torch.zeros(len(mu))
    for _ in range(num_samples):
        std = torch.exp(0.5 * log_var)
        z = mu + std * torch.randn_like(mu)
        log_q = -0.5 * ((z - mu) ** 2 / log_var.exp() + log_var + math.log(2 * math.pi))
        total = total + (log_q - log_prior(z.detach())).sum(1)
    return total / num_samples


@answer("monte_carlo_kl", ONE_PLACE)
def estimate_draw_by_draw_log_q_of_detached_draw(mu, log_var, log_prior, num_samples):
    total = torch.zeros(len(mu))
    for _ in range(num_samples):
        std = torch.exp(0.5 * log_var)
        z = mu + std * torch.randn_like(mu)
        log_q = -0.5 * ((z.detach() - mu) ** 2 / log_var.exp() + log_var + math.log(2 * math.pi))
        total = total + (log_q - log_prior(z)).sum(1)
    return total / num_samples


@answer("monte_carlo_kl", RIGHT)
def estimate_image_by_image_right(mu, log_var, log_prior, num_samples):
    kls = []
    for b in range(mu.shape[0]):
        std = torch.exp(0.5 * log_var[b])
        z = mu[b] + std * torch.randn(num_samples, mu.shape[1])
        log_q = -0.5 * ((z - mu[b]) ** 2 / log_var[b].exp() + log_var[b] + math.log(2 * math.pi))
        kls.append((log_q - log_prior(z)).sum(1).mean(0))
    return torch.stack(kls)


@answer("monte_carlo_kl", "variance for standard deviation")
def estimate_image_by_image_variance_for_width(mu, log_var, log_prior, num_samples):
    kls = []
    for b in range(mu.shape[0]):
        std = log_var[b].exp()
        z = mu[b] + std * torch.randn(num_samples, mu.shape[1])
        log_q = -0.5 * ((z - mu[b]) ** 2 / log_var[b].exp() + log_var[b] + math.log(2 * math.pi))
        kls.append((log_q - log_prior(z)).sum(1).mean(0))
    return torch.stack(kls)


@answer("monte_carlo_kl", "mean over latents")
def estimate_image_by_image_mean_over_latents(mu, log_var, log_prior, num_samples):
    kls = []
    for b in range(mu.shape[0]):
        std = torch.exp(0.5 * log_var[b])
        z = mu[b] + std * torch.randn(num_samples, mu.shape[1])
        log_q = -0.5 * ((z - mu[b]) ** 2 / log_var[b].exp() + log_var[b] + math.log(2 * math.pi))
        kls.append((log_q - log_prior(z)).mean(1).mean(0))
    return torch.stack(kls)


@answer("monte_carlo_kl", "KL with the wrong sign")
def estimate_image_by_image_sign(mu, log_var, log_prior, num_samples):
    kls = []
    for b in range(mu.shape[0]):
        std = torch.exp(0.5 * log_var[b])
        z = mu[b] + std * torch.randn(num_samples, mu.shape[1])
        log_q = -0.5 * ((z - mu[b]) ** 2 / log_var[b].exp() + log_var[b] + math.log(2 * math.pi))
        kls.append((log_prior(z) - log_q).sum(1).mean(0))
    return torch.stack(kls)


@answer("monte_carlo_kl", "log p forgotten")
def estimate_image_by_image_no_prior(mu, log_var, log_prior, num_samples):
    kls = []
    for b in range(mu.shape[0]):
        std = torch.exp(0.5 * log_var[b])
        z = mu[b] + std * torch.randn(num_samples, mu.shape[1])
        log_q = -0.5 * ((z - mu[b]) ** 2 / log_var[b].exp() + log_var[b] + math.log(2 * math.pi))
        kls.append(log_q.sum(1).mean(0))
    return torch.stack(kls)


@answer("reparameterise", RIGHT)
def draw_row_by_row_right(mu, log_var):
    rows = []
    for m, v in zip(mu, log_var):
        rows.append(m + torch.exp(0.5 * v) * torch.randn_like(m))
    return torch.stack(rows)


@answer("reparameterise", ONE_PLACE)
def draw_row_by_row_a_third(mu, log_var):
    rows = []
    for m, v in zip(mu, log_var):
        rows.append(m + torch.exp(v / 3) * torch.randn_like(m))
    return torch.stack(rows)


@answer("reparameterise", "mean forgotten")
def draw_row_by_row_no_mean(mu, log_var):
    rows = []
    for m, v in zip(mu, log_var):
        rows.append(torch.exp(0.5 * v) * torch.randn_like(m))
    return torch.stack(rows)


@answer("sample", RIGHT)
def prior_entry_by_entry_right(shape, spike_prob, spike_var):
    z = torch.zeros(math.prod(shape))
    for i in range(len(z)):
        if torch.rand(()) < spike_prob:
            z[i] = spike_var**0.5 * torch.randn(())
        else:
            z[i] = torch.randn(())
    return z.reshape(shape)


@answer("sample", "spike and slab swapped")
def prior_entry_by_entry_swapped(shape, spike_prob, spike_var):
    z = torch.zeros(math.prod(shape))
    for i in range(len(z)):
        if torch.rand(()) > spike_prob:
            z[i] = spike_var**0.5 * torch.randn(())
        else:
            z[i] = torch.randn(())
    return z.reshape(shape)


@answer("sample", "spike_var used as a standard deviation")
def prior_entry_by_entry_variance_for_width(shape, spike_prob, spike_var):
    z = torch.zeros(math.prod(shape))
    for i in range(len(z)):
        if torch.rand(()) < spike_prob:
            z[i] = spike_var * torch.randn(())
        else:
            z[i] = torch.randn(())
    return z.reshape(shape)


@answer("sample", ONE_PLACE)
def prior_entry_by_entry_wide_slab(shape, spike_prob, spike_var):
    z = torch.zeros(math.prod(shape))
    for i in range(len(z)):
        if torch.rand(()) < spike_prob:
            z[i] = spike_var**0.5 * torch.randn(())
        else:
            z[i] = 2 * torch.randn(())
    return z.reshape(shape)


@answer("sample", "spike of width 0")
def prior_entry_by_entry_zeros(shape, spike_prob, spike_var):
    z = torch.zeros(math.prod(shape))
    for i in range(len(z)):
        if torch.rand(()) < spike_prob:
            z[i] = 0 * torch.randn(())
        else:
            z[i] = torch.randn(())
    return z.reshape(shape)


@answer("gradient_estimate", RIGHT)
def gradient_draw_by_draw_right(f, mu, log_var, num_samples):
    total = torch.zeros_like(mu)
    for _ in range(num_samples):
        m = mu.detach().clone().requires_grad_()
        z = m + torch.exp(0.5 * log_var.detach()) * torch.randn_like(m)
        total += torch.autograd.grad(f(z[None]).sum(), m)[0]
    return total / num_samples


@answer("gradient_estimate", "variance for standard deviation")
def gradient_draw_by_draw_variance_for_width(f, mu, log_var, num_samples):
    total = torch.zeros_like(mu)
    for _ in range(num_samples):
        m = mu.detach().clone().requires_grad_()
        z = m + torch.exp(log_var.detach()) * torch.randn_like(m)
        total += torch.autograd.grad(f(z[None]).sum(), m)[0]
    return total / num_samples


@answer("gradient_estimate", "sum over samples")
def gradient_draw_by_draw_summed(f, mu, log_var, num_samples):
    total = torch.zeros_like(mu)
    for _ in range(num_samples):
        m = mu.detach().clone().requires_grad_()
        z = m + torch.exp(0.5 * log_var.detach()) * torch.randn_like(m)
        total += torch.autograd.grad(f(z[None]).sum(), m)[0]
    return total


@answer("gradient_estimate", ONE_PLACE)
def gradient_draw_by_draw_a_third(f, mu, log_var, num_samples):
    total = torch.zeros_like(mu)
    for _ in range(num_samples):
        m = mu.detach().clone().requires_grad_()
        z = m + torch.exp(log_var.detach() / 3) * torch.randn_like(m)
        total += torch.autograd.grad(f(z[None]).sum(), m)[0]
    return total / num_samples


@answer("gradient_estimate", ONE_PLACE)
def gradient_draw_by_draw_one_too_few(f, mu, log_var, num_samples):
    total = torch.zeros_like(mu)
    for _ in range(num_samples):
        m = mu.detach().clone().requires_grad_()
        z = m + torch.exp(0.5 * log_var.detach()) * torch.randn_like(m)
        total += torch.autograd.grad(f(z[None]).sum(), m)[0]
    return total / (num_samples - 1)
