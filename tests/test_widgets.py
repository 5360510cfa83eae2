"""The shells redraw with their controls' values and leave a still picture without a kernel."""

import matplotlib
import matplotlib.pyplot as plt

from svae_helpers import widgets

matplotlib.use("Agg")


class Handle:
    def __init__(self):
        self.updates = []

    def update(self, figure, metadata):
        self.updates.append((figure, metadata))


def test_moving_a_slider_redraws_in_place(monkeypatch):
    handle, shown, drawn = Handle(), [], []

    def display(*args, **kwargs):
        shown.append((args, kwargs))
        return handle if kwargs.get("display_id") else None

    def draw(width, count):
        drawn.append((width, count))
        return plt.figure()

    monkeypatch.setattr(widgets, "display", display)
    width = widgets.slider("width", 0.5, 0.0, 1.0, 0.1)
    count = widgets.int_slider("count", 2, 1, 5)
    widgets.explore(draw, alt="a figure", width=width, count=count)
    (bundle,), _ = shown[0]
    assert bundle["text/plain"] == widgets.STILL_NOTE
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert shown[1][1]["metadata"] == {"image/png": {"alt": "a figure"}}
    width.value = 1.0
    count.value = 5
    assert drawn == [(0.5, 2), (1.0, 2), (1.0, 5)]
    assert len(handle.updates) == 2 and not plt.get_fignums()
