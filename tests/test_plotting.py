"""Figure functions draw what they are given and return their Axes; pictures carry alt text."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid
from torch.distributions import Normal

from svae_helpers import SpikeAndSlab, plotting

matplotlib.use("Agg")


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


def test_digits_stand_in_a_grid_row_by_row(ax):
    images = torch.arange(3.0).reshape(3, 1).expand(3, 4) / 2  # three flat 2 × 2 images
    assert plotting.plot_digits(images, ax, columns=2, title="three") is ax
    want = [[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5], [1, 1, 0, 0], [1, 1, 0, 0]]
    assert np.array_equal(ax.images[0].get_array(), np.array(want))
    with pytest.raises(ValueError, match="square"):
        plotting.plot_digits(torch.rand(2, 5), ax)


def test_codes_show_one_row_an_image(ax):
    plotting.plot_codes(torch.randn(5, 3, requires_grad=True), ax, title="codes")
    assert ax.collections[0].get_array().size == 15
    assert ax.get_xlabel() == "latent" and ax.get_ylabel() == "image"


def test_curves_keep_the_same_look_for_the_same_thing(ax):
    plotting.plot_curves({"dense": [3.0, 2.0], "mine": [4.0, 1.0]}, ax, "nats", {"mine": "sparse"})
    first, second = ax.lines
    assert first.get_color() == plotting.STYLES["dense"]["color"]
    assert second.get_color() == plotting.STYLES["sparse"]["color"]
    assert list(first.get_xdata()) == [1, 2] and list(first.get_ydata()) == [3.0, 2.0]
    assert ax.get_ylabel() == "nats"


def test_density_is_the_distributions(ax):
    plotting.plot_density(SpikeAndSlab.gaussian(), ax, label="prior", **plotting.line("sparse"))
    x, y = ax.lines[0].get_data()
    assert trapezoid(y, x) == pytest.approx(1, abs=0.01)
    plotting.plot_density(Normal(0.0, 1.0), ax)
    assert max(ax.lines[1].get_ydata()) == pytest.approx(0.3989, abs=1e-3)


def test_counts_are_shares_of_images(ax):
    plotting.plot_counts({"dense": torch.tensor([1, 1, 2, 4])}, ax, {"sparse": 2.5}, latents=5)
    stairs = ax.patches[0].get_data()
    assert stairs.values.tolist() == [0, 0.5, 0.25, 0, 0.25, 0]
    assert ax.lines[0].get_xdata()[0] == 2.5


def test_styles_differ_in_more_than_colour():
    colours = [style["color"] for style in plotting.STYLES.values()]
    cues = [style["marker"] for style in plotting.STYLES.values()]
    assert len(set(colours)) == len(colours) and len(set(cues)) == len(cues)


def test_show_hands_alt_text_on_and_closes(monkeypatch):
    shown = []
    monkeypatch.setattr(plotting, "display", lambda *args, **kwargs: shown.append((args, kwargs)))
    fig = plt.figure()
    plotting.show(fig, alt="an empty figure")
    assert shown == [((fig,), {"metadata": {"image/png": {"alt": "an empty figure"}}})]
    assert fig.number not in plt.get_fignums()
    with pytest.raises(ValueError, match="alt is empty"):
        plotting.show(fig, alt=" ")


def test_a_box_is_as_high_as_asked_at_either_side_and_says_its_words(ax):
    assert plotting.draw_box("encoder", (3, 2), ax, "dense", width=2, heights=(4, 1)) is ax
    (box,) = ax.patches
    left, right = box.get_xy()[:2], box.get_xy()[2:4]
    assert np.array_equal(left, [(2, 0), (2, 4)]) and np.array_equal(right, [(4, 2.5), (4, 1.5)])
    assert (
        matplotlib.colors.to_hex(box.get_edgecolor()).upper() == plotting.STYLES["dense"]["color"]
    )
    assert [(text.get_text(), text.get_position()) for text in ax.texts] == [("encoder", (3, 2))]


def test_an_arrow_leads_from_start_to_end_and_has_its_words_above_its_middle(ax):
    assert plotting.draw_arrow((0, 1), (4, 1), ax, "(B, D)") is ax
    arrow, words = ax.texts
    assert (arrow.xy, arrow.get_position()) == ((4, 1), (0, 1))
    assert words.get_text() == "(B, D)" and words.get_position()[0] == 2
    assert words.get_position()[1] > 1
