"""Colors, markers and signs of verdicts. Knows matplotlib's names alone."""

from __future__ import annotations

from typing import Any

COLORS = {"good": "#2a7f3e", "low": "#b26b00", "unreliable": "#c0392b", "failed": "#555555"}
SIGNS = {"good": "✔", "low": "▲", "unreliable": "✖", "failed": "✖"}
_MARKERS = {"good": "o", "low": "^", "unreliable": "x", "failed": "+"}


def style(verdict: str) -> dict[str, Any]:
    """Color and marker of a verdict in a scatter plot, and its label in the legend."""
    return {"color": COLORS[verdict], "marker": _MARKERS[verdict], "label": verdict, "zorder": 2}
