"""A slider and its number box.

Knows ipywidgets and ranges; nothing of tuners or plots.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from arviz_resampler.markup import COLORS, SIGNS
from arviz_resampler.tuning.coverage import Interval
from arviz_resampler.tuning.ranges import Number, Range

_STEPS = 200  # of a slider


class Control:
    """A slider and a number box for one hyper-parameter, with a line on where it is reliable.

    Parameters
    ----------
    range_ : Range
        Of the hyper-parameter.
    value : number
        Where it begins.
    moved : callable
        Is told the name and the new value of each move.
    """

    def __init__(self, range_: Range, value: Number, moved: Callable[[str, Number], None]) -> None:
        self.range = range_
        self.covered: Interval | None = None
        self.searched = self.doubtful = False
        self._moved = moved
        self.value = value
        self._quiet = False
        self.slider = _slider(range_, value)
        self.box = _number_box(range_, value)
        self.label = widgets.HTML(layout=widgets.Layout(flex="1 1 0", min_width="0"))
        top = widgets.HBox([self.label, self.box], layout=widgets.Layout(align_items="center"))
        self.view = widgets.VBox([top, self.slider])
        self.slider.observe(self._on_slider, "value")
        self.box.observe(self._on_box, "value")
        self.show_label()

    def _on_slider(self, change: Any) -> None:
        if self._quiet:
            return
        # A slider in a browser stands on one of its steps, and says so; that alone is no move.
        steps = _STEPS * abs(self.range.share(change["new"]) - self.range.share(self.value))
        if self.range.integer or steps > 0.501:
            self._take(self.range.rounded(change["new"]), self.box)

    def _on_box(self, change: Any) -> None:
        if not self._quiet:
            self._take(change["new"], self.slider)

    def _take(self, value: Number, other: Any) -> None:
        if value != self.value:
            self._show(value, other)
            self._moved(self.range.name, value)

    def _show(self, value: Number, *where: Any) -> None:
        self.value = value
        self._quiet = True
        try:
            for widget in where:
                widget.value = value
        finally:
            self._quiet = False
        self.show_label()

    def set(self, value: Number) -> None:
        """Show a value that comes from elsewhere."""
        self._show(value, self.slider, self.box)

    def show_covered(self, covered: Interval | None) -> None:
        """Show the covered part of the range."""
        self.covered, self.searched, self.doubtful = covered, True, False
        self.show_label()

    def doubt(self) -> None:
        """Mark the covered part as out of date: another hyper-parameter has moved."""
        self.doubtful = True
        self.show_label()

    def show_label(self) -> None:
        """Show the covered part, and whether the slider is in it."""
        outside, text = True, "no reliable values at the current other sliders"
        if self.covered is not None:
            low, high = self.covered
            outside = not low <= self.value <= high
            text = f"{'outside the reliable range,' if outside else 'reliable'} from {low:.4g} to {high:.4g}"
        elif not self.searched:
            outside, text = False, "looking for reliable values …"
        if self.searched and self.doubtful:
            text = f"{text}; looking again …"
        style = f"color:{COLORS['unreliable']};font-weight:bold" if outside else "opacity:0.7"
        sign = f"{SIGNS['unreliable']} " if outside else ""
        self.label.value = (
            f'<div style="line-height:1.2;overflow-wrap:anywhere"><b>{html.escape(self.range.name)}</b> '
            f'<span style="font-size:85%;{style}">{sign}{text}</span></div>'
        )


def _slider(range_: Range, value: Number) -> Any:
    look: dict[str, Any] = {"readout": False, "tooltip": range_.name}
    look["layout"] = widgets.Layout(width="auto", margin="0 4px")
    if range_.log:
        low, high = math.log10(range_.low), math.log10(range_.high)
        ends = {"min": low, "max": high, "step": (high - low) / _STEPS}
        return widgets.FloatLogSlider(value=value, **ends, **look)
    if range_.integer:
        return widgets.IntSlider(value=value, min=range_.low, max=range_.high, **look)
    step = (range_.high - range_.low) / _STEPS
    return widgets.FloatSlider(value=value, step=step, min=range_.low, max=range_.high, **look)


def _number_box(range_: Range, value: Number) -> Any:
    text = widgets.BoundedIntText if range_.integer else widgets.BoundedFloatText
    box = text(value=value, step=1 if range_.integer else None, min=range_.low, max=range_.high)
    box.layout = widgets.Layout(width="6.5em", flex="0 0 auto")
    box.tooltip = f"value of {range_.name}"
    return box
