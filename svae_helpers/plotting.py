"""Figures of the course: each function takes data and an `Axes`, draws, and returns the `Axes`."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from .arguments import one_of

# One look for one thing in every notebook: a colour-blind-safe hue (Okabe & Ito) and a second cue.
STYLES: dict[str, dict[str, str]] = {
    "dense": {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    "sparse": {"color": "#D55E00", "linestyle": "--", "marker": "s"},
    "gated": {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    "spike": {"color": "#CC79A7", "linestyle": ":", "marker": "v"},
    "slab": {"color": "#E69F00", "linestyle": "-.", "marker": "D"},
    "exact": {"color": "#000000", "linestyle": "-", "marker": "x"},
    "scaled": {"color": "#7A7A7A", "linestyle": (0, (6, 2)), "marker": "X"},
    "other": {"color": "#56B4E9", "linestyle": (0, (3, 1, 1, 1)), "marker": "P"},
}


def line(name: str) -> dict[str, str]:
    """Return colour and line style of one of the course's `STYLES`, ready for `ax.plot`."""
    one_of("name", name, tuple(STYLES))
    return {key: STYLES[name][key] for key in ("color", "linestyle")}


def use_course_style() -> None:
    """Set matplotlib's defaults for the course: white paper, readable type, no chart junk."""
    sns.set_theme(style="ticks", context="notebook", font_scale=0.9)
    plt.rcParams.update(
        {
            "figure.dpi": 96,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "lines.linewidth": 2.0,
        }
    )


def show(fig: Figure, alt: str) -> None:
    """Show a figure once, with a text alternative for readers who cannot see it.

    Args:
        fig: the figure; it is closed afterwards, so that it is not drawn a second time.
        alt: what the picture shows, in a sentence.

    Raises:
        ValueError: if `alt` is empty.
    """
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError("alt is empty: say in a sentence what the picture shows")
    display(fig, metadata={"image/png": {"alt": alt}})
    plt.close(fig)


def plot_digits(images: Tensor, ax: Axes, columns: int = 10, title: str = "") -> Axes:
    """Draw square grey images in a grid, row by row.

    Args:
        images: (N, H·W) in [0, 1], H = W.
        columns: images in a row.
    """
    images = torch.as_tensor(images).detach().cpu().float()
    if images.dim() != 2 or not len(images):
        raise ValueError(f"images must have shape (N, H·W), got {tuple(images.shape)}")
    count, pixels = images.shape
    side = math.isqrt(pixels)
    if side * side != pixels:
        raise ValueError(f"images must be square, got {pixels} pixels each")
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    grid = torch.zeros(rows * columns, side, side)
    grid[:count] = images.reshape(count, side, side)
    picture = grid.reshape(rows, columns, side, side).permute(0, 2, 1, 3)
    ax.imshow(picture.reshape(rows * side, columns * side), cmap="gray_r", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[], title=title)
    sns.despine(ax=ax, left=True, bottom=True)
    return ax


def plot_codes(mu: Tensor, ax: Axes, limit: float = 3.0, title: str = "", **kwargs) -> Axes:
    """Draw posterior means as a heat map: one row an image, one column a latent.

    Args:
        mu: (B, D) posterior means; white is 0, blue negative, red positive.
        limit: |mu| at which the colour saturates.
    """
    mu = torch.as_tensor(mu).detach().cpu()
    if mu.dim() != 2:
        raise ValueError(f"mu must have shape (B, D), got {tuple(mu.shape)}")
    look = {"cmap": "RdBu_r", "cbar_kws": {"label": "posterior mean μ"}, "yticklabels": False}
    look |= {"vmin": -limit, "vmax": limit, "center": 0, **kwargs}
    sns.heatmap(mu.numpy(), ax=ax, **look)
    ax.set(xlabel="latent", ylabel="image", title=title)
    return ax


def plot_curves(
    curves: Mapping[str, Sequence[float]], ax: Axes, ylabel: str, styles: Mapping[str, str] = {}
) -> Axes:
    """Draw one value per epoch for several models.

    Args:
        curves: label to values, one an epoch, starting with epoch 1.
        styles: label to a name in `STYLES`; by default the label itself where it is such a name.
    """
    for label, values in curves.items():
        name = styles.get(label, label if label in STYLES else "other")
        style = STYLES[one_of("a style", name, tuple(STYLES))]
        epochs = range(1, len(values) + 1)
        ax.plot(epochs, values, label=label, markevery=max(1, len(values) // 8), **style)
    ax.set(xlabel="epoch", ylabel=ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return ax


def plot_density(prior, ax: Axes, limit: float = 3.0, label: str = "", **style) -> Axes:
    """Draw the density of a one-latent distribution over [-limit, limit]."""
    z = torch.linspace(-limit, limit, 1201)
    with torch.no_grad():
        density = prior.log_prob(z).exp()
    ax.plot(z, density, label=label or None, **style)
    ax.set(xlabel="latent value z", ylabel="density p(z)", xlim=(-limit, limit))
    ax.set_ylim(bottom=0, auto=True)
    return ax


def plot_counts(
    counts: Mapping[str, Tensor], ax: Axes, references: Mapping[str, float] = {}, latents: int = 20
) -> Axes:
    """Draw how many latents are on per image: a histogram a model, a line a reference value.

    Args:
        counts: name in `STYLES` to (N,) counts.
        references: name in `STYLES` to the number that the prior itself would give.
        latents: D, the right end of the axis.
    """
    edges = np.arange(-0.5, latents + 1.5)
    for name, values in counts.items():
        heights, _ = np.histogram(torch.as_tensor(values).cpu().numpy(), bins=edges)
        ax.stairs(heights / heights.sum(), edges, label=name, fill=False, linewidth=2, **line(name))
    for name, value in references.items():
        one_of("a reference's name", name, tuple(STYLES))
        label = f"{name} prior: {value:.1f}"
        ax.axvline(value, color=STYLES[name]["color"], linestyle=":", label=label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(
        xlabel="latents past the crossover", ylabel="share of images", xlim=(-0.5, latents + 0.5)
    )
    ax.legend()
    return ax


def draw_box(
    text: str,
    at: tuple[float, float],
    ax: Axes,
    style: str = "scaled",
    width: float = 1.1,
    heights: tuple[float, float] = (0.8, 0.8),
) -> Axes:
    """Draw a part of a diagram: words in a box whose left and right sides have these heights."""
    x, y = at
    left, right = heights
    corners = [(-width, -left), (-width, left), (width, right), (width, -right)]
    outline = [(x + dx / 2, y + dy / 2) for dx, dy in corners]
    colour = STYLES[style]["color"]
    ax.add_patch(plt.Polygon(outline, facecolor=to_rgba(colour, 0.15), edgecolor=colour))
    ax.text(x, y, text, ha="center", va="center", linespacing=1.4)
    return ax


def draw_arrow(
    start: tuple[float, float], end: tuple[float, float], ax: Axes, text: str = "", line: str = "-"
) -> Axes:
    """Draw an arrow of a diagram, with words such as a shape above its middle."""
    look = {"arrowstyle": "-|>", "linestyle": line, "color": "0.25", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=look)
    middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.1
    ax.text(*middle, text, ha="center", va="bottom", fontsize="small", color="0.25")
    return ax
