"""Choices of a view of a prior. Knows ipywidgets and views; nothing of tuners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from arviz_resampler.plots.figures import Painter
from arviz_resampler.plots.views import ViewFigure

_ALL = "all variables"


class Choices:
    """Group, variable and kind of plot, each where there is more than one.

    Parameters
    ----------
    painter : object
        Draws a prior. What a function of the user's draws has no choices.
    changed : callable
        Is told that something else is to be shown.
    """

    def __init__(self, painter: Painter, changed: Callable[[], None]) -> None:
        self._painter, self._changed = painter, changed
        self._quiet = False
        self.boxes: dict[str, Any] = {
            "group": _buttons("Draws of what is predicted, or of the prior"),
            "variable": widgets.Dropdown(tooltip="Variable", layout=widgets.Layout(width="11em")),
            "kind": _buttons("Kind of plot"),
        }
        for part, box in self.boxes.items():
            box.observe(lambda change, part=part: self._on_choice(part, change["new"]), "value")
        wrap = widgets.Layout(flex_flow="row wrap", grid_gap="0 12px", display="none")
        self.view = widgets.HBox(list(self.boxes.values()), layout=wrap)

    def _on_choice(self, part: str, value: str) -> None:
        if not self._quiet and isinstance(self._painter, ViewFigure):
            self._painter.choose(part, value)
            self._changed()

    def offer(self, prior: Any) -> None:
        """Offer what there is to show of a prior."""
        if not isinstance(self._painter, ViewFigure):
            return
        several = False
        self._quiet = True
        try:
            for part, (all_, now) in self._painter.view.options(prior).items():
                box, options = self.boxes[part], tuple((name or _ALL, name) for name in all_)
                if box.options != options:
                    box.options = options
                box.value = now
                box.layout.display = "" if len(options) > 1 else "none"
                several |= len(options) > 1
        finally:
            self._quiet = False
        self.view.layout.display = "" if several else "none"


def _buttons(tooltip: str) -> Any:
    return widgets.ToggleButtons(tooltip=tooltip, style={"button_width": "auto"})
