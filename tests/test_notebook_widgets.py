"""Every widget of every notebook draws with its controls at both ends.

The notebook's own cells run here in one process, with training cut to one epoch and asserts about
trained results left out; nbval runs them in full.
"""

import ast
import itertools
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pytest
import torch
from matplotlib.figure import Figure

import svae_helpers
from svae_helpers import plotting, widgets

ROOT = Path(__file__).resolve().parents[1]
PATHS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
WITH_WIDGETS = [path for path in PATHS if "widgets.explore(" in path.read_text()]
SHORT = {"epochs": 1, "progress": False}


def without_asserts(source):
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not isinstance(node, ast.Assert)]
    return compile(tree, "<cell>", "exec")


def ends(control):
    """Values at the ends of a control: a slider's limits, or a choice's first and last option."""
    if hasattr(control, "min"):
        return (control.min, control.max)
    values = [option[1] if isinstance(option, tuple) else option for option in control.options]
    return (values[0], values[-1])


def test_every_notebook_but_the_first_has_something_to_play_with():
    assert {path.stem[:2] for path in PATHS} - {path.stem[:2] for path in WITH_WIDGETS} <= {"00"}


@pytest.mark.parametrize("path", WITH_WIDGETS, ids=lambda path: path.stem)
def test_widgets_draw_at_both_ends(path, monkeypatch):
    matplotlib.use("Agg")
    explored = []

    def explore(draw, alt, **controls):
        assert len(alt) > 20
        start = {name: control.value for name, control in controls.items()}
        for settings in itertools.product(*(ends(control) for control in controls.values())):
            figure = draw(**dict(zip(start, settings, strict=True)))
            assert isinstance(figure, Figure), f"{draw.__name__} must return its figure"
            figure.canvas.draw()
            plt.close("all")
        explored.append(draw.__name__)

    real_fit = svae_helpers.fit

    def short_fit(model, images, **settings):
        return real_fit(model, images, **{**settings, **SHORT})

    monkeypatch.setattr(svae_helpers, "fit", short_fit)
    monkeypatch.setattr(widgets, "explore", explore)
    monkeypatch.setattr(plotting, "show", lambda fig, alt: plt.close(fig))
    monkeypatch.chdir(path.parent)
    namespace = {"__name__": "__main__", "display": lambda *args, **kwargs: None}
    with torch.enable_grad():
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                exec(without_asserts(cell.source), namespace)
    assert explored
