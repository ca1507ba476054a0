"""Pictures of one prior after another, on a sheet that is kept while they are made alike. Knows panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from arviz_resampler.plots.figures import Picture
from arviz_resampler.plots.limits import Limits, each_union, steady
from arviz_resampler.plots.panels import Panel
from arviz_resampler.plots.sheet import Sheet, form

Panels = Sequence[Panel]

_ROOM = 0.1  # beyond an end that moves, since to draw axes anew takes longer than all curves


class KeptFigure:
    """Draws one prior after another into a figure whose curves move.

    Axes keep their limits while what is drawn fills them well; a pinned prior stays behind the others in
    gray.

    Parameters
    ----------
    panels_of : callable
        Takes a prior; returns the panels that show it.
    """

    def __init__(self, panels_of: Callable[[Any], Panels]) -> None:
        self._panels_of = panels_of
        self._sheet: Sheet | None = None
        self._form: Any = None
        self._panels: Panels = ()
        self._pinned_prior: Any = None
        self._pinned: Panels = ()
        self._limits: Limits = []

    def pin(self, prior: Any) -> None:
        """Keep a prior in gray behind those that follow."""
        self._pinned_prior, self._pinned = prior, self._panels_of(prior)

    def unpin(self) -> None:
        """Have nothing behind the pictures."""
        self._pinned_prior, self._pinned = None, ()

    def renew(self) -> None:
        """Look at the pinned prior anew, since other panels are wanted."""
        if self._pinned_prior is not None:
            self.pin(self._pinned_prior)

    def paint(self, prior: Any) -> Picture:
        """The picture of a prior; unchanged where it shows the draws of the one before."""
        before, panels = self._panels, self._panels_of(prior)
        self._limits = limits = _steady(panels, self._limits if _alike(panels, before) else [])
        behind = self._pinned if _alike(panels, self._pinned) else ()
        if behind:
            limits = each_union(limits, [panel.limits for panel in behind])
        if self._sheet is None or form(panels, behind) != self._form:
            self._sheet, self._form = Sheet(panels, behind), form(panels, behind)
        png = self._sheet.draw(panels, behind, limits)
        self._panels = panels
        return Picture(png, _same_draws(panels, before))


def _steady(panels: Panels, before: Limits) -> Limits:
    """Limits for new panels: those from before, where these fill them well."""
    now = [panel.limits for panel in panels]
    if not before:
        return now
    return [(steady(n[0], b[0], _ROOM), steady(n[1], b[1], _ROOM)) for n, b in zip(now, before, strict=True)]


def _alike(a: Panels, b: Panels) -> bool:
    """Whether panels show the same variables in the same way."""
    return [(p.labels, p.rows) for p in a] == [(p.labels, p.rows) for p in b]


def _same_draws(a: Panels, b: Panels) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(p.shown, q.shown, equal_nan=True) for p, q in zip(a, b, strict=True)
    )
