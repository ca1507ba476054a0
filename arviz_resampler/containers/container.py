"""From draws to labeled groups in an ``InferenceData`` (ArviZ 0.x) or a ``DataTree`` (ArviZ 1.x).

ArviZ is imported when an ``InferenceData`` is built. Knows sites and arrays; nothing of programs or
weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from arviz_resampler._version import __version__
from arviz_resampler.containers.arrays import Array, plain
from arviz_resampler.containers.inference_data import inference_data
from arviz_resampler.containers.installed import major_version, version
from arviz_resampler.containers.labels import SAMPLE_DIMS, Labels
from arviz_resampler.errors import ArgumentError, DrawWarning, quoted, suggestion, warn
from arviz_resampler.sites import Site

CONTAINERS = ("auto", "inferencedata", "datatree")
FORMAT_VERSION = 1


class Groups(NamedTuple):
    """Names of the groups of draws."""

    latents: str
    predictive: str
    stats: str

    def of(self, site: Site) -> str:
        """The group that a site is in."""
        return self.predictive if site.role == "predictive" else self.latents


OF_PRIOR = Groups("prior", "prior_predictive", "sample_stats_prior")
OF_POSTERIOR = Groups("posterior", "posterior_predictive", "sample_stats")


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
            f"{version('arviz')} is installed; use 'datatree' or 'auto'"
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
    groups_of_draws: Groups = OF_PRIOR,
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
        Attributes of the root and of the statistics: numbers and strings.
    container : {"inferencedata", "datatree"}
        What to build.
    groups_of_draws : Groups
        Whether they are draws of a prior or of a posterior.

    Returns
    -------
    InferenceData or DataTree
    """
    copies: dict[str, dict[str, Array]] = {groups_of_draws.latents: {}, groups_of_draws.predictive: {}}
    for name, values in draws.items():
        copies[groups_of_draws.of(sites[name])][name] = plain(name, values, sites[name].discrete)
    groups = {group: labels.dataset(arrays, sampled=True) for group, arrays in copies.items()}
    num_draws = len(next(iter(stats.values())))
    groups[groups_of_draws.stats] = xr.Dataset(
        {name: (SAMPLE_DIMS, plain(name, values, False)[None]) for name, values in stats.items()},
        coords={"chain": [0], "draw": np.arange(num_draws)},
        attrs={"sample_dims": list(SAMPLE_DIMS), **stats_attrs},
    )
    return assemble(
        labels, groups, copies, observed=observed, constant=constant, attrs=attrs, container=container
    )


def assemble(
    labels: Labels,
    groups: Mapping[str, xr.Dataset],
    copies: Mapping[str, Mapping[str, Array]],
    *,
    observed: Mapping[str, Array],
    constant: Mapping[str, Array],
    attrs: Mapping[str, Any],
    container: str,
) -> Any:
    """Put draws and data together, with the attributes that each container has; without empty groups.

    Parameters
    ----------
    labels : Labels
        Names, of which those that were changed are said.
    groups : mapping of str to Dataset
        Of draws and their statistics, by name.
    copies : mapping of str to mapping of str to ndarray
        By group and site, draws of shape (S, *shape of the site), to be counted where they are not finite.
    observed, constant : mapping of str to ndarray
        Without sample axes.
    attrs : mapping
        Further attributes of the root: numbers and strings.
    container : {"inferencedata", "datatree"}
        What to build.
    """
    data = {"observed_data": observed, "constant_data": constant}
    groups = {**groups, **{group: labels.dataset(arrays, sampled=False) for group, arrays in data.items()}}
    _count_unfit(labels, copies, groups)
    root = {
        "created_at": datetime.now(UTC).isoformat(),
        "creation_library": "arviz_resampler",
        "creation_library_version": __version__,
        "creation_library_language": "Python",
        "inference_library": "pyro",
        "inference_library_version": version("pyro-ppl"),
        "format_version": FORMAT_VERSION,
        **attrs,
    }
    if labels.renamed:
        root["renamed"] = json.dumps(labels.renamed)
        labels.warn_renamed()
    groups = {name: group for name, group in groups.items() if group.data_vars}
    if container == "inferencedata":
        root["arviz_version"] = version("arviz")
        return inference_data(root, groups)
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(root)
    return tree


def drawn_groups(container: Any) -> Groups:
    """Which groups of a container have the draws."""
    posterior = OF_POSTERIOR.latents in container and OF_PRIOR.latents not in container
    return OF_POSTERIOR if posterior else OF_PRIOR


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
