"""Thin ipywidgets shells: sliders that redraw a picture made by a plain function."""

import io
from collections.abc import Callable

import ipywidgets
import matplotlib.pyplot as plt
from IPython.display import Image, display
from matplotlib.figure import Figure

from .arguments import described, function

STILL_NOTE = "The sliders for this picture appear when the cell runs in JupyterLab."


def explore(draw: Callable[..., Figure], alt: str, **controls: ipywidgets.Widget) -> None:
    """Show `draw(**values)` under controls that redraw it.

    The first picture is an ordinary output, so a reader without a kernel sees it too.

    Args:
        draw: plain function of one argument per control that returns a figure.
        alt: what the first picture shows, in a sentence.
        controls: a widget for each argument of `draw`; its `value` is passed on.
    """
    function("draw", draw)
    for name, control in controls.items():
        if not isinstance(control, ipywidgets.Widget):
            raise TypeError(f"{name} must be a widget, such as a slider, got {described(control)}")
    metadata = {"image/png": {"alt": alt}}

    def picture() -> Image:
        figure = draw(**{name: control.value for name, control in controls.items()})
        if not isinstance(figure, Figure):
            raise TypeError(f"draw must return its figure, got {described(figure)}")
        plt.close(figure)  # else the inline backend draws it a second time
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return Image(file.getvalue(), format="png")

    box = ipywidgets.VBox(list(controls.values()))
    bundle = {**box._repr_mimebundle_(), "text/plain": STILL_NOTE}
    display(bundle, raw=True)
    handle = display(picture(), display_id=True, metadata=metadata)

    def redraw(_change: dict) -> None:
        handle.update(picture(), metadata=metadata)

    for control in controls.values():
        control.observe(redraw, names="value")


def slider(
    description: str, value: float, low: float, high: float, step: float
) -> ipywidgets.FloatSlider:
    """A slider with a readable label that redraws as it moves."""
    return ipywidgets.FloatSlider(
        value=value,
        min=low,
        max=high,
        step=step,
        description=description,
        style={"description_width": "initial"},
        layout={"width": "420px"},
    )


def int_slider(description: str, value: int, low: int, high: int) -> ipywidgets.IntSlider:
    """The same for whole numbers."""
    return ipywidgets.IntSlider(
        value=value,
        min=low,
        max=high,
        description=description,
        style={"description_width": "initial"},
        layout={"width": "420px"},
    )
