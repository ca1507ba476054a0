"""Sliders in a notebook: a widget on top of a tuner.

Knows ipywidgets, and is imported where a widget is asked for; knows ranges, plots and whatever has ranges
and can be updated; nothing of particles or programs.
"""

from __future__ import annotations

import contextlib
import html
import math
import warnings
from collections.abc import Generator, Mapping
from time import monotonic
from typing import Any, Protocol

import ipywidgets as widgets

from arviz_resampler.errors import WeightWarning
from arviz_resampler.plots.figures import Painter
from arviz_resampler.tuning.badge import Badge, failure_badge, verdict_badge
from arviz_resampler.tuning.choices import Choices
from arviz_resampler.tuning.code_view import CodeView
from arviz_resampler.tuning.controls import Control
from arviz_resampler.tuning.coverage import covered_range
from arviz_resampler.tuning.ranges import Number, Range
from arviz_resampler.tuning.record import Record, as_output
from arviz_resampler.tuning.step import Step
from arviz_resampler.tuning.timers import Timers, running_loop

_SOON = 0.03  # seconds for which moves of a slider are debounced
_PAUSE = 0.01  # seconds between two steps of that
_IDLE = 0.4  # seconds without a move, after which the covered ranges are looked for
_MORE = "Top up"
_UPDATING = "arviz-resampler-updating"  # class of the widget until badge and picture are renewed
_RENEWED = "arviz-resampler-renewed"  # class of badge and picture
_SAME = "No draw in the picture has changed."
_DRAG = 1.0  # seconds between moves of one slider that are undone together


class Tunable(Protocol):
    """Interface of a tuner, as far as the widget needs it."""

    ranges: Mapping[str, Range]
    num_samples: int
    targets: Mapping[str, Any]

    @property
    def current(self) -> Mapping[str, Number]:
        """Values at which the sliders begin."""

    def update(self, /, **hyper: Number) -> Any:
        """The prior and its weights."""

    def look(self, /, **hyper: Number) -> Step:
        """The verdict alone."""

    def code(self, /, **hyper: Number) -> str:
        """The prior as source."""

    def needed(self, /, **hyper: Number) -> int:
        """How many new particles would make the verdict good."""

    def top_up(self, /, **hyper: Number) -> Any:
        """Simulate them."""

    def fit(self) -> Any:
        """Hyper-parameters that meet the targets."""


class Explorer(widgets.VBox):  # type: ignore[misc]
    """Sliders, a picture and a verdict, for the priors of a tuner.

    Made by :meth:`.Tuner.widget`.

    Parameters
    ----------
    tuner : Tuner
        What is explored.
    painter : object
        Draws a prior, and keeps one in gray behind the others.

    Attributes
    ----------
    hyper : mapping of str to number
        Where the sliders are.
    """

    def __init__(self, tuner: Tunable, painter: Painter) -> None:
        self._tuner = tuner
        self._painter = painter
        self.hyper: dict[str, Number] = dict(tuner.current)
        self._undo: list[dict[str, Number]] = []
        self._last_move = "", -math.inf
        self._prior: Any = None  # of the last good picture
        self._shown: dict[str, Number] = {}
        self._fitted: tuple[str, ...] = ()  # what is said of a fit, where the sliders are at it
        self._fitted_at: dict[str, Number] = {}
        self._timers = Timers()
        self._search: Generator[Any, None, Any] | None = None
        self.controls = {
            name: Control(range_, self.hyper[name], self._moved) for name, range_ in tuner.ranges.items()
        }
        self.badge, self.pinned = widgets.HTML(), widgets.HTML()
        self.picture = widgets.Image(
            format="png", layout=widgets.Layout(max_width="100%", object_fit="contain")
        )
        self._make_buttons()
        self.choices = Choices(painter, self._update_soon)
        self.code = CodeView()
        self._record = Record()
        style = widgets.HTML(_STYLE + self._record.style, layout=widgets.Layout(display="none"))
        layout = widgets.Layout(width="100%", max_width="75em")
        super().__init__([style, self._top(), self.code], layout=layout)
        self._update()

    def _make_buttons(self) -> None:
        self.pin = widgets.ToggleButton(description="Pin", icon="thumb-tack")
        self.pin.tooltip = "Keep this prior in gray behind the following ones"
        self.undo = widgets.Button(description="Undo", icon="undo", tooltip="Back to where the sliders were")
        self.undo.disabled = True
        self.copy = widgets.ToggleButton(description="Code", icon="code")
        self.copy.tooltip = "This prior as Pyro source"
        self.more = widgets.Button(description=_MORE, icon="plus", disabled=True)
        self.more.tooltip = "Simulate more particles where this prior is"
        self.more.on_click(self._on_more)
        self.fit = widgets.Button(
            description="Fit", icon="crosshairs", tooltip="Move to what meets the targets"
        )
        self.fit.on_click(self._on_fit)
        self.progress = widgets.Output()  # where tqdm shows its bar
        for button in (self.pin, self.undo, self.copy, self.more, self.fit):
            button.layout = widgets.Layout(width="11em" if button is self.more else "6.5em")
        self.pin.observe(self._on_pin, "value")
        self.undo.on_click(self._on_undo)
        self.copy.observe(self._on_code, "value")

    def _top(self) -> Any:
        """Sliders, buttons and verdict beside the picture, or above it where there is no room."""
        wrap = widgets.Layout(flex_flow="row wrap")
        buttons = widgets.HBox([self.pin, self.undo, self.copy, self.fit, self.more], layout=wrap)
        left = widgets.VBox(
            [*(c.view for c in self.controls.values()), buttons, self.progress, self.pinned, self.badge],
            layout=widgets.Layout(flex="1 1 19em", min_width="0"),
        )
        self.badge.add_class(_RENEWED)
        picture = widgets.VBox([self.picture])
        picture.add_class(_RENEWED)
        right = widgets.VBox(
            [self.choices.view, picture], layout=widgets.Layout(flex="2 1 24em", min_width="0")
        )
        return widgets.HBox([left, right], layout=widgets.Layout(flex_flow="row wrap", grid_gap="8px"))

    # ---------------------------------------------------------------- moves

    def _moved(self, name: str, value: Number) -> None:
        """Take note of a move; the picture follows soon, at the newest value."""
        now = monotonic()
        if self._last_move[0] != name or now - self._last_move[1] > _DRAG:
            self._undo.append(dict(self.hyper))
            self.undo.disabled = False
        self._last_move = name, now
        self.hyper[name] = value
        self._doubt(name)
        self._update_soon()

    def _doubt(self, moved: str) -> None:
        for name, control in self.controls.items():
            if name != moved:
                control.doubt()

    def _on_undo(self, _button: Any) -> None:
        self.hyper = self._undo.pop()
        self.undo.disabled = not self._undo
        self._last_move = "", -math.inf
        self._show_hyper()
        self._update_soon()

    def _show_hyper(self) -> None:
        """Move the sliders to where the hyper-parameters are."""
        for name, control in self.controls.items():
            if control.value != self.hyper[name]:
                control.set(self.hyper[name])
                self._doubt(name)

    # ---------------------------------------------------------------- picture and verdict

    def _update_soon(self) -> None:
        """Dim badge and picture, and renew them after a while."""
        self.add_class(_UPDATING)
        self._timers.later("update", _SOON, self._update, keep=True)

    def _update(self) -> None:
        hyper = dict(self.hyper)
        self._search = None
        self._fitted = self._fitted if hyper == self._fitted_at else ()
        failure = None
        with warnings.catch_warnings(record=True, action="always") as caught:
            try:
                prior, weights = self._tuner.update(**hyper)
                picture = self._painter.paint(prior)
            except Exception as error:  # whatever it is, the notebook lives
                failure = error
        if self._timers.closed:
            return
        notes = dict.fromkeys(
            str(warning.message) for warning in caught if not issubclass(warning.category, WeightWarning)
        )
        if failure is None:
            same = [_SAME] if picture.unchanged and hyper != self._shown else []
            self._prior, self._shown, self.picture.value = prior, hyper, picture.png
            said = (*self._fitted, *notes, *same)
            self._say(verdict_badge(prior, weights, self._tuner.num_samples, said))
            self.choices.offer(prior)
        else:
            self._say(failure_badge(failure, _position(self._shown), notes))
        self.remove_class(_UPDATING)
        self.fit.layout.display = "" if self._tuner.targets else "none"
        self._offer(0)
        self._show_code()
        self._timers.later("search", _IDLE, self._begin_search)

    def _say(self, badge: Badge) -> None:
        self._said, self.badge.value = badge, f'<div role="status" style="min-height:8em">{badge.html}</div>'

    def _begin_search(self) -> None:
        self._record.renew(self._kept())
        self._search = self._find_covered()
        self._go_on()

    def _go_on(self) -> None:
        """One step of the search, so that moves come in between."""
        for _ in self._search or ():
            if running_loop() is not None:
                self._timers.later("search", _PAUSE, self._go_on)
                return

    def _find_covered(self) -> Generator[Any, None, None]:
        at = dict(self.hyper)
        # Of a prior that cannot be drawn from, nothing is known.
        with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
            self._offer(self._tuner.needed(**at))
        yield
        for name, control in self.controls.items():
            control.show_covered((yield from covered_range(self._tuner.look, at, self._tuner.ranges[name])))

    # ---------------------------------------------------------------- buttons

    def _on_pin(self, change: Any) -> None:
        if change["new"] and self._prior is not None:
            self._painter.pin(self._prior)
            text = html.escape(_position(self._shown))
            self.pinned.value = f'<span style="font-size:85%;opacity:0.7">pinned, in gray: {text}</span>'
        else:
            self._painter.unpin()
            self.pinned.value = ""
        self._update_soon()

    def _offer(self, count: int) -> None:
        """Offer a top-up of some particles, or none."""
        self.more.description = f"{_MORE} ({count:,})" if count else _MORE
        self.more.disabled = not count

    def _on_more(self, _button: Any) -> None:
        """Simulate more particles; picture, verdict and ranges are renewed."""
        self.more.description, self.more.disabled = "Simulating …", True
        with self.progress, warnings.catch_warnings(action="ignore"):
            try:
                self._tuner.top_up(**self.hyper)
                self.progress.clear_output()
            except Exception as error:  # whatever it is, the notebook lives
                self._say(failure_badge(error, _position(self._shown)))
                self._offer(0)
                return
        for control in self.controls.values():
            control.doubt()
        self._update_soon()

    def _on_fit(self, _button: Any) -> None:
        """Move to where the targets are met."""
        self.fit.description, self.fit.disabled = "Fitting …", True
        with self.progress, warnings.catch_warnings(action="ignore"):
            try:
                found = self._tuner.fit()
                self.progress.clear_output()
            except Exception as error:  # whatever it is, the notebook lives
                self._say(failure_badge(error, _position(self._shown)))
                return
            finally:
                self.fit.description, self.fit.disabled = "Fit", False
        self._undo.append(dict(self.hyper))
        self.undo.disabled = False
        self.hyper = dict(found.hyper)
        self._fitted, self._fitted_at = (found.summary, *found.open, *found.notes), dict(self.hyper)
        self._show_hyper()
        self._update_soon()

    def _on_code(self, change: Any) -> None:
        self.code.layout.display = "" if change["new"] else "none"
        self._show_code()

    def _show_code(self) -> None:
        if self.copy.value:
            self.code.show(lambda: self._tuner.code(**self.hyper))

    # ---------------------------------------------------------------- in a notebook

    def _kept(self) -> dict[str, str]:
        """What is left of the widget without its kernel, by MIME type."""
        return as_output(self.picture.value, _position(self.hyper), self._said)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The live view, with picture and words for whoever cannot show it; HTML could come before it."""
        kept = self._kept()
        kept.pop("text/html")
        return {**super()._repr_mimebundle_(**options), **kept}

    def _ipython_display_(self) -> None:
        self._record.display(super()._repr_mimebundle_(), self._kept())

    def close(self) -> None:
        """Take the widget away; what waits is not done."""
        self._search = None
        self._timers.close()
        super().close()


Explorer.__module__ = "arviz_resampler"  # where it is exported


def _position(hyper: Mapping[str, Number]) -> str:
    return ", ".join(f"{name}={value:.4g}" for name, value in hyper.items())


# Both say so after 250 ms: a quick picture does not flicker while a slider is dragged.
_STYLE = f"""<style>
.{_RENEWED} {{ position: relative; }}
.{_UPDATING} .{_RENEWED} > * {{ opacity: 0.35; transition: opacity 0.1s 0.25s; }}
.{_UPDATING} .{_RENEWED}::after {{
  content: "updating …"; position: absolute; top: 6px; right: 8px; padding: 0 6px; border-radius: 3px;
  color: #333; background: #ffffffcc; animation: arviz-resampler-appear 0.1s 0.25s both;
}}
@keyframes arviz-resampler-appear {{ from {{ opacity: 0; }} to {{ opacity: 1; }} }}
</style>"""
