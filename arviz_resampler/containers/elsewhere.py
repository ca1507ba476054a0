"""Draws that come from elsewhere: of any container, dataset, table or mapping, particles first.

Knows arrays; nothing of sites, programs or densities.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from arviz_resampler.arguments import as_array
from arviz_resampler.containers.alignment import as_labels
from arviz_resampler.containers.arrays import Array
from arviz_resampler.containers.container import Groups, groups_of
from arviz_resampler.containers.labels import SAMPLE_DIMS
from arviz_resampler.errors import ArgumentError, describe, quoted, suggestion
from arviz_resampler.sites import name_axes

_WEIGHTS = ("log_weight", "log_weights")
_ALONE = ("particle", "sample", "draw")  # what the one dim of draws may be called


class Variable(NamedTuple):
    """Values of one variable, and the names of their axes.

    Attributes
    ----------
    values : ndarray
        Shape (N, ...).
    dims : tuple of str
        Of all axes but the first.
    """

    values: Array
    dims: tuple[str, ...]


@dataclass(frozen=True)
class Draws:
    """Draws as they were found.

    Attributes
    ----------
    variables, predictive : dict of str to Variable
        Latents and all that is no prediction, and predictions; a dataset without groups has all of them in
        the first.
    num_chains : int
        How many chains the draws are of, one after the other.
    ids : ndarray or None
        What draws are called, where they are not counted alone.
    coords : dict of str to ndarray
        Labels by dim.
    observed, constant : dict of str to DataArray
        Data.
    log_prior : dict of str to ndarray
        Log density by variable, shape (N,).
    log_likelihood : ndarray or None
        Of all data, shape (N,).
    grouped : bool
        Whether they come from a container, whose groups tell predictions from the others.
    """

    variables: dict[str, Variable]
    predictive: dict[str, Variable]
    num_chains: int
    ids: Array | None = None
    coords: dict[str, Array] = field(default_factory=dict)
    observed: dict[str, xr.DataArray] = field(default_factory=dict)
    constant: dict[str, xr.DataArray] = field(default_factory=dict)
    log_prior: dict[str, Array] = field(default_factory=dict)
    log_likelihood: Array | None = None
    grouped: bool = False

    @property
    def num_draws(self) -> int:
        """N."""
        return len(next(iter(self.variables.values())).values)


def read_draws(given: Any, groups: Groups, *, chains: bool = False) -> Draws:
    """Draws of a container, a dataset, a table or a mapping.

    Parameters
    ----------
    given : InferenceData, DataTree, Dataset, DataFrame or mapping of str to array_like
        The draws.
    groups : Groups
        Which groups of a container have them.
    chains : bool, default False
        Whether arrays of a mapping have chains and draws as their first axes, not draws alone.

    Raises
    ------
    ArgumentError
        If it is none of these, has no such group, or its variables do not go together.
    """
    found = _read(given, groups, chains=chains)
    if not found.num_draws:
        raise ArgumentError("there are no draws")
    return found


def _read(given: Any, groups: Groups, *, chains: bool) -> Draws:
    if isinstance(given, xr.DataTree) or _is_inference_data(given):
        return _of_container(given, groups)
    if isinstance(given, xr.Dataset):
        return _of_dataset(given)
    if isinstance(given, pd.DataFrame):
        return _of_table(given)
    if isinstance(given, Mapping):
        return _of_mapping(given, chains=chains)
    raise ArgumentError(
        f"draws must be an InferenceData, a DataTree, a Dataset, a DataFrame or a mapping of arrays, got "
        f"{describe(given)}"
    )


def _is_inference_data(given: Any) -> bool:
    return callable(getattr(given, "groups", None))


# ---------------------------------------------------------------- containers


def _of_container(given: Any, groups: Groups) -> Draws:
    found = {name: _own_names(group, given.attrs) for name, group in groups_of(given).items()}
    if groups.latents not in found:
        raise ArgumentError(
            f"the container has no group {groups.latents!r}; it has {quoted(found)}."
            f"{suggestion(groups.latents, found)}"
        )
    for name in groups:
        _refuse_weights(f"group {name!r} has", found.get(name, {}))
    main = _of_dataset(found[groups.latents])
    predictive = _of_dataset(found[groups.predictive]) if groups.predictive in found else None
    if predictive is not None and predictive.num_draws != main.num_draws:
        raise ArgumentError(
            f"group {groups.latents!r} has {main.num_draws} draws, {groups.predictive!r} has "
            f"{predictive.num_draws}: each draw needs its prediction"
        )
    data = {name: found.get(name, xr.Dataset()) for name in ("observed_data", "constant_data")}
    log_prior = _sums(found.get("log_prior"), "log_prior", main.num_draws)
    log_likelihood = _sums(found.get("log_likelihood"), "log_likelihood", main.num_draws)
    return Draws(
        main.variables,
        {} if predictive is None else predictive.variables,
        main.num_chains,
        main.ids,
        {**_labels(data["observed_data"]), **(predictive.coords if predictive else {}), **main.coords},
        {str(name): values for name, values in data["observed_data"].items()},
        {str(name): values for name, values in data["constant_data"].items()} | main.constant,
        log_prior,
        np.sum(list(log_likelihood.values()), axis=0) if log_likelihood else None,
        grouped=True,
    )


def _own_names(group: xr.Dataset, attrs: Mapping[Any, Any]) -> xr.Dataset:
    """A group under the names of the sites, where this package had to change them."""
    renamed = json.loads(attrs["renamed"]) if "renamed" in attrs else {}
    back = {new: old.removeprefix("dim ").split(" of ")[0] for old, new in renamed.items()}
    here = {new: old for new, old in back.items() if new in group.variables or new in group.dims}
    dims = {new: old for new, old in here.items() if new in group.dims}
    return group.rename_vars({n: o for n, o in here.items() if n not in dims}).rename_dims(dims)


def _refuse_weights(where: str, names: Iterable[Any]) -> None:
    for name in names:
        if name in _WEIGHTS:
            raise ArgumentError(
                f"{where} {name!r}: draws with weights were not drawn from the density that they stand for. "
                f"Drop the weights, and pass log_q=, the log density that they were drawn from: that which "
                f"they stand for, less the log weight"
            )


def _sums(group: xr.Dataset | None, name: str, num_draws: int) -> dict[str, Array]:
    """Log densities by variable, summed over all that is no draw."""
    if group is None:
        return {}
    found = {
        variable: values.reshape(len(values), -1).sum(1, dtype=np.float64)
        for variable, (values, _) in _of_dataset(group).variables.items()
    }
    for variable, values in found.items():
        if len(values) != num_draws:
            raise ArgumentError(
                f"group {name!r} has {len(values)} draws of {variable!r}, but there are {num_draws}"
            )
    return found


# ---------------------------------------------------------------- datasets, tables, mappings


def _of_dataset(given: xr.Dataset) -> Draws:
    if not given.data_vars:
        raise ArgumentError("the draws have no variable")
    _refuse_weights("the draws have", given)
    front = _sample_dims(given)
    drawn = {str(n): values for n, values in given.data_vars.items() if set(front) <= set(values.dims)}
    if not drawn:
        raise ArgumentError(f"no variable has the dims {quoted(map(str, front))}, which number the draws")
    sizes = [given.sizes[dim] for dim in front]
    variables = {}
    for name, values in drawn.items():
        array = as_array(name, values.transpose(*front, ...))
        dims = tuple(str(dim) for dim in values.dims if dim not in front)
        variables[name] = Variable(array.reshape(-1, *array.shape[len(front) :]), dims)
    shared = {str(name): values for name, values in given.data_vars.items() if str(name) not in drawn}
    chains = sizes[0] if len(front) > 1 else 1
    ids = _ids(given, front[0]) if len(front) == 1 else None
    return Draws(variables, {}, chains, ids, _labels(given, front), {}, shared)


def _sample_dims(given: xr.Dataset) -> tuple[Any, ...]:
    """The dims that number draws."""
    said = given.attrs.get("sample_dims")
    if said is not None and set(np.atleast_1d(said)) <= set(given.dims):
        return tuple(np.atleast_1d(said).tolist())
    if set(SAMPLE_DIMS) <= set(given.dims):
        return SAMPLE_DIMS
    for dim in _ALONE:
        if dim in given.dims:
            return (dim,)
    common = set.intersection(*(set(values.dims) for values in given.data_vars.values()))
    if len(common) != 1:
        raise ArgumentError(
            f"it is not known which dim numbers the draws: the dims are {quoted(map(str, given.dims))}. Call "
            f"it 'particle', or 'chain' and 'draw'"
        )
    return tuple(common)


def _ids(given: xr.Dataset, dim: Any) -> Array | None:
    index = given.indexes.get(dim)
    if index is None or isinstance(index, pd.MultiIndex) or index.equals(pd.RangeIndex(len(index))):
        return None
    return as_labels(str(dim), index)


def _labels(given: xr.Dataset, without: Sequence[Any] = ()) -> dict[str, Array]:
    """Labels by dim that are more than a count."""
    return {
        str(dim): as_labels(str(dim), index)
        for dim, index in given.indexes.items()
        if dim in given.dims and dim not in without and not index.equals(pd.RangeIndex(len(index)))
    }


def _of_table(given: pd.DataFrame) -> Draws:
    names = [str(name) for name in given.columns]
    if len(set(names)) < len(names) or not len(given) or not names:
        raise ArgumentError(
            f"a table of draws needs a row for each draw and a column for each variable, under a name of "
            f"its own; got shape {given.shape} with columns {quoted(names)}"
        )
    variables = {name: Variable(as_array(name, given.iloc[:, i]), ()) for i, name in enumerate(names)}
    counted = given.index.equals(pd.RangeIndex(len(given)))
    _refuse_weights("the draws have", variables)
    return Draws(variables, {}, 1, None if counted else as_labels("particle", given.index))


def _check_lengths(name: str, values: Any) -> None:
    """Refuse a list of chains of which some are longer."""
    if isinstance(values, list | tuple):
        lengths = [len(part) for part in values if isinstance(part, Sized)]
        if len(set(lengths)) > 1:
            raise ArgumentError(
                f"{name!r} has chains, or draws, of unequal length: {', '.join(map(str, lengths[:8]))}"
            )


def _of_mapping(given: Mapping[Any, Any], *, chains: bool) -> Draws:
    if not given:
        raise ArgumentError("the draws have no variable")
    front = 2 if chains else 1
    variables, lengths, ids = {}, {}, None
    coords: dict[str, Array] = {}
    for key, values in given.items():
        name = str(key)
        if isinstance(values, xr.DataArray):
            one = _of_dataset(values.to_dataset(name=name))
            variables[name] = one.variables[name]
            lengths[name] = one.num_chains if chains else 1, one.num_draws
            coords |= one.coords
            ids = one.ids if ids is None else ids
            continue
        _check_lengths(name, values)
        array = as_array(name, values)
        if array.ndim < front:
            what = "chains and draws as its first axes" if chains else "draws as its first axis"
            raise ArgumentError(f"{name!r} must have {what}, got shape {array.shape}")
        shape = array.shape[front:]
        lengths[name] = (array.shape[0] if chains else 1, int(np.prod(array.shape[:front])))
        variables[name] = Variable(array.reshape(-1, *shape), name_axes(name, [None] * len(shape)))
    if len(set(lengths.values())) > 1:
        each = (
            f"{name!r} has {n}" + (f" in chains of {n // max(c, 1)}" if chains else "")
            for name, (c, n) in lengths.items()
        )
        told = ", ".join(each)
        raise ArgumentError(f"all variables must have the same number of draws and chains: {told}")
    _refuse_weights("the draws have", variables)
    return Draws(variables, {}, next(iter(lengths.values()))[0], ids, coords)
