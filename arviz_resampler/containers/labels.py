"""Names of variables, dims and coordinates in a container. Knows sites and arrays."""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from arviz_resampler.containers.alignment import as_labels
from arviz_resampler.containers.arrays import Array
from arviz_resampler.containers.installed import major_version
from arviz_resampler.errors import ArgumentError, NameWarning, quoted, suggestion, warn
from arviz_resampler.sites import Site, name_axes

SAMPLE_DIMS = ("chain", "draw")
RESERVED = frozenset(
    {"chain", "draw", "sample", "pred_id", "particle"}
    | {"model", "variant", "column", "variable", "label", "plot_axis", "kde_dim"}
    # Of prior and posterior side by side, in plot_prior_posterior of ArviZ 1.x.
    | ({"group"} if major_version() else set())
)
_PARTICLE = "particle"
_LONGEST = 240  # bytes of a name, less than the 256 of netCDF, with room for what is added

Shapes = Mapping[str, tuple[int, ...]]


class Labels:
    """Names of variables, dims and coordinates: the sites' own, or what the user said.

    Parameters
    ----------
    sites : mapping of str to Site
        The sites to be labeled.
    coords : mapping
        Labels by dim.
    dims : mapping
        Names by site (or by name of constant or observed data), for all its axes or for those of its
        event alone; None keeps the name of an axis.
    extra : mapping of str to ndarray
        What is no draw: observed and constant data.

    Notes
    -----
    Names that ArviZ reserves and names that collide get another name: ``<site>_site``,
    ``<plate>_plate``, ``<site>_<plate>`` for a plate that has two sizes, what :func:`as_file_name` makes of a
    name that no file takes, and an underscore at the end where that is taken too.
    """

    def __init__(
        self,
        sites: Mapping[str, Site],
        coords: Mapping[str, Any],
        dims: Mapping[str, Sequence[str | None]],
        extra: Mapping[str, Array],
    ) -> None:
        shapes = {name: site.shape for name, site in sites.items()}
        for name, array in extra.items():
            if shapes.setdefault(name, array.shape) != array.shape:
                raise ArgumentError(
                    f"data {name!r} has shape {array.shape}, but site {name!r} has shape {shapes[name]}; "
                    f"give the data that shape, or another name"
                )
        raw = {
            name: sites[name].dims if name in sites else name_axes(name, [None] * len(shape))
            for name, shape in shapes.items()
        }
        given = {name: _given(name, named, raw, shapes) for name, named in dims.items()}
        chosen = {dim for site_dims in given.values() for dim in site_dims}
        self.renamed: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.dims = self._clear_dims({**raw, **given}, shapes, chosen)
        self.names = self._clear_names(shapes)
        self.coords = self._clear_coords(coords)

    def _clear_dims(
        self, raw: Mapping[str, Sequence[str]], shapes: Shapes, chosen: Container[str]
    ) -> dict[str, tuple[str, ...]]:
        """Final dims by variable: each dim has a name that files take and that no other dim has."""
        sizes = _sizes_of_dims(raw, shapes, chosen)

        def key_of(name: str, dim: str) -> tuple[str, str]:
            """A dim, with its variable where a plate of that name has two sizes."""
            return (dim, name if len(sizes[dim]) > 1 else "")

        keys = dict.fromkeys(key_of(name, dim) for name, site_dims in raw.items() for dim in site_dims)
        final: dict[tuple[str, str], str] = {}
        # Names that may stay come first, so that a changed one makes way for them.
        for key in sorted(keys, key=lambda key: _dim_name(*key) != key[0]):
            final[key] = _free(_dim_name(*key), set(final.values()) | (set(sizes) - {key[0]}))
            if final[key] != key[0]:
                of = f" of {key[1]}" if key[1] else ""
                self.renamed[f"dim {key[0]}{of}"] = final[key]
        for name, site_dims in raw.items():
            for dim, size in zip(site_dims, shapes[name], strict=True):
                self.sizes[final[key_of(name, dim)]] = size
        return {name: tuple(final[key_of(name, dim)] for dim in site_dims) for name, site_dims in raw.items()}

    def _clear_names(self, names: Iterable[str]) -> dict[str, str]:
        def wanted(name: str) -> str:
            clean = as_file_name(name)
            return f"{clean}_site" if clean in RESERVED or clean in self.sizes else clean

        result = {}
        taken = set(self.sizes)
        # Names that may stay come first, so that a changed one makes way for them.
        for name in sorted(names, key=lambda name: wanted(name) != name):
            result[name] = _free(wanted(name), taken)
            taken.add(result[name])
            if result[name] != name:
                self.renamed[name] = result[name]
        return result

    def _clear_coords(self, coords: Mapping[str, Any]) -> dict[str, Array]:
        """Labels by final dim; a dim that was renamed may be given by its own name."""
        cleared = {}
        for dim, given in coords.items():
            final = self.final_dim(dim)
            if final not in self.sizes:
                raise ArgumentError(
                    f"coords names the dim {dim!r}, which no site has; there are {quoted(self.sizes)}."
                    f"{suggestion(str(dim), self.sizes)}"
                )
            labels = as_labels(dim, given)
            if labels.shape != (self.sizes[final],):
                raise ArgumentError(
                    f"coords gives labels of shape {labels.shape} to dim {dim!r}, which has size "
                    f"{self.sizes[final]}"
                )
            cleared[final] = labels
        return cleared

    def final_dim(self, dim: str) -> str:
        """The name of a dim in the container."""
        return dim if dim in self.sizes else self.renamed.get(f"dim {dim}", dim)

    def dataset(self, arrays: Mapping[str, Array], *, sampled: bool, chains: bool = False) -> xr.Dataset:
        """A group: every array under its name, every dim with a coordinate. Data are copied, draws not.

        Draws have shape (S, *shape of the site), and become one chain; with ``chains`` those are in front.
        """
        front = SAMPLE_DIMS if sampled else ()

        def shaped(values: Array) -> Array:
            if not sampled:
                return values.copy()
            return values if chains else values[None]

        variables = {
            self.names[name]: ((*front, *self.dims[name]), shaped(values)) for name, values in arrays.items()
        }
        return self._dataset(variables, {"sample_dims": list(front)} if sampled else {})

    def particles(self, arrays: Mapping[str, Array]) -> xr.Dataset:
        """Every particle under the names of the draws, as the arrays are."""
        return self._dataset(
            {self.names[name]: ((_PARTICLE, *self.dims[name]), values) for name, values in arrays.items()},
            {"sample_dims": [_PARTICLE]},
        )

    def _dataset(
        self, variables: Mapping[str, tuple[tuple[str, ...], Array]], attrs: dict[str, Any]
    ) -> xr.Dataset:
        sizes = {d: s for dims, values in variables.values() for d, s in zip(dims, values.shape, strict=True)}
        coords = {d: self.coords[d].copy() if d in self.coords else np.arange(s) for d, s in sizes.items()}
        return xr.Dataset(variables, coords, attrs)

    def warn_renamed(self) -> None:
        """Say which names are not the sites' own, if any."""
        if self.renamed:
            changes = ", ".join(f"{old!r} is {new!r}" for old, new in self.renamed.items())
            warn(f"names that ArviZ cannot hold were changed in the container: {changes}", NameWarning)


def check_order(coords: Mapping[str, Any], found: Mapping[str, Array]) -> None:
    """Refuse labels that are those which draws came with, in another order: values would change theirs.

    Parameters
    ----------
    coords : mapping
        Labels by dim, as the user gave them.
    found : mapping of str to ndarray
        Labels by dim, as the draws had them.
    """
    for dim in coords.keys() & found.keys():
        wanted, have = as_labels(dim, coords[dim]).tolist(), found[dim].tolist()
        if wanted != have and len(wanted) == len(have) and set(wanted) == set(have):
            at = next(i for i, pair in enumerate(zip(wanted, have, strict=True)) if pair[0] != pair[1])
            raise ArgumentError(
                f"coords gives the labels of dim {dim!r} in another order than the draws: {wanted[at]} and "
                f"{have[at]} at position {at}. Leave them out, or put the draws in that order, as by "
                f".sel({dim}=[...]) of xarray"
            )


def _sizes_of_dims(
    raw: Mapping[str, Sequence[str]], shapes: Shapes, chosen: Container[str]
) -> dict[str, set[int]]:
    """Sizes by dim; those that the caller chose have one."""
    sizes: dict[str, set[int]] = {}
    for name, site_dims in raw.items():
        if len(set(map(as_file_name, site_dims))) < len(site_dims):
            raise ArgumentError(
                f"the axes of {name!r} must have different names, got {list(site_dims)}; set them in dims"
            )
        for dim, size in zip(site_dims, shapes[name], strict=True):
            sizes.setdefault(dim, set()).add(size)
    for dim, found in sizes.items():
        if len(found) > 1 and dim in chosen:
            raise ArgumentError(
                f"dims gives the name {dim!r} to axes of sizes {sorted(found)}; one name goes with one size"
            )
    return sizes


def _dim_name(dim: str, name: str) -> str:
    """The name of a dim, or of one that belongs to a variable alone."""
    clean = as_file_name(f"{name}_{dim}" if name else dim)
    return f"{clean}_plate" if clean in RESERVED else clean


def as_file_name(name: str) -> str:
    """A name that netCDF and zarr files take, as close to the given one as they allow.

    They take no slash of either kind, no control characters, no blank at the ends, none but a letter, a digit
    or an underscore at the beginning, only composed letters, and 256 bytes.

    Examples
    --------
    >>> as_file_name("a/b"), as_file_name("$x$"), as_file_name("mu")
    ('a.b', '_$x$', 'mu')
    """
    name = unicodedata.normalize("NFC", name).replace("/", ".").replace("\\", "_")
    name = "".join("_" if unicodedata.category(letter)[0] == "C" else letter for letter in name).strip()
    if not name or not (name[0].isalnum() or name[0] == "_"):
        name = f"_{name}"
    if name.startswith("__"):  # zarr keeps these for itself
        name = f"x{name}"
    return name.encode()[:_LONGEST].decode(errors="ignore").strip()


def _free(name: str, taken: Container[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _given(
    name: str, given: Sequence[str | None], raw: Mapping[str, Sequence[str]], shapes: Shapes
) -> tuple[str, ...]:
    """Dims of a variable, with the names that the user gave."""
    if name not in raw:
        raise ArgumentError(
            f"dims names {name!r}, which is no site; there are {quoted(raw)}.{suggestion(str(name), raw)}"
        )
    return named(name, given, raw[name], shapes[name])


def named(
    name: str, given: Sequence[str | None], site_dims: Sequence[str], shape: tuple[int, ...]
) -> tuple[str, ...]:
    """Dims of a site, with the names that the user gave to all of its axes or to those of its event."""
    event = [dim for dim in site_dims if dim.startswith(f"{name}_dim_")]
    if len(given) == len(site_dims):
        return tuple(own if dim is None else dim for dim, own in zip(given, site_dims, strict=True))
    if len(given) == len(event):
        names = dict(zip(event, given, strict=True))
        return tuple(names.get(dim) or dim for dim in site_dims)
    also = f", or the {len(event)} of its event" if event else ""
    raise ArgumentError(
        f"dims gives {len(given)} names to {name!r}, which has axes {tuple(site_dims)} of shape "
        f"{shape}: name all of them{also}"
    )
