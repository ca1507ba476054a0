"""Quantities of a particle dataset: its variables, and statistics that are functions of it.

A statistic keeps the dim ``particle`` and reduces others: ``lambda ds: (ds.y > 80).mean("student")``.
Knows xarray; nothing of weights or programs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from arviz_resampler.analysis.elements import MOST, PARTICLE, Elements, Floats, row_labels
from arviz_resampler.arguments import as_mapping, as_variables
from arviz_resampler.errors import ArgumentError, DrawWarning, quoted, warn

Statistic = Callable[[xr.Dataset], xr.DataArray]

_TRIED = 16  # particles that a statistic is asked for one by one


def split_statistic(statistic: Any) -> tuple[Any, Mapping[str, Statistic]]:
    """Split a ``statistic`` argument into variable names and named functions."""
    if isinstance(statistic, Mapping):
        return [], statistic
    if callable(statistic):
        name = getattr(statistic, "__name__", "statistic")
        return [], {"statistic" if name == "<lambda>" else name: statistic}
    return statistic, {}


def evaluate(
    dataset: xr.Dataset,
    var_names: str | Sequence[str] | None,
    statistics: Mapping[str, Statistic] | None,
) -> dict[str, Elements]:
    """The elements of variables and statistics, by name.

    Parameters
    ----------
    dataset : Dataset
        With the dim ``particle``.
    var_names : str or sequence of str, optional
        Variables; all of them if absent.
    statistics : mapping of str to callable, optional
        Functions of the dataset.

    Raises
    ------
    ArgumentError
        If there is no such variable, or a statistic cannot be used.
    """
    names = as_variables(var_names, [str(name) for name in dataset.data_vars])
    functions = as_mapping("statistics", statistics)
    for name in functions:
        if name in dataset.variables:
            raise ArgumentError(f"the statistic {name!r} has the name of a variable; give it another one")
    if not names and not functions:
        raise ArgumentError("there is nothing to compute: var_names and statistics are empty")
    found = {name: dataset[name] for name in names}
    lost = _lost(dataset) if functions else {}
    for name, function in functions.items():
        found[name] = _decided(_statistic(dataset, name, function, lost), dataset, lost, name, function)
    for name, array in found.items():
        if array.dtype.kind not in "biuf":
            raise ArgumentError(
                f"{name!r} has dtype {array.dtype}, which has no mean: turn it into real numbers"
            )
    return {name: Elements(name, array.transpose(PARTICLE, ...)) for name, array in found.items()}


def _statistic(
    dataset: xr.Dataset, name: str, function: Any, lost: Mapping[str, NDArray[np.bool_]]
) -> xr.DataArray:
    if not callable(function):
        raise ArgumentError(
            f"the statistic {name!r} must be a function of the particle dataset, got {function!r}"
        )
    try:
        array = _applied(function, dataset, lost)
    except Exception as error:
        error.add_note(f"raised by the statistic {name!r}, a function of the particle dataset")
        raise
    if not isinstance(array, xr.DataArray):
        raise ArgumentError(f"the statistic {name!r} must return a DataArray, got {array!r}")
    if PARTICLE not in array.dims:
        raise ArgumentError(
            f"the statistic {name!r} has dims {array.dims}, without 'particle': reduce over other dims "
            f"only, as in .mean('school'). The weighted mean over particles is taken afterwards."
        )
    count, n = array.sizes[PARTICLE], dataset.sizes[PARTICLE]
    if count != n:
        raise ArgumentError(
            f"the statistic {name!r} has {count} values along 'particle', but there are {n} particles, of "
            f"which each needs a value"
        )
    _check_order(name, array, dataset)
    if array.dtype.kind == "f":
        bad = ~np.isfinite(array.transpose(PARTICLE, ...).values.reshape(n, -1)).all(axis=1)
        if bad.any():
            raise ArgumentError(
                f"the statistic {name!r} is NaN or infinite for {int(bad.sum())} of {n} particles; replace "
                f"such values, as in .fillna(0.0)"
            )
    return array


def _applied(function: Statistic, dataset: xr.Dataset, lost: Mapping[str, NDArray[np.bool_]]) -> Any:
    """A statistic of all particles; of a large dataset by parts, where it takes each particle by itself."""
    n = dataset.sizes[PARTICLE]
    length = max(_TRIED, n * MOST // max(1, dataset.nbytes))
    if length >= n:
        return function(dataset.copy())  # what it assigns is its own

    def of(rows: slice) -> Any:
        return function(dataset.isel({PARTICLE: rows}))

    parts = []
    for start in range(0, n, length):
        part = of(slice(start, start + length))
        for rows in _tried(start, min(start + length, n), lost):
            if not _agrees(of(rows), part, slice(rows.start - start, rows.stop - start)):
                return function(dataset.copy())
        parts.append(part)
    return xr.concat(parts, PARTICLE)


def _tried(start: int, stop: int, lost: Mapping[str, NDArray[np.bool_]]) -> Iterator[slice]:
    """Particles of a part that are asked for by themselves: of each part its ends, and what is NaN there."""
    single = {start, stop - 1}
    if not start:
        yield slice(0, stop // 2)
        single.update(i * stop // _TRIED for i in range(_TRIED))
    for bad in lost.values():
        single.update(int(i) + start for i in np.flatnonzero(bad[start:stop])[:1])
    yield from (slice(i, i + 1) for i in sorted(single))


def _agrees(part: Any, whole: Any, rows: slice) -> bool:
    """Whether some particles have by themselves what they have among others."""
    return (
        isinstance(part, xr.DataArray)
        and isinstance(whole, xr.DataArray)
        and PARTICLE in whole.dims
        and part.identical(whole.isel({PARTICLE: rows}))
    )


def _slices(array: xr.DataArray) -> Iterator[slice]:
    """Particles of an array that are looked at together."""
    n = array.sizes[PARTICLE]
    length = max(1, n * MOST // max(1, array.nbytes))
    return (slice(i, i + length) for i in range(0, n, length))


def _lost(dataset: xr.Dataset) -> dict[str, NDArray[np.bool_]]:
    """Particles with a NaN that others do not have there, by variable: their runs failed."""
    lost = {}
    for name, array in dataset.data_vars.items():
        if array.dtype.kind == "f" and array.size and (bad := _nan(array.transpose(PARTICLE, ...))).any():
            lost[str(name)] = bad
    return lost


def _nan(array: xr.DataArray) -> NDArray[np.bool_]:
    """Particles with a NaN that others do not have there."""
    found = np.zeros(array.sizes[PARTICLE], bool)
    always = np.ones(math.prod(array.shape[1:]), bool)
    some: list[tuple[slice, NDArray[np.bool_]]] = []
    for rows in _slices(array):
        values = array[rows].values
        if np.isnan(values.min()):
            some.append((rows, np.isnan(values.reshape(len(values), -1))))
            always &= some[-1][1].all(axis=0)
        else:
            always[:] = False
    for rows, nan in some:
        found[rows] = nan[:, ~always].any(axis=1)
    return found


def _decided(
    array: xr.DataArray,
    dataset: xr.Dataset,
    lost: Mapping[str, NDArray[np.bool_]],
    name: str,
    function: Statistic,
) -> xr.DataArray:
    """A statistic, NaN where it is an event of values that are NaN: a comparison takes these for False."""
    if not lost or not _needs(function, dataset, list(lost), array):
        return array
    open_ = np.any(list(lost.values()), axis=0)
    if array.dtype.kind != "b":
        warn(
            f"the statistic {name!r} is computed from {quoted(lost)}, NaN for {int(open_.sum())} of "
            f"{len(open_)} particles: what it makes of NaN is in its numbers",
            DrawWarning,
        )
        return array
    warn(
        f"{int(open_.sum())} of {len(open_)} particles leave the event {name!r} open, as {quoted(lost)} is "
        f"NaN there: its mean is between bounds",
        DrawWarning,
    )
    return array.where(xr.DataArray(~open_, dims=PARTICLE))


def _needs(function: Statistic, dataset: xr.Dataset, names: list[str], array: xr.DataArray) -> bool:
    """Whether a statistic is computed from some variables: without them it fails, or is another one."""
    try:
        without = function(dataset.drop_vars(names))
        return not np.array_equal(without.values, array.values)
    except Exception:
        return True


def _check_order(name: str, array: xr.DataArray, dataset: xr.Dataset) -> None:
    """Refuse a statistic whose coords say that its particles are others, or in another order."""
    if PARTICLE not in array.indexes:
        return
    wanted, found = dataset.indexes[PARTICLE], array.indexes[PARTICLE]
    if found.equals(wanted):
        return
    if found.is_unique and found.isin(wanted).all():
        what = "in another order: end with .sortby('particle')"
    else:
        what = "with coords that are not theirs: keep the coords, or leave them out"
    raise ArgumentError(f"the statistic {name!r} has the dim 'particle' {what}")


def each_quantity(
    datasets: Mapping[str, xr.Dataset],
    var_names: str | Sequence[str] | None,
    statistics: Mapping[str, Statistic] | None,
) -> Iterator[tuple[str, str, dict[str, Floats]]]:
    """Each scalar of several variants: the name of its array, its label, and its values by variant.

    What variants share is evaluated once, and is one array to all of them.
    """
    distinct = {id(dataset): dataset for dataset in datasets.values()}
    found = {key: evaluate(dataset, var_names, statistics) for key, dataset in distinct.items()}
    rows = row_labels(pair for elements in found.values() for pair in elements.items())
    for name in dict.fromkeys(name for arrays in found.values() for name in arrays):
        sharing: list[tuple[list[str], Elements]] = []
        for variant, dataset in datasets.items():
            elements = found[id(dataset)].get(name)
            if elements is None:
                continue
            variants = next((variants for variants, known in sharing if known.is_same(elements)), None)
            if variants is None:
                sharing.append(([variant], elements))
            else:
                variants.append(variant)
        for label in dict.fromkeys(label for _, elements in sharing for label in elements):
            values: dict[str, Floats] = {}
            for variants, elements in sharing:
                if label in elements:
                    values.update(dict.fromkeys(variants, elements[label]))
            yield (
                name,
                rows[name, label],
                {variant: values[variant] for variant in datasets if variant in values},
            )


def finite_or_none(values: Floats, weights: Floats) -> Floats | None:
    """Finite values, with zero for particles without weight; None if a particle with weight is not finite."""
    bad = ~np.isfinite(values)
    if not bad.any():
        return values
    return None if weights[bad].any() else np.where(bad, 0.0, values)


def warn_unusable(names: Iterable[str]) -> None:
    """Say which quantities were left out, if any."""
    left_out = list(dict.fromkeys(names))
    if left_out:
        warn(
            f"particles with weight are NaN or infinite in {quoted(left_out)}, which get NaN here; pass "
            f"statistics that leave such values out",
            DrawWarning,
        )
