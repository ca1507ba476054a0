"""Tables of weighted numbers: a row for each quantity and variant, each number with its error.

Knows weights as arrays and datasets of particles; nothing of programs or draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from arviz_resampler.analysis import estimates
from arviz_resampler.analysis.quantities import (
    Statistic,
    each_quantity,
    finite_or_none,
    split_statistic,
    warn_unusable,
)
from arviz_resampler.arguments import as_probabilities

Floats = NDArray[np.float64]

_UNKNOWN = estimates.Estimate(math.nan, math.nan)


def summary(
    weights: Mapping[str, Floats],
    particles: Mapping[str, xr.Dataset],
    var_names: str | Sequence[str] | None,
    statistics: Mapping[str, Statistic] | None,
    quantiles: Sequence[float],
) -> pd.DataFrame:
    """Mean, standard deviation and quantiles of each quantity by variant, each with its standard error.

    Parameters
    ----------
    weights : mapping of str to ndarray
        Normalized weights by variant, shape (N,); zeros where there are none.
    particles : mapping of str to Dataset
        Particles by variant.
    var_names, statistics, quantiles
        As of :meth:`.Comparison.summary`.
    """
    q, names = _quantile_columns(as_probabilities("quantiles", quantiles, listed=True))
    columns = ["mean", "sd", *names]
    supported = {name for name, found in weights.items() if found.any()}
    rows, unfit = {}, []
    for quantity, label, by_variant in each_quantity(particles, var_names, statistics):
        orders = {id(values): np.argsort(values) for values in by_variant.values()}
        for name, values in by_variant.items():
            clean = finite_or_none(values, weights[name])
            row = [_UNKNOWN] * len(columns)
            if clean is None:
                unfit.append(quantity)
            elif name in supported:
                order = orders[id(values)]
                row = [*estimates.moments(weights[name], clean)]
                row += estimates.quantiles(weights[name][order], clean[order], q)
            rows[label, name] = _with_errors(columns, row)
    warn_unusable(unfit)
    return frame(rows, "quantity", "variant")


def contrast(
    weights: Mapping[str, Floats],
    particles: Mapping[str, xr.Dataset],
    first: str,
    others: Sequence[str],
    statistic: Any,
) -> pd.DataFrame:
    """Difference and ratio of means between one variant and others, with paired errors.

    Parameters
    ----------
    weights : mapping of str to ndarray
        Normalized weights by variant, shape (N,); zeros where there are none.
    particles : mapping of str to Dataset
        Particles by variant.
    first : str
        The variant that is compared with the others.
    others : sequence of str
        Those it is compared with.
    statistic
        As of :meth:`.Comparison.contrast`.
    """
    supported = {name for name, found in weights.items() if found.any()}
    rows, unfit = {}, []
    for quantity, label, by_variant in each_quantity(particles, *split_statistic(statistic)):
        finite = {name: finite_or_none(values, weights[name]) for name, values in by_variant.items()}
        for other in others:
            if first not in by_variant or other not in by_variant:
                continue
            h_first, h_other = finite[first], finite[other]
            found = None
            if h_first is None or h_other is None:
                unfit.append(quantity)
            elif other in supported:
                found = estimates.contrast(weights[first], weights[other], h_first, h_other)
            rows[label, first, other] = _contrast_row(found)
    warn_unusable(unfit)
    return frame(rows, "quantity", "a", "b")


def _quantile_columns(q: Floats) -> tuple[Floats, list[str]]:
    """Distinct probabilities and their columns, such as ``q5``, with as many digits as tell them apart."""
    q = np.array(list(dict.fromkeys(q.tolist())))
    for digits in range(6, 18):
        names = [f"q{100 * value:.{digits}g}" for value in q]
        if len(set(names)) == len(names):
            break
    return q, names


def _with_errors(columns: Iterable[str], row: Iterable[estimates.Estimate]) -> dict[str, float]:
    """Each number, followed by its standard error."""
    pairs = zip(columns, row, strict=True)
    return {key: number for c, e in pairs for key, number in ((c, e.value), (f"mcse_{c}", e.mcse))}


def _contrast_row(found: estimates.Contrast | None) -> dict[str, float]:
    if found is None:
        found = estimates.Contrast(math.nan, math.nan, _UNKNOWN, _UNKNOWN)
    first, second, (difference, mcse), (ratio, mcse_ratio) = found
    reach = estimates.Z95 * mcse
    factor = math.exp(min(estimates.Z95 * mcse_ratio / ratio, 700.0)) if ratio else math.nan
    return {
        "mean_a": first,
        "mean_b": second,
        "difference": difference,
        "mcse": mcse,
        "lower": difference - reach,
        "upper": difference + reach,
        "ratio": ratio,
        "mcse_ratio": mcse_ratio,
        "ratio_lower": ratio / factor,
        "ratio_upper": ratio * factor,
    }


def frame(rows: Mapping[Any, Mapping[str, Any]], *names: str) -> pd.DataFrame:
    """A table with a row for each key."""
    keys = list(rows)
    several = len(names) > 1
    index = pd.MultiIndex.from_tuples(keys, names=names) if several else pd.Index(keys, name=names[0])
    return pd.DataFrame(list(rows.values()), index=index)
