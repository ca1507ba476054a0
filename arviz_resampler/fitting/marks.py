"""Where targets lie on the axis of a variable. Knows targets and datasets."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr

from arviz_resampler.fitting.targets import Target
from arviz_resampler.plots.lines import Line

_DIGITS = 12


def lines_of(dataset: xr.Dataset, targets: Mapping[str, Target]) -> dict[str, list[Line]]:
    """Values of variables that targets are about, by variable: of statistics that are the variable itself.

    That is so of ``ds.y``, and of an event such as ``ds.y > 50``, whose limit is found from the particles.
    """
    found: dict[str, list[Line]] = {}
    for target in targets.values():
        array = target.statistic(dataset)
        name = str(array.name)
        if name not in dataset.data_vars or set(array.dims) != set(dataset[name].dims):
            continue
        values = dataset[name].transpose(*array.dims)
        if array.dtype.kind == "b":
            limit = _limit(np.ravel(array.values), np.ravel(values.values))
            shown = [] if limit is None else [limit]
        elif array.equals(values):
            shown = list(target.limits) if target.limits is not None else [target.value]
            shown = shown if target.kind != "sd" else []
        else:
            continue
        found.setdefault(name, []).extend(Line(value, "target") for value in shown)
    return found


def _limit(event: np.ndarray, values: np.ndarray) -> float | None:
    """The value that parts those where an event happens from the others, if one does."""
    if event.all() or not event.any():
        return None
    yes, no = values[event], values[~event]
    for low, high in ((no.max(), yes.min()), (yes.max(), no.min())):
        if low <= high:
            return _shortest(float(low), float(high))
    return None


def _shortest(low: float, high: float) -> float:
    """The number of fewest digits from low to high."""
    size = math.floor(math.log10(max(abs(low), abs(high), 1e-300)))
    for digits in range(-size, _DIGITS - size):
        number = round((low + high) / 2, digits)
        if low <= number <= high:
            return number
    return (low + high) / 2
