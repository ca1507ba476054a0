"""From draws to labelled groups in an ``InferenceData`` (ArviZ 0.x) or a ``DataTree`` (ArviZ 1.x).

The only file that knows ArviZ, which is imported when a container is built. Knows sites and arrays;
nothing of programs or weights.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from arviz_resampler._version import __version__
from arviz_resampler.errors import ArgumentError, DrawWarning, NameWarning, quoted, suggestion, warn
from arviz_resampler.sites import Site, name_axes

CONTAINERS = ("auto", "inferencedata", "datatree")
FORMAT_VERSION = 1
RESERVED = frozenset(
    {"chain", "draw", "sample", "pred_id"}
    | {"model", "variant", "column", "variable", "label", "plot_axis", "kde_dim", "group"}
)
_SAMPLE_DIMS = ("chain", "draw")
STAND_IN = "stand-in without data, for plots of the prior predictive"

Array = NDArray[Any]


class Labels:
    """Names of variables, dims and coordinates: the sites' own, or what the user said.

    Parameters
    ----------
    sites : mapping of str to Site
        The sites to be labelled.
    coords : mapping, optional
        Labels by dim.
    dims : mapping, optional
        Names by site (or by name of constant or observed data), for all its axes or for those of its
        event alone.
    extra : mapping, optional
        Arrays that are no sites, such as constant data.

    Notes
    -----
    Names that ArviZ reserves and names that collide get another name: ``<site>_site``,
    ``<plate>_plate``, ``<site>_<plate>`` for a plate that has two sizes, and a dot for a slash.
    """

    def __init__(
        self,
        sites: Mapping[str, Site],
        coords: Mapping[str, Any] | None,
        dims: Mapping[str, Sequence[str]] | None,
        extra: Mapping[str, Array],
    ) -> None:
        self.coords = {str(dim): np.asarray(labels) for dim, labels in (coords or {}).items()}
        shapes = {name: site.shape for name, site in sites.items()}
        shapes.update((name, array.shape) for name, array in extra.items() if name not in shapes)
        raw = {name: list(site.dims) for name, site in sites.items()}
        for name, shape in shapes.items():
            raw.setdefault(name, list(name_axes(name, [None] * len(shape))))
        for name, given in (dims or {}).items():
            raw[name] = self._given(name, given, raw, shapes, sites)
        self.renamed: dict[str, str] = {}
        self.dims = self._clear_dims(raw, shapes)
        self.names = self._clear_names(shapes)
        self._check_coords(shapes)

    @staticmethod
    def _given(
        name: str,
        given: Sequence[str],
        raw: Mapping[str, list[str]],
        shapes: Mapping[str, tuple[int, ...]],
        sites: Mapping[str, Site],
    ) -> list[str]:
        if name not in raw:
            raise ArgumentError(
                f"dims names {name!r}, which is no site; there are {quoted(raw)}.{suggestion(name, raw)}"
            )
        given = [given] if isinstance(given, str) else [str(dim) for dim in given]
        own = raw[name]
        if len(given) == len(own):
            return list(given)
        site = sites.get(name)
        free = [i for i, dim in enumerate(own) if dim.startswith(f"{name}_dim_")]
        if site is not None and len(given) == len(free):
            named = list(own)
            for i, dim in zip(free, given, strict=True):
                named[i] = dim
            return named
        raise ArgumentError(
            f"dims gives {len(given)} names to {name!r}, which has axes {tuple(own)} of shape "
            f"{shapes[name]}: name all of them, or the {len(free)} of its event"
        )

    def _clear_dims(
        self, raw: Mapping[str, list[str]], shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[str, tuple[str, ...]]:
        sizes: dict[str, set[int]] = {}
        for name, own in raw.items():
            for dim, size in zip(own, shapes[name], strict=True):
                sizes.setdefault(dim, set()).add(size)
        cleared = {}
        for name, own in raw.items():
            if len(set(own)) < len(own):
                raise ArgumentError(f"the axes of {name!r} must have different names, got {own}")
            new = []
            for dim in own:
                clean = dim.replace("/", ".")
                if len(sizes[dim]) > 1:
                    clean = f"{name.replace('/', '.')}_{clean}"
                if clean in RESERVED:
                    clean = f"{clean}_plate"
                if clean != dim:
                    self.renamed[f"dim {dim}" + (f" of {name}" if len(sizes[dim]) > 1 else "")] = clean
                new.append(clean)
            cleared[name] = tuple(new)
        return cleared

    def _clear_names(self, names: Iterable[str]) -> dict[str, str]:
        dims = {dim for own in self.dims.values() for dim in own}
        taken: set[str] = set()
        result = {}
        # Names that may stay come first, so that a changed one makes way for them.
        for name in sorted(names, key=lambda n: "/" in n or n in RESERVED or n in dims):
            clean = name.replace("/", ".")
            if clean in RESERVED or clean in dims:
                clean = f"{clean}_site"
            while clean in taken or clean in dims:
                clean = f"{clean}_"
            if clean != name:
                self.renamed[name] = clean
            taken.add(clean)
            result[name] = clean
        return result

    def _check_coords(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        sizes = {
            dim: size for name, own in self.dims.items() for dim, size in zip(own, shapes[name], strict=True)
        }
        for dim, labels in self.coords.items():
            if dim not in sizes:
                raise ArgumentError(
                    f"coords names the dim {dim!r}, which no site has; there are {quoted(sizes)}."
                    f"{suggestion(dim, sizes)}"
                )
            if labels.shape != (sizes[dim],):
                raise ArgumentError(
                    f"coords gives labels of shape {labels.shape} to dim {dim!r}, which has size {sizes[dim]}"
                )

    def variable(self, name: str, values: Array, sampled: bool) -> xr.Variable:
        """An array under its dims, with (chain, draw) in front if it was sampled."""
        dims = self.dims[name]
        if sampled:
            return xr.Variable((*_SAMPLE_DIMS, *dims), values[None])
        return xr.Variable(dims, values)

    def dataset(self, arrays: Mapping[str, Array], *, sampled: bool) -> xr.Dataset:
        """A group: every array under its name, every dim with a coordinate."""
        variables = {self.names[n]: self.variable(n, a, sampled) for n, a in arrays.items()}
        sizes = {d: s for v in variables.values() for d, s in zip(v.dims, v.shape, strict=True)}
        coords = {d: self.coords.get(str(d), np.arange(s)) for d, s in sizes.items()}
        attrs = {"sample_dims": list(_SAMPLE_DIMS)} if sampled else {}
        return xr.Dataset(variables, coords={d: ((d,), c) for d, c in coords.items()}, attrs=attrs)


def plain(name: str, values: Array, discrete: bool) -> Array:
    """An own copy in a dtype that every plot takes: int64 for discrete sites, else float64."""
    if values.dtype.kind not in "biuf":
        raise ArgumentError(
            f"site {name!r} has dtype {values.dtype}, which ArviZ cannot show; make it real numbers"
        )
    whole = values.dtype.kind in "biu"
    if discrete and not whole:
        whole = bool((np.abs(values) < 2.0**63).all()) and bool((values == np.floor(values)).all())
    return np.array(values, dtype=np.int64 if whole else np.float64, order="C")


def count_unfit(arrays: Mapping[str, Array]) -> dict[str, int]:
    """How many draws of each array are not finite."""
    counts = {}
    for name, values in arrays.items():
        if values.dtype.kind == "f":
            bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
            if bad.any():
                counts[name] = int(bad.sum())
    return counts


def major_version() -> int:
    """The generation of the ArviZ that is installed."""
    return int(importlib.metadata.version("arviz").split(".")[0])


def resolve(container: str) -> str:
    """The kind of container to build, checked against what is installed."""
    if container not in CONTAINERS:
        raise ArgumentError(
            f"container must be one of {quoted(CONTAINERS)}, got {container!r}."
            f"{suggestion(str(container), CONTAINERS)}"
        )
    installed = major_version()
    if container == "auto":
        return "inferencedata" if installed == 0 else "datatree"
    if container == "inferencedata" and installed > 0:
        raise ArgumentError(
            f"container='inferencedata' needs ArviZ 0.x, but ArviZ "
            f"{importlib.metadata.version('arviz')} is installed; use 'datatree' or 'auto'"
        )
    return container


def build(
    labels: Labels,
    sites: Mapping[str, Site],
    draws: Mapping[str, Array],
    stats: Mapping[str, Array],
    *,
    observed: Mapping[str, Array],
    constant: Mapping[str, Array],
    attrs: Mapping[str, Any],
    stats_attrs: Mapping[str, Any],
    container: str,
) -> Any:
    """Assemble a container.

    Parameters
    ----------
    labels : Labels
        Names for everything in ``draws``, ``observed`` and ``constant``.
    sites : mapping of str to Site
        The sites in ``draws``.
    draws : mapping of str to ndarray
        Shape (S, *shape of the site).
    stats : mapping of str to ndarray
        Shape (S,).
    observed, constant : mapping of str to ndarray
        Without sample axes.
    attrs, stats_attrs : mapping
        Attributes of the root and of ``sample_stats_prior``: numbers and strings.
    container : {"inferencedata", "datatree"}
        What to build.

    Returns
    -------
    InferenceData or DataTree
    """
    copies = {name: plain(name, draws[name], sites[name].discrete) for name in draws}
    predictive = {n: a for n, a in copies.items() if sites[n].role == "predictive"}
    prior = {n: a for n, a in copies.items() if sites[n].role != "predictive"}
    groups = {
        "prior": labels.dataset(prior, sampled=True),
        "prior_predictive": labels.dataset(predictive, sampled=True),
        "sample_stats_prior": xr.Dataset(
            {name: (_SAMPLE_DIMS, np.asarray(values)[None]) for name, values in stats.items()},
            coords={"chain": [0], "draw": np.arange(len(next(iter(stats.values()))))},
            attrs={"sample_dims": list(_SAMPLE_DIMS), **stats_attrs},
        ),
        "observed_data": labels.dataset(observed, sampled=False),
        "constant_data": labels.dataset(constant, sampled=False),
    }
    groups = {name: group for name, group in groups.items() if group.data_vars}
    _report(labels, groups, copies)
    root = {
        "created_at": datetime.now(UTC).isoformat(),
        "creation_library": "arviz_resampler",
        "creation_library_version": __version__,
        "creation_library_language": "Python",
        "inference_library": "pyro",
        "inference_library_version": importlib.metadata.version("pyro-ppl"),
        "format_version": FORMAT_VERSION,
        **attrs,
    }
    if labels.renamed:
        root["renamed"] = json.dumps(labels.renamed)
    if container == "inferencedata":
        root["arviz_version"] = importlib.metadata.version("arviz")
        return __getattr__("PriorInferenceData")(attrs=root, **groups)
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(root)
    return tree


def _report(labels: Labels, groups: Mapping[str, xr.Dataset], arrays: Mapping[str, Array]) -> None:
    """Warn, once each, of names that were changed and of draws that are not finite."""
    if labels.renamed:
        changes = ", ".join(f"{old!r} is {new!r}" for old, new in labels.renamed.items())
        warn(f"names that ArviZ cannot hold were changed in the container: {changes}", NameWarning)
    counts = count_unfit(arrays)
    for name, count in counts.items():
        for group in ("prior", "prior_predictive"):
            variable = labels.names[name]
            if group in groups and variable in groups[group]:
                groups[group].attrs[f"num_not_finite_{variable}"] = count
    if counts:
        text = ", ".join(f"{count} draws of {name!r}" for name, count in counts.items())
        warn(
            f"{text} are not finite. They are kept; plot_ppc of ArviZ 0.x copes with them with "
            f"kind='cumulative', plot_ppc_dist of ArviZ 1.x as it is.",
            DrawWarning,
        )


def as_observed(name: str, values: Any, site: Site | None) -> Array:
    """Observed data as an array in the shape of its site."""
    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if array.dtype.kind not in "biuf":
        raise ArgumentError(f"observed data {name!r} must be numbers, got dtype {array.dtype}")
    if site is None:
        return plain(name, array, False)
    squeezed = tuple(size for size in array.shape if size != 1)
    if squeezed != tuple(size for size in site.shape if size != 1):
        raise ArgumentError(
            f"observed data {name!r} has shape {array.shape}, but site {name!r} has shape {site.shape} "
            f"with axes {site.dims}"
        )
    return plain(name, array.reshape(site.shape), site.discrete)


def __getattr__(name: str) -> Any:
    """Define the subclass of ArviZ's ``InferenceData`` when it is first asked for."""
    if name != "PriorInferenceData":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from arviz.data.inference_data import InferenceData

    class PriorInferenceData(InferenceData):  # type: ignore[misc]
        """An ``InferenceData`` whose prior predictive can be plotted before there are data.

        ``plot_ppc`` of ArviZ 0.x asks for ``observed_data`` even to draw no observation. Where that
        group is missing, the attribute gives a stand-in of NaN, marked as such. It is no group:
        ``groups()``, ``extend`` and files do not know it.
        """

        def __getattr__(self, name: str) -> Any:
            if name == "observed_data" and "prior_predictive" in self.__dict__.get("_groups", ()):
                first = self.prior_predictive.isel(chain=0, draw=0, drop=True)
                blank = xr.full_like(first, np.nan, dtype=np.float64)
                blank.attrs = {"note": STAND_IN}
                return blank
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        def __reduce__(self) -> Any:
            groups = {group: self[group] for group in self._groups_all}
            return _rebuild, (dict(self.attrs), groups)

    PriorInferenceData.__module__ = __name__
    PriorInferenceData.__qualname__ = "PriorInferenceData"
    globals()[name] = PriorInferenceData
    return PriorInferenceData


def _rebuild(attrs: dict[str, Any], groups: dict[str, xr.Dataset]) -> Any:
    return __getattr__("PriorInferenceData")(attrs=attrs, **groups)
