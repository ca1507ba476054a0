"""From draws to labelled groups in an ``InferenceData`` (ArviZ 0.x) or a ``DataTree`` (ArviZ 1.x).

The only file that knows ArviZ, which is imported when a container is built. Knows sites and arrays;
nothing of programs or weights.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
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
    {"chain", "draw", "sample", "pred_id", "particle"}
    | {"model", "variant", "column", "variable", "label", "plot_axis", "kde_dim", "group"}
)
_SAMPLE_DIMS = ("chain", "draw")
_PARTICLE = "particle"

Array = NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]


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
    extra : mapping of str to ndarray
        What is no draw: observed and constant data.

    Notes
    -----
    Names that ArviZ reserves and names that collide get another name: ``<site>_site``,
    ``<plate>_plate``, ``<site>_<plate>`` for a plate that has two sizes, a dot for a slash, and an
    underscore at the end where that is taken too.
    """

    def __init__(
        self,
        sites: Mapping[str, Site],
        coords: Mapping[str, Any] | None,
        dims: Mapping[str, Sequence[str]] | None,
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
        given = {name: _given(name, named, raw, shapes) for name, named in (dims or {}).items()}
        chosen = {dim for own in given.values() for dim in own}
        self.renamed: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.dims = self._clear_dims({**raw, **given}, shapes, chosen)
        self.names = self._clear_names(shapes)
        self.coords = self._clear_coords(coords or {})

    def _clear_dims(
        self, raw: Mapping[str, Sequence[str]], shapes: Shapes, chosen: Container[str]
    ) -> dict[str, tuple[str, ...]]:
        found: dict[str, set[int]] = {}
        for name, own in raw.items():
            if len({_clean(dim) for dim in own}) < len(own):
                raise ArgumentError(
                    f"the axes of {name!r} must have different names, got {list(own)}; set them in dims"
                )
            for dim, size in zip(own, shapes[name], strict=True):
                found.setdefault(_clean(dim), set()).add(size)
        cleared = {}
        for name, own in raw.items():
            new = []
            for dim, size in zip(own, shapes[name], strict=True):
                clean, key = _clean(dim), f"dim {dim}"
                if len(found[clean]) > 1:
                    if dim in chosen:
                        raise ArgumentError(
                            f"dims gives the name {dim!r} to axes of sizes {sorted(found[clean])}; one "
                            f"name goes with one size"
                        )
                    clean, key = _free(f"{_clean(name)}_{clean}", found), f"dim {dim} of {name}"
                elif clean in RESERVED:
                    clean = _free(f"{clean}_plate", found)
                if clean != dim:
                    self.renamed[key] = clean
                self.sizes[clean] = size
                new.append(clean)
            cleared[name] = tuple(new)
        return cleared

    def _clear_names(self, names: Iterable[str]) -> dict[str, str]:
        def wanted(name: str) -> str:
            clean = _clean(name)
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
            final = dim if dim in self.sizes else self.renamed.get(f"dim {dim}")
            if final is None:
                raise ArgumentError(
                    f"coords names the dim {dim!r}, which no site has; there are {quoted(self.sizes)}."
                    f"{suggestion(str(dim), self.sizes)}"
                )
            labels = np.asarray(given)
            if labels.dtype.kind == "O":  # of a pandas object, or of mixed types, which no file holds
                labels = labels.astype(str)
            if labels.shape != (self.sizes[final],):
                raise ArgumentError(
                    f"coords gives labels of shape {labels.shape} to dim {dim!r}, which has size "
                    f"{self.sizes[final]}"
                )
            cleared[final] = labels
        return cleared

    def dataset(self, arrays: Mapping[str, Array], *, sampled: bool) -> xr.Dataset:
        """A group: every array under its name, every dim with a coordinate. Data are copied, draws not."""
        front = _SAMPLE_DIMS if sampled else ()
        variables = {
            self.names[name]: ((*front, *self.dims[name]), values[None] if sampled else values.copy())
            for name, values in arrays.items()
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
        sizes = {d: s for own, values in variables.values() for d, s in zip(own, values.shape, strict=True)}
        coords = {d: self.coords.get(d, np.arange(s)) for d, s in sizes.items()}
        return xr.Dataset(variables, coords, attrs)

    def warn_renamed(self) -> None:
        """Say which names are not the sites' own, if any."""
        if self.renamed:
            changes = ", ".join(f"{old!r} is {new!r}" for old, new in self.renamed.items())
            warn(f"names that ArviZ cannot hold were changed in the container: {changes}", NameWarning)


def _clean(name: str) -> str:
    return name.replace("/", ".")


def _free(name: str, taken: Container[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _given(
    name: str, given: Sequence[str], raw: Mapping[str, Sequence[str]], shapes: Shapes
) -> tuple[str, ...]:
    """Dims of a site, with the names that the user gave to all of its axes or to those of its event."""
    if name not in raw:
        raise ArgumentError(
            f"dims names {name!r}, which is no site; there are {quoted(raw)}.{suggestion(str(name), raw)}"
        )
    given = [given] if isinstance(given, str) else [str(dim) for dim in given]
    own = raw[name]
    event = [dim for dim in own if dim.startswith(f"{name}_dim_")]
    if len(given) == len(own):
        return tuple(given)
    if len(given) == len(event):
        names = dict(zip(event, given, strict=True))
        return tuple(names.get(dim, dim) for dim in own)
    also = f", or the {len(event)} of its event" if event else ""
    raise ArgumentError(
        f"dims gives {len(given)} names to {name!r}, which has axes {tuple(own)} of shape "
        f"{shapes[name]}: name all of them{also}"
    )


def plain(name: str, values: Any, discrete: bool) -> Array:
    """An own copy in a dtype that every plot takes: int64 for discrete sites, else float64."""
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    elif hasattr(values, "detach"):  # a tensor, perhaps of bfloat16, which numpy does not know
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ArgumentError(
            f"{name!r} has dtype {array.dtype}, which ArviZ cannot show: turn it into real numbers, or "
            f"labels into coords"
        )
    whole = array.dtype.kind != "f"
    if discrete and not whole:
        whole = bool((np.abs(array) < 2.0**63).all() and (array == np.floor(array)).all())
    return np.array(array, dtype=np.int64 if whole else np.float64, order="C")


def view(values: Any) -> Array:
    """A tensor as a read-only array that shares its memory, where NumPy has its dtype."""
    values = values.detach().cpu()
    if str(values.dtype) == "torch.bfloat16":
        values = values.float()
    array: Array = values.numpy().view()
    array.flags.writeable = False
    return array


def as_observed(name: str, values: Any, site: Site | None) -> Array:
    """Observed data as an array in the shape of its site."""
    if site is None:
        return plain(name, values, False)
    array = plain(name, values, site.discrete)
    if [size for size in array.shape if size != 1] != [size for size in site.shape if size != 1]:
        raise ArgumentError(
            f"observed data {name!r} has shape {array.shape}, but site {name!r} has shape {site.shape} "
            f"with axes {site.dims}"
        )
    return array.reshape(site.shape).astype(array.dtype if site.discrete else np.float64)


def data_groups(
    observed: Mapping[str, Any], constant: Mapping[str, Any], sites: Mapping[str, Site]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Observed and constant data as own arrays."""
    seen = {name: as_observed(name, values, sites.get(name)) for name, values in observed.items()}
    fixed = {name: plain(name, values, False) for name, values in constant.items()}
    for name in seen.keys() & fixed.keys():
        shapes = seen[name].shape, fixed[name].shape
        if shapes[0] != shapes[1]:
            raise ArgumentError(
                f"{name!r} has shape {shapes[0]} in observed, but {shapes[1]} in constant_data; give one "
                f"of them another name"
            )
    return seen, fixed


_version = functools.cache(importlib.metadata.version)


def major_version() -> int:
    """The generation of the ArviZ that is installed."""
    return int(_version("arviz").split(".")[0])


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
            f"{_version('arviz')} is installed; use 'datatree' or 'auto'"
        )
    return container


def build(
    labels: Labels,
    sites: Mapping[str, Site],
    draws: Mapping[str, Any],
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
    draws : mapping of str to ndarray or Tensor
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
    copies: dict[str, dict[str, Array]] = {"prior": {}, "prior_predictive": {}}
    for name, values in draws.items():
        group = "prior_predictive" if sites[name].role == "predictive" else "prior"
        copies[group][name] = plain(name, values, sites[name].discrete)
    groups = {group: labels.dataset(arrays, sampled=True) for group, arrays in copies.items()}
    num_draws = len(next(iter(stats.values())))
    groups["sample_stats_prior"] = xr.Dataset(
        {name: (_SAMPLE_DIMS, plain(name, values, False)[None]) for name, values in stats.items()},
        coords={"chain": [0], "draw": np.arange(num_draws)},
        attrs={"sample_dims": list(_SAMPLE_DIMS), **stats_attrs},
    )
    groups["observed_data"] = labels.dataset(observed, sampled=False)
    groups["constant_data"] = labels.dataset(constant, sampled=False)
    _count_unfit(labels, copies, groups)
    root = {
        "created_at": datetime.now(UTC).isoformat(),
        "creation_library": "arviz_resampler",
        "creation_library_version": __version__,
        "creation_library_language": "Python",
        "inference_library": "pyro",
        "inference_library_version": _version("pyro-ppl"),
        "format_version": FORMAT_VERSION,
        **attrs,
    }
    if labels.renamed:
        root["renamed"] = json.dumps(labels.renamed)
        labels.warn_renamed()
    groups = {name: group for name, group in groups.items() if group.data_vars}
    if container == "inferencedata":
        root["arviz_version"] = _version("arviz")
        return _inference_data(root, groups)
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(root)
    return tree


def groups_of(container: Any) -> dict[str, xr.Dataset]:
    """The groups of a container as datasets that share its arrays."""
    if isinstance(container, xr.DataTree):
        return {name: node.to_dataset(inherit=False) for name, node in container.children.items()}
    return {name: container[name] for name in container.groups()}


def _count_unfit(
    labels: Labels, copies: Mapping[str, Mapping[str, Array]], groups: Mapping[str, xr.Dataset]
) -> None:
    """Count the draws that are not finite in the attributes of their group, and warn of them."""
    counts = {}
    for group, arrays in copies.items():
        for name, values in arrays.items():
            bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
            if bad.any():
                counts[name] = groups[group].attrs[f"num_not_finite_{labels.names[name]}"] = int(bad.sum())
    if counts:
        text = ", ".join(f"{count} draws of {name!r}" for name, count in counts.items())
        warn(
            f"{text} are not finite. They are kept; plot_ppc of ArviZ 0.x can show them with "
            f"kind='cumulative', plot_ppc_dist of ArviZ 1.x as it is.",
            DrawWarning,
        )


def _inference_data(attrs: Mapping[str, Any], groups: Mapping[str, xr.Dataset]) -> Any:
    return _prior_inference_data()(attrs=attrs, **groups)


@functools.cache
def _prior_inference_data() -> Any:
    """Define the subclass of ArviZ's ``InferenceData``, which imports ArviZ."""
    from arviz.data.inference_data import InferenceData

    class PriorInferenceData(InferenceData):  # type: ignore[misc]
        """An ``InferenceData`` whose prior predictive can be plotted before there are data.

        ``plot_ppc`` of ArviZ 0.x asks for ``observed_data`` even to draw no observation. To it alone,
        and where it draws none, a missing group is a stand-in of NaN. Nobody else finds one: ``extend``
        would keep it in place of real data, and ``plot_bpv`` would plot it.
        """

        def __getattr__(self, name: str) -> Any:
            asker = sys._getframe(1)
            if name == "observed_data" and asker.f_code.co_name == "plot_ppc":
                asked = asker.f_locals
                if asked.get("group") == "prior" and not asked.get("observed"):
                    first = self.prior_predictive.isel(chain=0, draw=0, drop=True)
                    return xr.full_like(first, np.nan, dtype=np.float64).assign_attrs(note="stand-in")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        def __reduce__(self) -> Any:
            return _inference_data, (self.attrs, dict(self))

    return PriorInferenceData
