"""Groups of a posterior, under the names of a prior. Knows sites and arrays; nothing of programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import xarray as xr

from arviz_resampler.containers.arrays import Array, plain
from arviz_resampler.containers.container import OF_POSTERIOR, assemble
from arviz_resampler.containers.labels import SAMPLE_DIMS, Labels
from arviz_resampler.containers.samples import read_samples
from arviz_resampler.errors import DrawWarning, warn
from arviz_resampler.sites import Site


def build_posterior(
    labels: Labels,
    sites: Mapping[str, Site],
    samples: Any,
    *,
    latents: Collection[str],
    owner: str,
    observed: Mapping[str, Array],
    constant: Mapping[str, Array],
    container: str,
) -> Any:
    """Assemble a container of a posterior.

    Parameters
    ----------
    labels : Labels
        Names for all sites that are exported, and for ``observed`` and ``constant``.
    sites : mapping of str to Site
        All sites that samples may have.
    samples : MCMC or mapping of str to array_like
        Draws by site, shape (draws, *shape of the site), or with the chains in front.
    latents : collection of str
        Sites that samples must have.
    owner : str
        In messages, what has the sites.
    observed, constant : mapping of str to ndarray
        Without sample axes.
    container : {"inferencedata", "datatree"}
        What to build.

    Returns
    -------
    InferenceData or DataTree

    Raises
    ------
    ArgumentError
        If they are no samples of these sites.
    """
    read = read_samples(samples, sites, labels, latents, owner)
    copies: dict[str, dict[str, Array]] = {OF_POSTERIOR.latents: {}, OF_POSTERIOR.predictive: {}}
    for name, values in read.arrays.items():
        predicted = sites[name].role == "predictive" and not read.conditioned
        group = OF_POSTERIOR.predictive if predicted else OF_POSTERIOR.latents
        copies[group][name] = plain(name, values, sites[name].discrete)
    groups = {group: labels.dataset(arrays, sampled=True, chains=True) for group, arrays in copies.items()}
    if read.diverging is not None:
        groups[OF_POSTERIOR.stats] = xr.Dataset(
            {"diverging": (SAMPLE_DIMS, read.diverging)},
            coords={dim: np.arange(n) for dim, n in zip(SAMPLE_DIMS, read.diverging.shape, strict=True)},
            attrs={"sample_dims": list(SAMPLE_DIMS), **read.attrs},
        )
    drawn = {
        group: {name: values.reshape(-1, *values.shape[2:]) for name, values in arrays.items()}
        for group, arrays in copies.items()
    }
    _warn_of_data(copies[OF_POSTERIOR.predictive], observed)
    return assemble(
        labels, groups, drawn, observed=observed, constant=constant, attrs={}, container=container
    )


def _warn_of_data(predicted: Mapping[str, Array], observed: Mapping[str, Array]) -> None:
    """Say which predictions are the data, draw after draw."""
    for name, values in predicted.items():
        several = values.shape[0] * values.shape[1] > 1
        if several and name in observed and np.allclose(values, observed[name], equal_nan=True):
            warn(
                f"every draw of {name!r} is its data, as Predictive gives them where the model has obs=: "
                f"predict with obs=None",
                DrawWarning,
            )
