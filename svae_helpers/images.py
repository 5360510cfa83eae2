"""Images that a model can be trained and measured on."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.distributions import constraints

from .arguments import tensor, unit_interval
from .data import Digits
from .models import VAE, Encoder


def images_of(images: Tensor | Digits, name: str = "images") -> Tensor:
    """The images of a tensor, or of a pair (images, labels) such as `load_mnist` returns.

    Raises:
        TypeError: if they are neither.
        ValueError: if the tensor is sparse.
    """
    if isinstance(images, tuple | list) and len(images) == 2 and not isinstance(images[0], tuple):
        images = images[0]
    tensor(name, images, "a tensor (N, ...) or a pair (images, labels)")
    if images.layout != torch.strided:
        raise ValueError(f"{name} must be a dense tensor: make it one by .to_dense()")
    return images


@torch.no_grad()
def ready_images(images: Tensor | Digits, model: VAE, name: str, drawn: bool) -> Tensor:
    """The images on the model's device, once it is sure that the model can be trained on them."""
    images = images_of(images, name)
    if not images.is_floating_point():
        raise ValueError(f"{name} must be floating point, got {images.dtype}: divide by 255")
    flat = isinstance(model.encoder, Encoder)
    if images.dim() < 2 or not len(images) or (flat and images.shape[1:] != (model.data_dim,)):
        wanted = f"(N, {model.data_dim})" if flat else "(N, ...)"
        raise ValueError(f"{name} must have shape {wanted}, got {tuple(images.shape)}")
    if drawn:
        unit_interval(name, images, "to be binarised")
    images = images.detach().to(model.device)
    with evaluating(model):
        q = model.encode(images[:1])
        if not getattr(q, "has_rsample", hasattr(q, "rsample")):
            raise TypeError(
                f"the posterior {type(q).__name__} has no rsample: the ELBO's gradient needs draws "
                "that carry gradients to the encoder (Eq. 2.3)"
            )
        shape = tuple(model.decode(q.rsample()).event_shape)
        refuse_pixels_outside(images, model, name)
    if shape != tuple(images.shape[1:]):
        raise ValueError(
            f"the decoder gives images of shape {shape}, but {name} are {tuple(images.shape[1:])}"
        )
    return images


def refuse_pixels_outside(images: Tensor, model: VAE, name: str = "images") -> None:
    """Raise a ValueError where images leave [0, 1] under a likelihood of pixels in it.

    NaN is not looked for here: `fit` names the step and the term in which it meets one.
    """
    latents = next(model.parameters()).new_zeros(1, model.latent_dim)
    try:
        support = model.decode(latents).support
    except (AttributeError, NotImplementedError):  # a distribution of one's own may have none
        return
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if support in (constraints.boolean, constraints.unit_interval):
        unit_interval(name, images, "under this model's likelihood", nan_too=False)


@contextmanager
def evaluating(model: VAE) -> Iterator[None]:
    """Switch dropout off and batch statistics to what was learnt, and back at the end."""
    switched = getattr(model, "training", False)  # a stand-in for a model may have no such mode
    if switched:
        model.eval()
    try:
        yield
    finally:
        if switched:
            model.train()
