"""Colors and markers of verdicts in plots. Knows matplotlib's names alone."""

from __future__ import annotations

from typing import Any

from arviz_resampler.markup import COLORS

_MARKERS = {"good": "o", "low": "^", "unreliable": "x", "failed": "+"}


def style(verdict: str) -> dict[str, Any]:
    """Color and marker of a verdict in a scatter plot, and its label in the legend."""
    return {"color": COLORS[verdict], "marker": _MARKERS[verdict], "label": verdict, "zorder": 2}
