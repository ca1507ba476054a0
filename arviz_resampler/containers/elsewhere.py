"""Draws that come from elsewhere: of any container, dataset, table or mapping, particles first.

Knows arrays; nothing of sites, programs or densities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from arviz_resampler.arguments import as_array
from arviz_resampler.containers.arrays import Array
from arviz_resampler.containers.container import OF_POSTERIOR, Groups, groups_of
from arviz_resampler.containers.labels import SAMPLE_DIMS
from arviz_resampler.containers.matching import Part, Rows, Variable, joined, order_of
from arviz_resampler.containers.own_names import own_names
from arviz_resampler.containers.parts import ALONE, labels_of, of_array, of_dataset, of_table, refuse_weights
from arviz_resampler.errors import ArgumentError, describe, quoted, suggestion

_DATA = ("observed_data", "constant_data")


@dataclass(frozen=True)
class Draws:
    """Draws as they were found.

    Attributes
    ----------
    variables, predictive : dict of str to Variable
        Latents and all that is no prediction, and predictions; a dataset without groups has all of them in
        the first.
    rows : Rows
        What numbers the draws, of one chain after the other.
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
    rows: Rows
    coords: dict[str, Array] = field(default_factory=dict)
    observed: dict[str, xr.DataArray] = field(default_factory=dict)
    constant: dict[str, xr.DataArray] = field(default_factory=dict)
    log_prior: dict[str, Array] = field(default_factory=dict)
    log_likelihood: Array | None = None
    grouped: bool = False

    @property
    def num_draws(self) -> int:
        """N."""
        return self.rows.num_draws

    @property
    def num_chains(self) -> int:
        """How many chains the draws are of."""
        return self.rows.sizes[0]

    @property
    def ids(self) -> Array | None:
        """What draws are called, where they are not counted alone."""
        labels = self.rows.labels[1]
        if len(self.rows.dims) > 1 or labels is None or labels.equals(pd.RangeIndex(len(labels))):
            return None
        return np.array(labels)


def read_draws(given: Any, groups: Groups, *, chains: bool = False) -> Draws:
    """Draws of a container, a dataset, a table or a mapping.

    Parameters
    ----------
    given : InferenceData, DataTree, Dataset, DataFrame or mapping of str to array_like
        The draws.
    groups : Groups
        Which groups of a container have them.
    chains : bool, default False
        Whether draws are of chains, that must be whole, and arrays of a mapping have chains and draws as
        their first axes, not draws alone.

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
        return _of_container(given, groups, chains=chains)
    if isinstance(given, xr.DataArray) and given.name is not None:
        given = given.to_dataset()
    if isinstance(given, xr.Dataset):
        return _alone(of_dataset(given, chains=chains))
    if isinstance(given, pd.DataFrame):
        return _alone(of_table(given, chains=chains))
    if isinstance(given, Mapping):
        return _of_mapping(given, chains=chains)
    raise ArgumentError(
        f"draws must be an InferenceData, a DataTree, a Dataset, a DataFrame or a mapping of arrays, got "
        f"{describe(given)}"
    )


def _is_inference_data(given: Any) -> bool:
    return callable(getattr(given, "groups", None))


def _alone(part: Part) -> Draws:
    known = {dim: ("", labels) for dim, labels in part.coords.items()}
    return Draws(part.variables, {}, part.rows, _clear(known, part.variables, part.shared), {}, part.shared)


def by_draw(values: Any, found: Draws, name: str) -> Array:
    """An array over draws, or over chains and draws, in one axis and in the order of the draws.

    Parameters
    ----------
    values : array_like
        Aligned by the labels that it has; in the order in which the draws came where it has none.
    found : Draws
        The draws.
    name : str
        Of the values, for messages.

    Returns
    -------
    ndarray
        Of another shape where the values have another number.

    Raises
    ------
    ArgumentError
        If they are no numbers, or numbers of other draws.
    """
    try:
        array = as_array(name, values)
    except ArgumentError:
        raise ArgumentError(
            f"{name} must be a number for each draw, or such numbers by latent, got {describe(values)}"
        ) from None
    if array.size != found.num_draws:
        return array
    if isinstance(values, pd.DataFrame):
        values = values.iloc[:, 0]
    if isinstance(values, xr.DataArray | pd.Series):
        part = of_array(name, values, chains=False)
        flat = len(found.rows.dims) == 1 or len(part.rows.dims) == 1
        return part.like(found.rows, ("the draws", name), totals=flat).variables[name].values.reshape(-1)
    chains = array.ndim > 1 and found.num_chains > 1
    if chains and array.shape != found.rows.sizes:
        return array
    rows = Rows(found.rows.sizes if chains else (1, array.size))
    order = order_of(found.rows, rows, ("the draws", name), totals=True)
    return array.reshape(-1) if order is None else array.reshape(-1)[order]


# ---------------------------------------------------------------- containers


def _of_container(given: Any, groups: Groups, *, chains: bool) -> Draws:
    found = groups_of(given)
    if groups.latents not in found:
        raise ArgumentError(
            f"the container has no group {groups.latents!r}; it has {quoted(found)}."
            f"{suggestion(groups.latents, found)}"
        )
    for name, group in found.items():
        _refuse_weights_of_group(name, group)
    names = own_names(given.attrs, found)
    main = names.part(of_dataset(found[groups.latents], chains=chains))
    known: dict[str, tuple[str, Array]] = {}
    main = main.with_labels(known, f"group {groups.latents!r}")
    others = {}
    for name in (groups.predictive, *_log_densities(found, groups)):
        if name in found:
            both = f"group {groups.latents!r}", f"group {name!r}"
            others[name] = names.part(of_dataset(found[name], chains=chains)).like(main.rows, both)
    predictive: dict[str, Variable] = {}
    if groups.predictive in others:
        predictive = others[groups.predictive].with_labels(known, f"group {groups.predictive!r}").variables
    data = {name: found.get(name, xr.Dataset()) for name in _DATA}
    observed, constant = (names.data(group.data_vars) for group in data.values())
    for dim, labels in labels_of(data["observed_data"]).items():
        known.setdefault(names.dims.get(dim, dim), ("group 'observed_data'", labels))
    constant |= main.shared
    return Draws(
        main.variables,
        predictive,
        main.rows,
        _clear(known, main.variables, predictive, observed, constant),
        observed,
        constant,
        _sums(others.get("log_prior")),
        _total(_sums(others.get("log_likelihood"))),
        grouped=True,
    )


def _log_densities(found: Mapping[str, xr.Dataset], groups: Groups) -> tuple[str, ...]:
    """Groups of log densities at the draws: where there is a posterior, they are of this."""
    of_others = OF_POSTERIOR.latents in found and groups.latents != OF_POSTERIOR.latents
    return () if of_others else ("log_prior", "log_likelihood")


def _clear(known: Mapping[str, tuple[str, Array]], *arrays: Mapping[str, Any]) -> dict[str, Array]:
    """Labels by dim that are more than a count, of dims that have one size."""
    sizes: dict[str, set[int]] = {}
    for one in (one for group in arrays for one in group.values()):
        shape = one.values.shape[one.values.ndim - len(one.dims) :]
        for dim, size in zip(map(str, one.dims), shape, strict=True):
            sizes.setdefault(dim, set()).add(size)
    return {
        dim: labels
        for dim, (_, labels) in known.items()
        if sizes.get(dim) == {len(labels)} and not pd.Index(labels).equals(pd.RangeIndex(len(labels)))
    }


def _refuse_weights_of_group(name: str, group: xr.Dataset) -> None:
    if name in _DATA:  # where a log_weight is what somebody weighs
        return
    of_draws = {str(one) for one, values in group.coords.items() if {*SAMPLE_DIMS, *ALONE} & set(values.dims)}
    of_stats = set(map(str, group.data_vars)) if "sample_stats" in name else set()
    refuse_weights(f"group {name!r} has", group.variables, of_draws | of_stats)


def _sums(part: Part | None) -> dict[str, Array]:
    """Log densities by variable, summed over all that is no draw."""
    if part is None:
        return {}
    return {
        name: values.reshape(len(values), -1).sum(1, dtype=np.float64)
        for name, (values, _) in part.variables.items()
    }


def _total(sums: Mapping[str, Array]) -> Array | None:
    total: Array | None = np.sum(list(sums.values()), axis=0) if sums else None
    return total


# ---------------------------------------------------------------- mappings


def _of_mapping(given: Mapping[Any, Any], *, chains: bool) -> Draws:
    if not given:
        raise ArgumentError("the draws have no variable")
    parts = {str(name): of_array(str(name), values, chains=chains) for name, values in given.items()}
    lengths = {name: part.rows.sizes if chains else (1, part.rows.num_draws) for name, part in parts.items()}
    if len(set(lengths.values())) > 1:
        each = (
            f"{name!r} has {c * n}" + (f" in chains of {n}" if chains else "")
            for name, (c, n) in lengths.items()
        )
        told = ", ".join(each)
        raise ArgumentError(f"all variables must have the same number of draws and chains: {told}")
    refuse_weights("the draws have", parts)
    known: dict[str, tuple[str, Array]] = {}
    whole = joined(parts, known)
    return Draws(whole.variables, {}, whole.rows, _clear(known, whole.variables))
