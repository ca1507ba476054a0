"""Plots of fits: targets against what is reached, and the region. Knows matplotlib and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtri

from arviz_resampler.errors import from_extra
from arviz_resampler.markup import COLORS

_WIDTH, _ROW, _LEAST = 9.0, 0.3, 3.2  # inches
_MOST = 4.0  # standard errors of an axis of misses


def plot_fit(
    table: pd.DataFrame, limits: pd.DataFrame, grid: pd.DataFrame, hyper: Mapping[str, float]
) -> Any:
    """Targets against what is reached, in what may be off, and where hyper-parameters may be.

    Parameters
    ----------
    table : DataFrame
        Targets: ``wished``, ``reached``, ``mcse``, ``fresh``, ``mcse_fresh`` and ``tolerance``.
    limits : DataFrame
        ``low`` and ``high`` by hyper-parameter.
    grid : DataFrame
        Positions of one or two hyper-parameters, in the order of ``limits``, with their ``distance``; empty
        for more.
    hyper : mapping of str to number
        The fit.

    Returns
    -------
    Figure
    """
    with from_extra("plot"):
        from matplotlib import pyplot as plt

    height = max(_LEAST, 1.2 + _ROW * max(len(table), len(limits)))
    figure, (left, right) = plt.subplots(1, 2, figsize=(_WIDTH, height), layout="constrained")
    _misses(left, table)
    if len(limits) == 2 and len(grid):
        _plane(right, grid, list(limits.index), hyper)
    else:
        _intervals(right, limits, hyper)
    return figure


def _misses(axes: Any, table: pd.DataFrame) -> None:
    """How far targets are missed: a fresh simulation has the error that counts."""
    places = np.arange(len(table))[::-1]
    for name, error, color, off in (("reached", "mcse", "C0", 0.12), ("fresh", "mcse_fresh", "C1", -0.12)):
        if table[name].notna().any():
            unit = np.hypot(table[error], table["tolerance"].fillna(0.0))
            unit = unit.where(unit > 0)
            shown = ((table[name] - table["wished"]) / unit).clip(-_MOST, _MOST)
            axes.errorbar(
                shown.to_numpy(float), places + off, xerr=1.0, fmt="o", color=color, label=name, markersize=4
            )
    axes.axvline(0.0, color="0.4", linewidth=1, label="wished")
    axes.set_xlim(-_MOST - 1.2, _MOST + 1.2)
    axes.set_yticks(places, table.index)
    axes.set_xlabel("missed, in standard errors and tolerances")
    axes.legend(loc="best", fontsize="small")


def _plane(axes: Any, grid: pd.DataFrame, names: Sequence[str], hyper: Mapping[str, float]) -> None:
    """The region of two hyper-parameters."""
    x, y = names
    first, second = grid.columns[:2]
    plane = grid.pivot(index=second, columns=first, values="distance").sort_index().sort_index(axis=1)
    levels = [0.0, float(chdtri(2, 0.05))]
    axes.contourf(plane.columns, plane.index, plane, levels=levels, colors=["C0"], alpha=0.3)
    axes.plot(hyper[x], hyper[y], "x", color=COLORS["unreliable"], label="fit")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title("misfit within its noise", fontsize="medium")
    axes.legend(loc="best", fontsize="small")


def _intervals(axes: Any, limits: pd.DataFrame, hyper: Mapping[str, float]) -> None:
    """The regions of hyper-parameters one by one, each between its ends."""
    places = np.arange(len(limits))[::-1]
    for place, (name, row) in zip(places, limits.iterrows(), strict=True):
        width = (row["high"] - row["low"]) or 1.0
        axes.plot([0.0, 1.0], [place, place], color="C0", linewidth=4, alpha=0.4, solid_capstyle="butt")
        axes.plot((hyper[str(name)] - row["low"]) / width, place, "x", color=COLORS["unreliable"])
        for end, at, side in ((row["low"], 0.0, "right"), (row["high"], 1.0, "left")):
            axes.annotate(
                f" {end:.3g} ", (at, place), ha=side, va="center", fontsize="small", annotation_clip=False
            )
    axes.set_yticks(places, limits.index)
    axes.set_xlim(-0.4, 1.4)
    axes.set_xticks([])
    axes.set_title("misfit within its noise", fontsize="medium")
