"""Views of a prior: a group, its variables and the kind of plot, with the options of each.

Knows which variables a container has; nothing of matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from arviz_resampler.errors import ArgumentError, quoted
from arviz_resampler.plots.figures import Easel, Painter
from arviz_resampler.plots.kept import KeptFigure
from arviz_resampler.plots.lines import Lines
from arviz_resampler.plots.panels import Panel
from arviz_resampler.plots.priors import (
    curve_panels,
    has_axis,
    is_curve,
    predictive_panels,
    prior_panels,
    variables,
)

_PANELS = {"predictive": predictive_panels, "prior": prior_panels}


class Options(NamedTuple):
    """Options of a choice.

    Attributes
    ----------
    all : tuple of str
    now : str
        The one that is taken.
    """

    all: tuple[str, ...]
    now: str


@dataclass(frozen=True)
class View:
    """Group, variable and kind of plot that show a prior.

    Attributes
    ----------
    group : {"predictive", "prior"}, optional
        If absent, the predictive where there is one.
    variable : str, optional
        Of the group; if absent, all of them.
    kind : {"distribution", "curves"}, optional
        If absent, curves for a predictive whose axis has numbers for ``coords``.
    """

    group: str = ""
    variable: str = ""
    kind: str = ""

    def panels(self, prior: Any, lines: Sequence[Lines] = ()) -> list[Panel]:
        """The panels that show it."""
        view = self.settled(prior)
        if view.kind == "curves":
            return curve_panels(prior, lines, view.variable, view.group)
        return _PANELS[view.group](prior, lines, view.variable)

    def settled(self, prior: Any) -> View:
        """The same with what is absent filled in, and without what this prior does not have."""
        group = self.group or ("predictive" if variables(prior, "predictive") else "prior")
        found = variables(prior, group, only=self.variable)
        if not found and self.variable:
            return replace(self, variable="").settled(prior)
        kind = self.kind or ("curves" if group == "predictive" and any(map(is_curve, found)) else "")
        if self.variable and not any(map(has_axis, found)):
            kind = ""
        return View(group, self.variable, kind or "distribution")

    def options(self, prior: Any) -> dict[str, Options]:
        """What each part of a view can be for a prior."""
        now = self.settled(prior)
        groups = tuple(group for group in _PANELS if variables(prior, group))
        names = [each.name for each in variables(prior, now.group)]
        shown = variables(prior, now.group, only=now.variable)
        kinds = ("distribution", "curves") if any(map(has_axis, shown)) else ("distribution",)
        return {
            "group": Options(groups, now.group),
            "variable": Options(("", *names) if len(names) > 1 else ("",), now.variable),
            "kind": Options(kinds, now.kind),
        }

    def choosing(self, part: str, value: str) -> View:
        """The same with another part; another group has other variables."""
        return View(group=value) if part == "group" else replace(self, **{part: value})


PLOTS = {
    "predictive": View("predictive", kind="distribution"),
    "curves": View("predictive", kind="curves"),
    "prior": View("prior", kind="distribution"),
}


class ViewFigure(KeptFigure):
    """Draws views of one prior after another.

    Parameters
    ----------
    view : View
        What is shown first.
    lines : sequence of Lines, optional
        At values of variables.
    """

    def __init__(self, view: View, lines: Sequence[Lines] = ()) -> None:
        self.view = view
        super().__init__(lambda prior: self.view.panels(prior, lines))

    def choose(self, part: str, value: str) -> None:
        """Show something else from now on, of a pinned prior, too."""
        self.view = self.view.choosing(part, value)
        self.renew()


def resolve(plot: Any, lines: Sequence[Lines] = ()) -> Painter:
    """What draws the plot that a user asked for: by a function of theirs, or one by name that has lines."""
    if plot is None:
        return ViewFigure(View(), lines)
    if isinstance(plot, str) and plot in PLOTS:
        return ViewFigure(PLOTS[plot], lines)
    if not callable(plot):
        raise ArgumentError(f"plot must be a function of a prior or one of {quoted(PLOTS)}, got {plot!r}")
    return Easel(plot)
