"""Samples of a posterior as arrays, checked against the sites that they are of.

Knows sites and arrays; of Pyro's ``MCMC`` the names of two methods.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from arviz_resampler.arguments import as_array, as_mapping
from arviz_resampler.containers.alignment import align, is_xarray
from arviz_resampler.containers.arrays import Array
from arviz_resampler.containers.labels import SAMPLE_DIMS, Labels
from arviz_resampler.containers.matching import places_of
from arviz_resampler.errors import ArgumentError, ProgramWarning, describe, quoted, suggestion, warn
from arviz_resampler.sites import Site


class Samples(NamedTuple):
    """Draws of a posterior.

    Attributes
    ----------
    arrays : dict of str to ndarray
        By site, shape (chains, draws, *shape of the site).
    diverging : ndarray of bool or None
        Which draws came of a divergence, shape (chains, draws); None where nothing says so.
    attrs : dict of str to float
        What else a sampler says of itself.
    conditioned : bool
        Whether all sites were drawn given data, so that none of them is a prediction.
    """

    arrays: dict[str, Array]
    diverging: Array | None
    attrs: dict[str, float]
    conditioned: bool


def read_samples(
    samples: Any, sites: Mapping[str, Site], labels: Labels, latents: Collection[str], owner: str
) -> Samples:
    """Samples as arrays, chains and draws first.

    Parameters
    ----------
    samples : MCMC or mapping of str to array_like
        By site: shape (draws, *shape of the site), or with the chains in front. Axes of size one may be
        anywhere among those of the site, as Pyro has them where a site is not in a plate.
    sites : mapping of str to Site
        All that there may be; auxiliary ones are left out.
    labels : Labels
        Dims and coords of those that are exported.
    latents : collection of str
        Sites that must be there. Discrete ones may lack, with a warning.
    owner : str
        In messages, what has the sites.

    Raises
    ------
    ArgumentError
        If they are no samples of these sites.
    """
    drawn_here = is_mcmc(samples)
    if drawn_here:
        given = of_mcmc(samples)
    elif isinstance(samples, Mapping):
        given = as_mapping("samples", samples)
    else:
        raise ArgumentError(
            f"samples must be a pyro.infer.MCMC that has run or a mapping from names of sites to arrays, "
            f"got {describe(samples)}"
        )
    _check_names(given, sites, latents, owner)
    exported = {name: values for name, values in given.items() if sites[name].role != "auxiliary"}
    known: dict[str, tuple[str, Any]] = {}
    found = {name: _values(name, values, sites[name], labels, known) for name, values in exported.items()}
    front = _front(found, sites, labels, {2} if drawn_here else {1, 2})
    arrays = {
        name: array.reshape(*((1,) * (2 - front)), *array.shape[:front], *sites[name].shape)
        for name, array in found.items()
    }
    chains, draws = _extent(arrays, found)
    diverging, attrs = _diagnostics(samples, chains, draws) if drawn_here else (None, {})
    return Samples(arrays, diverging, attrs, drawn_here)


def is_mcmc(samples: Any) -> bool:
    """Whether samples are those of a sampler of Pyro."""
    return callable(getattr(samples, "get_samples", None))


def of_mcmc(mcmc: Any) -> dict[str, Any]:
    """Samples by site, chains and draws first."""
    try:
        return dict(mcmc.get_samples(group_by_chain=True))
    except (AttributeError, TypeError) as error:  # of what is None before the run
        raise ArgumentError(f"the {type(mcmc).__name__} has no samples: call its run() first") from error


def _check_names(
    given: Mapping[str, Any], sites: Mapping[str, Site], latents: Collection[str], owner: str
) -> None:
    """Refuse names that are no sites, and latents that are missing."""
    if not given:
        raise ArgumentError("there are no draws: the samples hold no site")
    for name in given:
        if name not in sites:
            raise ArgumentError(
                f"the samples have {name!r}, which is no site of {owner}; there are {quoted(sites)}."
                f"{suggestion(name, sites)}"
            )
    missing = [name for name in latents if name not in given]
    lost = [name for name in missing if not sites[name].discrete]
    if lost:
        raise ArgumentError(
            f"the samples lack {quoted(lost)}, a latent site of {owner}; they have {quoted(given)}"
        )
    if missing:
        warn(
            f"the samples lack {quoted(missing)}, which is discrete: Pyro's MCMC sums over such a site, and "
            f"the container is without it",
            ProgramWarning,
        )


def _in_order(name: str, values: Any, known: dict[str, tuple[str, Any]]) -> Any:
    """Samples in the order of the draws that have labels first, which are added to those that are known."""
    counts = [values.coords[dim] for dim in SAMPLE_DIMS if dim in values.coords]
    if "sample" in values.dims and [count.dims for count in counts] == [("sample",)] * 2:
        pairs = zip(*(count.values for count in counts), strict=True)
        values = values.drop_vars([*SAMPLE_DIMS, "sample"], errors="ignore")
        values = values.assign_coords(sample=[f"{chain}, {draw}" for chain, draw in pairs])
    for dim in (*SAMPLE_DIMS, "sample"):
        if dim in values.dims and dim in values.indexes:
            owner, wanted = known.setdefault(dim, (name, values.indexes[dim]))
            if len(wanted) == values.sizes[dim]:
                places = places_of(dim, wanted, values.indexes[dim], (repr(owner), repr(name)))
                values = values if places is None else values.isel({dim: places})
    return values


def _values(name: str, values: Any, site: Site, labels: Labels, known: dict[str, tuple[str, Any]]) -> Array:
    """The samples of a site as an array; those with names are put in the order of site and draws."""
    if is_xarray(values):
        values = _in_order(name, values, known)
        # ArviZ's extract() makes one dim of chains and draws, and puts it last.
        front = [dim for dim in (*SAMPLE_DIMS, "sample") if dim in values.dims]
        dims, shape = (*front, *labels.dims[name]), (*(values.sizes[dim] for dim in front), *site.shape)
        return align(name, values, dims, shape, labels.coords).values
    if isinstance(values, list | tuple):
        parts = [as_array(name, part) for part in values]
        lengths = [len(part) for part in parts if part.ndim]
        if len(set(lengths)) > 1:
            raise ArgumentError(
                f"samples of {name!r} are of unequal length, {', '.join(map(str, lengths))}: all chains must "
                f"have the same number of draws"
            )
        values = np.stack(parts) if len({part.shape for part in parts}) == 1 else parts
    return as_array(name, values)


def _front(found: Mapping[str, Array], sites: Mapping[str, Site], labels: Labels, allowed: set[int]) -> int:
    """How many axes all sites have in front of their own: one of draws, or chains and draws."""
    left = allowed
    for name, array in found.items():
        own = sites[name].shape
        fitting = {
            n for n in allowed if array.ndim >= n and _without_ones(array.shape[n:]) == _without_ones(own)
        }
        if not fitting:
            raise ArgumentError(
                f"samples of {name!r} have shape {array.shape}, but site {name!r} has shape {own} with axes "
                f"{labels.dims[name]}: in front of these must stand the draws, or chains and draws"
            )
        if not left & fitting:
            raise _other_extent(found, name)
        left = left & fitting
    if len(left) == 1:
        return left.pop()
    # The second axis of all of them has size one: an axis of their site, or the draws of many chains.
    if all(array.ndim == 1 + len(sites[name].shape) for name, array in found.items()):
        return 1
    name, array = next((n, a) for n, a in found.items() if a.ndim > 1 + len(sites[n].shape))
    if len(array) > 1:
        raise ArgumentError(
            f"samples of {name!r} have shape {array.shape}: {len(array)} draws, or {len(array)} chains of "
            f"one draw? Give them the shape {(len(array), *sites[name].shape)} or "
            f"{(1, len(array), *sites[name].shape)}"
        )
    return 2


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _extent(arrays: Mapping[str, Array], found: Mapping[str, Array]) -> tuple[int, int]:
    """Chains and draws of all sites."""
    extents = {name: (array.shape[0], array.shape[1]) for name, array in arrays.items()}
    if not extents:
        raise ArgumentError("there are no draws: the samples hold auxiliary sites alone")
    extent = next(iter(extents.values()))
    for name, other in extents.items():
        if not all(other):
            raise ArgumentError(f"there are no draws: samples of {name!r} have shape {found[name].shape}")
        if other != extent:
            raise _other_extent(found, name)
    return extent


def _other_extent(found: Mapping[str, Array], name: str) -> ArgumentError:
    first = next(iter(found))
    return ArgumentError(
        f"samples of {name!r} have shape {found[name].shape}, but those of {first!r} {found[first].shape}: "
        f"all sites must have the same chains and draws in front"
    )


def _diagnostics(mcmc: Any, chains: int, draws: int) -> tuple[Array | None, dict[str, float]]:
    """Which draws diverged, and the acceptance rate over all chains, where the kernel says so."""
    # diagnostics() also computes R-hat of each site, which takes time, and four draws or more.
    by_chain = getattr(mcmc, "_diagnostics", None)
    if by_chain:
        said = {key: [chain[key] for chain in by_chain] for key in by_chain[0]}
    else:
        said = {key: list(of.values()) for key, of in getattr(mcmc, "diagnostics", dict)().items()}
    diverging = None
    if "divergences" in said:
        diverging = np.zeros((chains, draws), bool)
        for chain, numbers in enumerate(said["divergences"]):
            diverging[chain, np.asarray(numbers, int)] = True
    rates = said.get("acceptance rate")
    return diverging, {} if rates is None else {"acceptance_rate": float(np.mean(rates))}
