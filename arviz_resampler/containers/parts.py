"""Variables of one dataset, table or array, particles first, and what numbers their draws. Knows arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from arviz_resampler.containers.alignment import as_labels
from arviz_resampler.containers.arrays import Array
from arviz_resampler.containers.labels import SAMPLE_DIMS
from arviz_resampler.containers.matching import (
    Part,
    Rows,
    Variable,
    are_counts,
    by_chain,
    counters,
    ids_of,
    native,
)
from arviz_resampler.errors import ArgumentError, quoted
from arviz_resampler.sites import name_axes

_WEIGHTS = {"log_weight", "log_weights", "log_w", "importance_weight", "importance_weights"}
_MAYBE_WEIGHTS = {"weight", "weights"}  # a variable of this name may be a latent
ALONE = ("particle", "sample", "draw")  # what the one dim of draws may be called


def refuse_weights(where: str, names: Iterable[Any], certain: Iterable[Any] = ()) -> None:
    """Refuse weights by their names, some of which are weights only where they are no variables."""
    for name in [*(set(map(str, names)) & _WEIGHTS), *(set(map(str, certain)) & _MAYBE_WEIGHTS)]:
        raise ArgumentError(
            f"{where} {name!r}: draws with weights were not drawn from the density that they stand for. "
            f"Drop the weights, and pass log_q=, the log density that they were drawn from: that which "
            f"they stand for, less the log weight"
        )


def of_dataset(given: xr.Dataset, *, chains: bool) -> Part:
    """Variables of a dataset."""
    if not given.data_vars:
        raise ArgumentError("the draws have no variable")
    front = _sample_dims(given)
    own = [str(name) for name, values in given.variables.items() if set(front) & set(values.dims)]
    refuse_weights("the draws have", own, [name for name in own if name in given.coords])
    counts = [name for name in counters(own) if given[name].dims == front]
    found = _by_chain([given[name].to_index() for name in counts], chains=chains)
    rows, order = (_rows_of(given, front), None) if found is None else found
    drawn = _drawn(given if found is None else given.drop_vars(set(counts) & set(given.data_vars)), front)
    if all(tuple(dim for dim in values.dims if dim in front) != front for values in drawn.values()):
        came = np.arange(rows.num_draws).reshape(rows.sizes[::-1]).T.reshape(-1)  # draws before chains
        rows = rows._replace(came=came)
    variables = {}
    for name, values in drawn.items():
        array = native(name, values.transpose(*front, ...))
        array = array.reshape(-1, *array.shape[len(front) :])
        dims = tuple(str(dim) for dim in values.dims if dim not in front)
        variables[name] = Variable(array if order is None else array[order], dims)
    shared = {
        str(name): values for name, values in given.data_vars.items() if not set(front) & set(values.dims)
    }
    return Part(variables, rows, labels_of(given, front), shared)


def _drawn(given: xr.Dataset, front: Sequence[Any]) -> dict[str, xr.DataArray]:
    """Variables that have a value for each draw."""
    every = {str(name): values for name, values in given.data_vars.items()}
    drawn = {name: values for name, values in every.items() if set(front) <= set(values.dims)}
    if not drawn:
        raise ArgumentError(f"no variable has the dims {quoted(map(str, front))}, which number the draws")
    for name, values in every.items():
        if name not in drawn and set(front) & set(values.dims):
            raise ArgumentError(
                f"{name!r} has dims {values.dims}, but draws are numbered by {quoted(map(str, front))}: give "
                f"it all of these, or none"
            )
    return drawn


def _rows_of(given: xr.Dataset, front: Sequence[Any]) -> Rows:
    """What numbers the draws."""
    indexes = [given.indexes.get(dim) for dim in front]
    if len(front) > 1:
        chain, draw = (None if one is None else pd.Index(as_labels("draw", one)) for one in indexes)
        return Rows((given.sizes[front[0]], given.sizes[front[1]]), (chain, draw), tuple(map(str, front)))
    dim = str(front[0])
    labels = None if indexes[0] is None else ids_of(dim, indexes[0])
    return Rows((1, given.sizes[front[0]]), (None, labels), (dim,))


def _by_chain(given: Sequence[Any], *, chains: bool) -> tuple[Rows, Array | None] | None:
    """Draws that say which chain they are of; nothing where these are values of something else."""
    labels = [as_labels("draw", values) for values in given[:2]]
    if len(labels) < 2 or not len(labels[0]) or not are_counts(labels):
        return None
    return by_chain(*labels, strict=chains)


def _sample_dims(given: xr.Dataset) -> tuple[Any, ...]:
    """The dims that number draws."""
    said = given.attrs.get("sample_dims")
    dims = () if said is None else tuple(np.atleast_1d(said).tolist())
    if dims and set(dims) <= set(given.dims) and set(dims) != set(SAMPLE_DIMS):
        return dims
    if set(SAMPLE_DIMS) <= set(given.dims):
        return SAMPLE_DIMS
    for dim in ALONE:
        if dim in given.dims:
            return (dim,)
    common = set.intersection(*(set(values.dims) for values in given.data_vars.values()))
    if len(common) != 1:
        raise ArgumentError(
            f"it is not known which dim numbers the draws: the dims are {quoted(map(str, given.dims))}. Call "
            f"it 'particle', or 'chain' and 'draw'"
        )
    return tuple(common)


def labels_of(given: xr.Dataset, without: Sequence[Any] = ()) -> dict[str, Array]:
    """Labels by dim."""
    return {
        str(dim): as_labels(str(dim), index)
        for dim, index in given.indexes.items()
        if dim in given.dims and dim not in without
    }


def of_table(given: pd.DataFrame, *, chains: bool) -> Part:
    """Columns of a table."""
    levels = counters(map(str, given.index.names))
    if levels and not set(levels) & set(given.columns):
        given = given.reset_index(level=levels)
    names = [str(name) for name in given.columns]
    if len(set(names)) < len(names) or not len(given) or not names:
        raise ArgumentError(
            f"a table of draws needs a row for each draw and a column for each variable, under a name of "
            f"its own; got shape {given.shape} with columns {quoted(names)}"
        )
    refuse_weights("the draws have", names)
    columns = {name: given.iloc[:, i] for i, name in enumerate(names)}
    counts = counters(names)
    found = _by_chain([columns[name] for name in counts], chains=chains)
    if found is None:
        counted = isinstance(given.index, pd.RangeIndex) and given.index.equals(pd.RangeIndex(len(given)))
        labels = ids_of("particle", given.index)
        rows, order = Rows((1, len(given)), (None, labels), by_default=counted), None
    else:
        rows, order = found
        columns = {name: column for name, column in columns.items() if name not in counts}
    if not columns:
        raise ArgumentError("the draws have no variable")
    arrays = {name: native(name, column) for name, column in columns.items()}
    variables = {name: Variable(a if order is None else a[order], ()) for name, a in arrays.items()}
    return Part(variables, rows, {}, {})


def _check_lengths(name: str, values: Any) -> None:
    """Refuse a list of chains of which some are longer."""
    if isinstance(values, list | tuple):
        lengths = [len(part) for part in values if isinstance(part, Sized)]
        if len(set(lengths)) > 1:
            raise ArgumentError(
                f"{name!r} has chains, or draws, of unequal length: {', '.join(map(str, lengths[:8]))}"
            )


def of_array(name: str, values: Any, *, chains: bool) -> Part:
    """One variable of a mapping."""
    if isinstance(values, xr.DataArray):
        part = of_dataset(values.to_dataset(name=name), chains=chains)
        return part._replace(variables={name: part.variables[name]})
    if isinstance(values, pd.Series) and (not chains or counters(map(str, values.index.names))):
        return of_table(values.to_frame(name), chains=chains)
    _check_lengths(name, values)
    array = native(name, values)
    front = 2 if chains else 1
    if array.ndim < front:
        what = "chains and draws as its first axes" if chains else "draws as its first axis"
        raise ArgumentError(f"{name!r} must have {what}, got shape {array.shape}")
    shape = array.shape[front:]
    sizes = (array.shape[0], array.shape[1]) if chains else (1, array.shape[0])
    variable = Variable(array.reshape(sizes[0] * sizes[1], *shape), name_axes(name, [None] * len(shape)))
    return Part({name: variable}, Rows(sizes, dims=SAMPLE_DIMS if chains else ("particle",)), {}, {})
