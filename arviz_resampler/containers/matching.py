"""Which draw of one array is which draw of another, by their labels. Knows arrays; nothing of sites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from arviz_resampler.arguments import as_array
from arviz_resampler.containers.alignment import as_labels
from arviz_resampler.containers.arrays import Array
from arviz_resampler.errors import ArgumentError

# What tables call the chain of a draw, and its number: within the chain where they have it.
_COUNTERS = (("chain", ("draw",)), (".chain", (".iteration", ".draw")), ("chain__", ("iter__", "draw__")))


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


class Rows(NamedTuple):
    """What numbers draws.

    Attributes
    ----------
    sizes : tuple of int
        How many chains, and draws of each.
    labels : tuple of Index or None
        Of chains and of draws, where they have some.
    dims : tuple of str
        What numbers them: two names, or one where there are no chains.
    by_default : bool
        Whether the labels are the count that pandas gives to what has none.
    came : ndarray or None
        Where each draw stood, counted over all of them, before they were put in the order of chains; None
        where they were not.
    """

    sizes: tuple[int, int]
    labels: tuple[Any, Any] = (None, None)
    dims: tuple[str, ...] = ("particle",)
    by_default: bool = False
    came: Array | None = None

    @property
    def num_draws(self) -> int:
        """In all chains."""
        return self.sizes[0] * self.sizes[1]

    @property
    def labeled(self) -> bool:
        """Whether somebody has named the draws."""
        return not self.by_default and any(labels is not None for labels in self.labels)

    def told(self) -> str:
        """How many there are, as messages say it."""
        chains, draws = self.sizes
        return f"{draws}" if chains == 1 else f"{chains} chains of {draws}"


class Part(NamedTuple):
    """Variables with the same draws.

    Attributes
    ----------
    variables : dict of str to Variable
        Of draws.
    rows : Rows
        What numbers these.
    coords : dict of str to ndarray
        Labels of all other dims that have some.
    shared : dict of str to DataArray
        What is the same for all draws.
    """

    variables: dict[str, Variable]
    rows: Rows
    coords: dict[str, Array]
    shared: dict[str, xr.DataArray]

    def like(self, rows: Rows, names: tuple[str, str], *, totals: bool = False) -> Part:
        """The same in the order of other draws; see :func:`order_of`."""
        order = order_of(rows, self.rows, names, totals=totals)
        if order is None:
            return self._replace(rows=rows)
        taken = {name: Variable(values[order], dims) for name, (values, dims) in self.variables.items()}
        return self._replace(variables=taken, rows=rows)

    def with_labels(self, known: dict[str, tuple[str, Array]], whose: str) -> Part:
        """The same in the order of labels that are known; those that are not yet are added to them."""
        variables = dict(self.variables)
        for dim, labels in self.coords.items():
            owner, wanted = known.setdefault(dim, (whose, labels))
            if len(wanted) != len(labels):  # another dim of that name, which has no labels in the end
                continue
            places = places_of(dim, pd.Index(wanted), pd.Index(labels), (owner, whose))
            if places is None:
                continue
            for name, (values, dims) in variables.items():
                if dim in dims:
                    variables[name] = Variable(values.take(places, axis=1 + dims.index(dim)), dims)
        return self._replace(variables=variables)


# ---------------------------------------------------------------- values


def native(name: str, values: Any) -> Array:
    """Numbers of a dtype that torch has too."""
    array = as_array(name, values)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "u" and size > 1:
        if array.size and int(array.max()) > np.iinfo(np.int64).max:
            raise ArgumentError(
                f"{name!r} has {array.max()}, which is too large for a whole number of 64 bits"
            )
        return array.astype(np.int64)
    if kind == "f" and size not in (4, 8):
        return array.astype(np.float32 if size < 4 else np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


# ---------------------------------------------------------------- labels of draws


def ids_of(dim: str, index: Any) -> Any:
    """Labels of draws that are of one dim.

    Raises
    ------
    ArgumentError
        If two draws have the same.
    """
    texts = index.astype(str) if index.dtype.kind in "mM" else index
    labels = pd.Index(as_labels(dim, texts))
    if not labels.is_unique:
        twice = labels[labels.duplicated()][0]
        raise ArgumentError(
            f"two draws have the label {twice} of {dim!r}: give each its own, or none, as by "
            f"reset_index(drop=True) of pandas"
        )
    return labels


def counters(names: Iterable[str]) -> list[str]:
    """Which of these names are the chain of a draw and its number: none, or two or more."""
    there = set(names)
    for chain, draws in _COUNTERS:
        if chain in there and there & set(draws):
            return [chain, *(draw for draw in draws if draw in there)]
    return []


def are_counts(labels: Sequence[Array]) -> bool:
    """Whether chains and draws can be called that: latents of these names are no whole numbers."""
    return all(array.dtype.kind != "f" or not (array % 1).any() for array in labels)


def by_chain(chain: Array, draw: Array, *, strict: bool) -> tuple[Rows, Array | None]:
    """What numbers draws that say their chain and number, and the order in which chains are whole, if any.

    Parameters
    ----------
    chain, draw : ndarray
        Labels of each draw.
    strict : bool
        Whether draws must be whole chains.
    """
    chains, of_chain = np.unique(chain, return_inverse=True)
    draws, number = np.unique(_within(draw, of_chain), return_inverse=True)
    places = of_chain * len(draws) + number
    if len(places) == len(chains) * len(draws) == len(np.unique(places)):
        labels, order = (pd.Index(chains), pd.Index(draws)), np.argsort(places)
        return Rows((len(chains), len(draws)), labels, ("chain", "draw"), came=order), order
    if strict:
        raise ArgumentError(
            f"the {len(places)} draws are not all draws of {len(chains)} chains, each once: draws of a chain "
            f"depend on those before them, and errors count this. Pass whole chains, as az.extract gives "
            f"them without num_samples="
        )
    pairs = pd.Index([f"{one}, {other}" for one, other in zip(chain, draw, strict=True)])
    return Rows((1, len(pairs)), (None, pairs if pairs.is_unique else None)), None


def _within(draw: Array, of_chain: Array) -> Array:
    """Numbers from the start of each chain, where they go on from chain to chain."""
    if draw.dtype.kind not in "iu":
        return draw
    each = [draw[of_chain == chain] for chain in range(of_chain.max() + 1)]
    first = np.array([numbers.min() for numbers in each])
    whole = all(numbers.max() - low + 1 == len(numbers) for low, numbers in zip(first, each, strict=True))
    return draw - first[of_chain] if whole else draw


def order_of(first: Rows, second: Rows, names: tuple[str, str], *, totals: bool = False) -> Array | None:
    """Where the draws of the first stand in the second; None where they stand in the same places.

    What has no labels goes by the places that the draws had before they were put in the order of chains.

    Parameters
    ----------
    first, second : Rows
        What numbers the draws.
    names : tuple of str
        Of both, for messages.
    totals : bool, default False
        Whether chains need not be the same, if there are as many draws.

    Raises
    ------
    ArgumentError
        If their numbers or labels are different ones.
    """
    if first.sizes != second.sizes:
        if totals and first.num_draws == second.num_draws:
            return _as_they_came(first, second)
        raise ArgumentError(
            f"{names[0]} and {names[1]} must be of the same draws, but there are {first.told()} and "
            f"{second.told()}"
        )
    by_default = first.by_default or second.by_default
    dims = (second.dims[0], second.dims[-1])
    places = [
        places_of(dim, want, have, names, by_default=by_default)
        for dim, want, have in zip(dims, first.labels, second.labels, strict=True)
    ]
    if all(found is None for found in places):
        return None if second.labeled or first.came is None else _in_chains(first.came.reshape(first.sizes))
    chain, draw = (np.arange(n) if p is None else p for n, p in zip(second.sizes, places, strict=True))
    order: Array = (chain[:, None] * second.sizes[1] + draw).reshape(-1)
    return order


def _as_they_came(first: Rows, second: Rows) -> Array | None:
    """Where the draws of the first stand in the second, if both came in the same order."""
    if second.came is None:
        return first.came
    back = np.argsort(second.came)
    return back if first.came is None else back[first.came]


def _in_chains(came: Array) -> Array:
    """Where draws stand in an array of whole chains, which has chains and draws in the order they came in."""
    chain = came.min(axis=1).argsort().argsort()
    draw = came.argsort(axis=1).argsort(axis=1)
    places: Array = (chain[:, None] * came.shape[1] + draw).reshape(-1)
    return places


def places_of(
    dim: str, want: Any, have: Any, names: tuple[str, str], *, by_default: bool = False
) -> Array | None:
    """Where each wanted label stands; None where labels are in order, or one side has none."""
    if want is None or have is None or have.equals(want):
        return None
    if have.is_unique and want.is_unique:
        places: Array = have.get_indexer(want)
        if (places >= 0).all():
            return places
    if by_default:
        return None
    at = next((i for i, (a, b) in enumerate(zip(want, have, strict=True)) if a != b), 0)
    raise ArgumentError(
        f"{names[0]} and {names[1]} have different labels of {dim!r}: {want[at]} and {have[at]} at position "
        f"{at}. Give them the same, or none"
    )


def _check_one_order(parts: Mapping[str, Part], leaders: Mapping[tuple[int, int], tuple[str, Rows]]) -> None:
    """Refuse what goes by position, beside draws that are in order by their labels and came in several."""
    for name, part in parts.items():
        leader, rows = leaders[part.rows.sizes]
        order = order_of(rows, part.rows, (repr(leader), repr(name))) if part.rows.labeled else None
        if order is None and (not part.rows.labeled or part.rows.came is rows.came is None):
            continue
        own = np.arange(rows.num_draws) if part.rows.came is None else part.rows.came
        there = rows._replace(came=own if order is None else own[order])
        for other, (_, its, _, _) in parts.items():
            if its.sizes == rows.sizes and (its.labeled or _equal(its.labels[1], rows.labels[1])):
                continue
            both = [order_of(one, its, (repr(leader), repr(other)), totals=True) for one in (rows, there)]
            first, second = (np.arange(rows.num_draws) if one is None else one for one in both)
            if not np.array_equal(first, second):
                raise ArgumentError(
                    f"{other!r} goes by position, but {leader!r} and {name!r}, which have labels, have their "
                    f"draws in different orders: give {other!r} these labels, or all of them one order"
                )


def _equal(first: Any, second: Any) -> bool:
    return first is not None and second is not None and bool(first.equals(second))


def joined(parts: Mapping[str, Part], known: dict[str, tuple[str, Array]]) -> Part:
    """Variables of a mapping in one, each in the order of the first that has labels.

    Chains are not compared, where all have as many draws.
    """
    leaders: dict[tuple[int, int], tuple[str, Rows]] = {}
    for name, part in parts.items():
        leader, rows = leaders.setdefault(part.rows.sizes, (name, part.rows))
        both = repr(leader), repr(name)
        if not rows.labeled and part.rows.labeled and order_of(rows, part.rows, both) is None:
            leaders[part.rows.sizes] = name, part.rows
    _check_one_order(parts, leaders)
    of_all = [rows for _, rows in leaders.values()]
    whole = next((rows for rows in of_all if rows.labeled), of_all[0])
    variables: dict[str, Variable] = {}
    for name, part in parts.items():
        leader, rows = leaders[part.rows.sizes]
        both = repr(leader), repr(name)
        found = part.like(rows, both).with_labels(known, repr(name))
        variables |= found.like(whole, both, totals=True).variables if rows is not whole else found.variables
    return Part(variables, whole, {}, {})
