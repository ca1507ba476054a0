"""Which panel shows which variable: of the predictive, of curves, of the prior.

Knows the groups of a container; nothing of matplotlib, or of how a container was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from arviz_resampler.containers.container import drawn_groups
from arviz_resampler.errors import ArgumentError
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


def variables(prior: Any, group: str, lines: Sequence[Lines] = (), only: str = "") -> list[Variable]:
    """The variables of a group that have values, with their data; or one of them.

    Parameters
    ----------
    prior : InferenceData or DataTree
    group : {"predictive", "prior"}
    lines : sequence of Lines, optional
    only : str, optional
        Name of one variable.
    """
    groups = drawn_groups(prior)
    draws = _group(prior, groups.predictive if group == "predictive" else groups.latents)
    observed = _group(prior, "observed_data")
    return [
        Variable(str(name), values, observed.get(name), lines)
        for name, values in draws.items()
        if values.size and only in ("", name)
    ]


def predictive_panels(prior: Any, lines: Sequence[Lines] = (), only: str = "") -> list[Panel]:
    """The predictive draws and the data: densities, or a row for each value where there are few."""
    found = variables(prior, "predictive", lines, only)
    if not found:
        raise ArgumentError("there is no predictive to be plotted; take plot='prior'")
    return [_panel(each) for each in found[:_PANELS]]


def curve_panels(
    prior: Any, lines: Sequence[Lines] = (), only: str = "", group: str = "predictive"
) -> list[Panel]:
    """Draws as curves over their plate; each draw keeps its color from prior to prior."""
    found = [each for each in variables(prior, group, lines, only) if each.draws.ndim == 3]
    found = [each for each in found if is_curve(each)] or found
    if not found:
        raise ArgumentError("there is no predictive site with one axis, to be plotted as curves")
    return [curves_panel(each) for each in found[:_PANELS]]


def prior_panels(prior: Any, lines: Sequence[Lines] = (), only: str = "") -> list[Panel]:
    """Densities of the latents, those of a vector one by one where there is room."""
    panels: list[Panel] = []
    for each in variables(prior, "prior", lines, only):
        own = [density_panel(element) for element in _elements(each)] if _size(each) <= _PANELS else []
        panels += own if own and len(panels) + len(own) <= _PANELS else [_panel(each)]
    return panels[:_PANELS]


def is_curve(variable: Variable) -> bool:
    """True if draws have one axis, with ascending numbers for labels that are not a mere count."""
    if not has_axis(variable):
        return False
    labels = variable.draws[variable.draws.dims[-1]].values
    if labels.dtype.kind not in "iuf":
        return False
    return bool((np.diff(labels) > 0).all() and not np.array_equal(labels, np.arange(len(labels))))


def has_axis(variable: Variable) -> bool:
    """True if draws have one axis, along which there is more than one value."""
    return variable.draws.ndim == 3 and variable.draws.shape[-1] > 1


def _panel(variable: Variable) -> Panel:
    """The panel that suits the number of values of a draw."""
    size = _size(variable)
    if size == 1:
        return density_panel(variable)
    return (intervals_panel if size <= _FEW else densities_panel)(variable)


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
    """A group of a container as a dataset; empty where there is none."""
    try:
        group = prior[name]
    except KeyError:
        return {}
    return group.to_dataset() if isinstance(group, xr.DataTree) else group


def _size(variable: Variable) -> int:
    return int(np.prod(variable.draws.shape[2:]))
