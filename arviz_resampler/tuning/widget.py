"""Sliders in a notebook: a widget on top of a tuner.

The only file that knows ipywidgets; it is imported where a widget is asked for. Knows ranges, pictures and
whatever has ranges and can be updated; nothing of particles or programs.
"""

from __future__ import annotations

import asyncio
import html
import math
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from time import monotonic
from typing import Any, Protocol

import ipywidgets as widgets

from arviz_resampler.errors import WeightWarning
from arviz_resampler.plots.figures import Easel
from arviz_resampler.tuning.coverage import COLORS, Interval, Step, safe_range
from arviz_resampler.tuning.ranges import Number, Range

_SOON = 0.03  # seconds in which moves of a slider are gathered
_PAUSE = 0.01  # seconds between two steps of that
_IDLE = 0.4  # seconds without a move, after which the covered ranges are looked for
_DRAG = 1.0  # seconds between moves of one slider that are undone together
_STEPS = 200  # of a slider
_SIGNS = {"good": "✔", "low": "▲", "unreliable": "✖", "failed": "✖"}


class Tunable(Protocol):
    """What the widget needs of a tuner."""

    ranges: Mapping[str, Range]
    num_samples: int

    @property
    def current(self) -> Mapping[str, Number]:
        """Where the sliders begin."""

    def update(self, /, **hyper: Number) -> Any:
        """The prior and its weights."""

    def look(self, /, **hyper: Number) -> Step:
        """The verdict alone."""

    def code(self, /, **hyper: Number) -> str:
        """The prior as source."""


class Control:
    """A slider and a number box for one hyper-parameter, and a line that says where it is covered."""

    def __init__(self, own: Range, value: Number, moved: Callable[[str, Number], None]) -> None:
        self.range = own
        self.safe: Interval | None = None
        self.searched = self.doubtful = False
        self._moved = moved
        self.value = value
        self._quiet = False
        bounds: dict[str, Any] = {"min": own.low, "max": own.high}
        look: dict[str, Any] = {"readout": False, "tooltip": own.name}
        look["layout"] = widgets.Layout(width="auto", margin="0 4px")
        if own.log:
            low, high = math.log10(own.low), math.log10(own.high)
            ends = {"min": low, "max": high, "step": (high - low) / _STEPS}
            self.slider = widgets.FloatLogSlider(value=value, **ends, **look)
        elif own.integer:
            self.slider = widgets.IntSlider(value=value, **bounds, **look)
        else:
            step = (own.high - own.low) / _STEPS
            self.slider = widgets.FloatSlider(value=value, step=step, **bounds, **look)
        text = widgets.BoundedIntText if own.integer else widgets.BoundedFloatText
        self.box = text(value=value, step=1 if own.integer else None, **bounds)
        self.box.layout = widgets.Layout(width="6.5em", flex="0 0 auto")
        self.box.tooltip = f"value of {own.name}"
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

    def cover(self, safe: Interval | None) -> None:
        """Show where the range is covered."""
        self.safe, self.searched, self.doubtful = safe, True, False
        self.show_label()

    def doubt(self) -> None:
        """Others have moved, so that it may be covered elsewhere; a search will tell."""
        self.doubtful = True
        self.show_label()

    def show_label(self) -> None:
        """Say where the range is covered, and whether the slider is there."""
        outside, text = True, "covered nowhere, the others being where they are"
        if self.safe is not None:
            low, high = self.safe
            outside, text = not low <= self.value <= high, f"covered from {low:.4g} to {high:.4g}"
            text = f"outside of what is {text}" if outside else text
        elif not self.searched:
            outside, text = False, "looking where it is covered …"
        if self.searched and self.doubtful:
            text = f"{text}; looking again …"
        style = f"color:{COLORS['unreliable']};font-weight:bold" if outside else "opacity:0.7"
        sign = f"{_SIGNS['unreliable']} " if outside else ""
        self.label.value = (
            f'<div style="line-height:1.2;overflow-wrap:anywhere"><b>{html.escape(self.range.name)}</b> '
            f'<span style="font-size:85%;{style}">{sign}{text}</span></div>'
        )


class Explorer(widgets.VBox):  # type: ignore[misc]
    """Sliders, a picture and a verdict, for the priors of a tuner.

    Made by :meth:`.Tuner.widget`.

    Parameters
    ----------
    tuner : Tuner
        What is explored.
    plot : callable
        Takes a prior and draws it.

    Attributes
    ----------
    hyper : mapping of str to number
        Where the sliders are.
    """

    def __init__(self, tuner: Tunable, plot: Callable[[Any], Any]) -> None:
        self._tuner = tuner
        self._easel = Easel(plot)
        self.hyper: dict[str, Number] = dict(tuner.current)
        self._undo: list[dict[str, Number]] = []
        self._last_move = "", -math.inf
        self._prior: Any = None  # of the last good picture
        self._shown: dict[str, Number] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._search: Generator[Any, None, Any] | None = None
        self._is_closed = False
        self.controls = {
            name: Control(own, self.hyper[name], self._moved) for name, own in tuner.ranges.items()
        }
        self.badge = widgets.HTML()
        self.picture = widgets.Image(
            format="png", layout=widgets.Layout(max_width="100%", object_fit="contain")
        )
        self.pin = widgets.ToggleButton(description="Pin", icon="thumb-tack")
        self.pin.tooltip = "Keep this prior in grey behind the following ones"
        self.undo = widgets.Button(description="Undo", icon="undo", tooltip="Back to where the sliders were")
        self.undo.disabled = True
        self.copy = widgets.ToggleButton(description="Code", icon="code")
        self.copy.tooltip = "This prior as Pyro source"
        for button in (self.pin, self.undo, self.copy):
            button.layout = widgets.Layout(width="6.5em")
        self.pinned = widgets.HTML()
        self.code = widgets.Textarea(layout=widgets.Layout(width="auto"))
        self.code_view = widgets.VBox([widgets.HTML(_COPY), self.code], layout=widgets.Layout(display="none"))
        self.code_view.add_class("arviz-resampler-code")
        self.pin.observe(self._on_pin, "value")
        self.undo.on_click(self._on_undo)
        self.copy.observe(self._on_code, "value")
        left = widgets.VBox(
            [
                *(control.view for control in self.controls.values()),
                widgets.HBox([self.pin, self.undo, self.copy], layout=widgets.Layout(flex_flow="row wrap")),
                self.pinned,
                self.badge,
            ],
            layout=widgets.Layout(flex="1 1 19em", min_width="0"),
        )
        right = widgets.VBox([self.picture], layout=widgets.Layout(flex="2 1 24em", min_width="0"))
        top = widgets.HBox([left, right], layout=widgets.Layout(flex_flow="row wrap", grid_gap="8px"))
        super().__init__([top, self.code_view], layout=widgets.Layout(width="100%", max_width="75em"))
        self._update()

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
        self._later("update", _SOON, self._update, keep=True)

    def _doubt(self, moved: str) -> None:
        for name, control in self.controls.items():
            if name != moved:
                control.doubt()

    def _on_undo(self, button: Any) -> None:
        self.hyper = self._undo.pop()
        self.undo.disabled = not self._undo
        self._last_move = "", -math.inf
        for name, control in self.controls.items():
            if control.value != self.hyper[name]:
                control.set(self.hyper[name])
                self._doubt(name)
        self._later("update", _SOON, self._update, keep=True)

    def _later(self, what: str, delay: float, action: Callable[[], None], *, keep: bool = False) -> None:
        """Call a function after a while; without an event loop, that is now.

        A call that already waits stays where ``keep`` is set, else it is put off.
        """
        if self._is_closed:
            return
        loop = _running_loop()
        if loop is None:
            action()
            return
        if what in self._timers:
            if keep:
                return
            self._timers[what].cancel()

        def due() -> None:
            self._timers.pop(what, None)
            if not self._is_closed:
                action()

        self._timers[what] = loop.call_later(delay, due)

    # ---------------------------------------------------------------- picture and verdict

    def _update(self) -> None:
        hyper = dict(self.hyper)
        self._search = None
        failure = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                prior, weights = self._tuner.update(**hyper)
                picture = self._easel.paint(prior)
            except Exception as error:  # whatever it is, the notebook lives
                failure = error
        if self._is_closed:
            return
        notes = dict.fromkeys(
            str(warning.message) for warning in caught if not issubclass(warning.category, WeightWarning)
        )
        if failure is None:
            self._prior, self._shown, self.picture.value = prior, hyper, picture
            self.badge.value = _verdict(prior, weights, self._tuner.num_samples, notes)
        else:
            self.badge.value = _failed(failure, _position(self._shown), notes)
        self._show_code()
        self._later("search", _IDLE, self._begin_search)

    def _begin_search(self) -> None:
        self._search = self._find_covered()
        self._go_on()

    def _go_on(self) -> None:
        """One step of the search, so that moves come in between."""
        for _ in self._search or ():
            if _running_loop() is not None:
                self._later("search", _PAUSE, self._go_on)
                return

    def _find_covered(self) -> Generator[Any, None, None]:
        at = dict(self.hyper)
        for name, control in self.controls.items():
            safe = yield from safe_range(self._tuner.look, at, self._tuner.ranges[name])
            control.cover(safe)

    # ---------------------------------------------------------------- buttons

    def _on_pin(self, change: Any) -> None:
        if change["new"] and self._prior is not None:
            self._easel.pin(self._prior)
            text = html.escape(_position(self._shown))
            self.pinned.value = f'<span style="font-size:85%;opacity:0.7">pinned, in grey: {text}</span>'
        else:
            self._easel.unpin()
            self.pinned.value = ""
        self._later("update", _SOON, self._update, keep=True)

    def _on_code(self, change: Any) -> None:
        self.code_view.layout.display = "" if change["new"] else "none"
        self._show_code()

    def _show_code(self) -> None:
        if not self.copy.value:
            return
        try:
            self.code.value = self._tuner.code(**self.hyper)
        except Exception as error:
            self.code.value = f"# There is no source: {type(error).__name__}: {error}"
        self.code.rows = min(self.code.value.count("\n") + 2, 25)

    def close(self) -> None:
        """Take the widget away; what waits is not done."""
        self._is_closed = True
        self._search = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        super().close()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _position(hyper: Mapping[str, Number]) -> str:
    return ", ".join(f"{name}={value:.4g}" for name, value in hyper.items())


def _verdict(prior: Any, weights: Any, num_samples: int, notes: Iterable[str]) -> str:
    """The verdict as it is shown: colour, sign and words."""
    verdict, advice = weights.judge(num_samples)
    fit = weights.pareto
    k = f"k-hat {fit.k:.2f} (good below {fit.threshold:.2f})" if not fit.reason else f"no k-hat: {fit.reason}"
    distinct = prior["sample_stats_prior"].attrs["n_unique"]
    facts = [
        f"ESS {weights.ess:,.0f} of {weights.num_particles:,}",
        f"{distinct:,} of {num_samples:,} draws distinct",
        k,
    ]
    if verdict == "good":
        return _box(verdict, verdict, [*facts, f"site {weights.costliest_site!r} costs most"], [], notes)
    return _box(verdict, verdict, facts, [advice], notes)


def _failed(error: Exception, last: str, notes: Iterable[str]) -> str:
    """Why there is no picture, as it is shown."""
    still = [f"The picture is still that of {last}."] if last else []
    return _box("failed", "no picture", [f"{type(error).__name__}: {error}"], still, notes)


def _box(verdict: str, word: str, facts: list[str], advice: list[str], notes: Iterable[str]) -> str:
    color = COLORS[verdict]
    lines = [
        f'<b style="color:{color}">{_SIGNS[verdict]} {word}</b>',
        " ".join(f'<span style="{_FACT}">{html.escape(fact)}</span>' for fact in facts),
        *map(html.escape, advice),
        *(f"Note: {html.escape(note)}" for note in notes),
    ]
    return (
        f'<div role="status" style="border-left:6px solid {color};background:{color}1a;padding:4px 8px;'
        f'margin:4px 0;line-height:1.4;min-height:7em;overflow-wrap:anywhere">{"<br>".join(lines)}</div>'
    )


_FACT = "display:inline-block;margin-right:1em"
# Where a frontend takes the script away, the text can still be selected.
_COPY = (
    '<button type="button" class="jupyter-button" style="width:6.5em" onclick="'
    "const area = this.closest('.arviz-resampler-code').querySelector('textarea'); area.select(); "
    "if (navigator.clipboard) navigator.clipboard.writeText(area.value); else document.execCommand('copy'); "
    "this.textContent = 'Copied'; setTimeout(() => { this.textContent = 'Copy'; }, 1500)"
    '">Copy</button>'
)
