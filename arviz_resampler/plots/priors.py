"""Plots that the widget knows by name: of the predictive, of curves, of the prior.

Knows the groups of a container, and which panel shows which variable; nothing of matplotlib, or of how a
container was made.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from arviz_resampler.containers.container import drawn_groups
from arviz_resampler.errors import ArgumentError, quoted
from arviz_resampler.plots.figures import Easel, Painter
from arviz_resampler.plots.kept import KeptFigure
from arviz_resampler.plots.lines import Lines
from arviz_resampler.plots.panels import (
    Panel,
    Variable,
    curves_panel,
    densities_panel,
    density_panel,
    intervals_panel,
)

_PANELS = 6
_FEW = 12  # values of a draw that have a row each


def default_panels(prior: Any, lines: Sequence[Lines] = ()) -> list[Panel]:
    """Curves where the predictive has an x-axis, else the predictive, else the prior."""
    predictive = _group(prior, drawn_groups(prior).predictive)
    if predictive is None:
        return prior_panels(prior, lines)
    curves = any(map(_is_curve, predictive.values()))
    return curve_panels(prior, lines) if curves else predictive_panels(prior, lines)


def predictive_panels(prior: Any, lines: Sequence[Lines] = ()) -> list[Panel]:
    """The predictive draws and the data: densities, or a row for each value where there are few."""
    predictive = _group(prior, drawn_groups(prior).predictive)
    found = [] if predictive is None else list(_variables(prior, predictive, lines))
    if not found:
        raise ArgumentError("there is no predictive to be plotted; take plot='prior'")
    return [_panel(each) for each in found[:_PANELS]]


def curve_panels(prior: Any, lines: Sequence[Lines] = ()) -> list[Panel]:
    """Predictive draws as curves over their plate; each draw keeps its color from prior to prior."""
    predictive = _group(prior, drawn_groups(prior).predictive)
    found = [] if predictive is None else list(_variables(prior, predictive, lines))
    found = [each for each in found if each.draws.ndim == 3]
    found = [each for each in found if _is_curve(each.draws)] or found
    if not found:
        raise ArgumentError("there is no predictive site with one axis, to be plotted as curves")
    return [curves_panel(each) for each in found[:_PANELS]]


def prior_panels(prior: Any, lines: Sequence[Lines] = ()) -> list[Panel]:
    """Densities of the latents, those of a vector one by one where there is room."""
    latents = _group(prior, drawn_groups(prior).latents)
    panels: list[Panel] = []
    for each in _variables(prior, latents, lines):
        own = [density_panel(element) for element in _elements(each)] if _size(each) <= _PANELS else []
        panels += own if own and len(panels) + len(own) <= _PANELS else [_panel(each)]
    return panels[:_PANELS]


PLOTS: dict[str, Callable[..., list[Panel]]] = {
    "predictive": predictive_panels,
    "curves": curve_panels,
    "prior": prior_panels,
}


def resolve(plot: Any, lines: Sequence[Lines] = ()) -> Painter:
    """What draws the plot that a user asked for: by a function of theirs, or one by name that has lines."""
    if plot is None:
        return KeptFigure(functools.partial(default_panels, lines=lines))
    if isinstance(plot, str) and plot in PLOTS:
        return KeptFigure(functools.partial(PLOTS[plot], lines=lines))
    if not callable(plot):
        raise ArgumentError(f"plot must be a function of a prior or one of {quoted(PLOTS)}, got {plot!r}")
    return Easel(plot)


def _panel(variable: Variable) -> Panel:
    """The panel that suits the number of values of a draw."""
    size = _size(variable)
    if size == 1:
        return density_panel(variable)
    return (intervals_panel if size <= _FEW else densities_panel)(variable)


def _variables(prior: Any, group: xr.Dataset, lines: Sequence[Lines]) -> Iterator[Variable]:
    """The variables of a group that have values, with their data."""
    observed = _group(prior, "observed_data")
    for name, draws in group.items():
        data = observed[name] if observed is not None and name in observed else None
        if draws.size:
            yield Variable(str(name), draws, data, lines)


def _elements(variable: Variable) -> Iterator[Variable]:
    """A vector as variables of one number each, with the lines of the vector."""
    if _size(variable) == 1:
        yield variable
        return
    dims = variable.draws.dims[2:]
    for index in np.ndindex(variable.draws.shape[2:]):
        element = variable.draws.isel(dict(zip(dims, index, strict=True)))
        label = ", ".join(str(element[dim].item()) for dim in dims)
        name = f"{variable.name}[{label}]"
        yield Variable(
            name, element, None, [{name: each.get(variable.name, ())} for each in variable.given_lines]
        )


def _group(prior: Any, name: str) -> Any:
    """A group of a container as a dataset, or None where there is none."""
    try:
        group = prior[name]
    except KeyError:
        return None
    return group.to_dataset() if isinstance(group, xr.DataTree) else group


def _size(variable: Variable) -> int:
    return int(np.prod(variable.draws.shape[2:]))


def _is_curve(values: Any) -> bool:
    """True if draws have one axis, with ascending numbers for labels that are not a mere count."""
    if values.ndim != 3:
        return False
    labels = values[values.dims[-1]].values
    if labels.dtype.kind not in "iuf" or len(labels) < 2:
        return False
    return bool((np.diff(labels) > 0).all() and not np.array_equal(labels, np.arange(len(labels))))
