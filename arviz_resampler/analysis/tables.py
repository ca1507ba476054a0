"""Tables of weighted numbers: a row for each quantity and variant, each number with its error.

Knows weights and datasets of particles; nothing of programs or draws.
"""

from __future__ import annotations

import itertools
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
from arviz_resampler.errors import WeightWarning, warn
from arviz_resampler.weights.weights import Weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def summary(
    weights: Mapping[str, Weights],
    particles: Mapping[str, xr.Dataset],
    var_names: str | Sequence[str] | None,
    statistics: Mapping[str, Statistic] | None,
    *,
    quantiles: float | Sequence[float],
    ci_prob: float,
) -> pd.DataFrame:
    """Mean, standard deviation and quantiles of each quantity by variant, each with error and interval.

    Parameters
    ----------
    weights : mapping of str to Weights
        By variant.
    particles : mapping of str to Dataset
        Particles by variant.
    var_names, statistics, quantiles, ci_prob
        As of :meth:`.Comparison.summary`.
    """
    q, names = _quantile_columns(as_probabilities("quantiles", quantiles, max_ndim=1))
    columns = ["mean", "sd", *names]
    doubts = Doubts()
    rows, unfit = {}, []
    for quantity, label, by_variant in each_quantity(particles, var_names, statistics):
        orders = {id(values): np.argsort(values) for values in by_variant.values()}
        for name, values in by_variant.items():
            found, clean = weights[name], finite_or_none(values, weights[name].normalized)
            row = [estimates.UNKNOWN] * len(columns)
            if clean is None:
                unfit.append(quantity)
            elif found.ess:
                order = orders[id(values)]
                mean, sd = estimates.moments(found.normalized, clean, ci_prob)
                if clean.min() >= 0 and clean.max() <= 1:
                    mean = estimates.fraction(mean, missed_bound(found), ci_prob)
                row = [mean, sd]
                row += estimates.quantiles(found.normalized[order], clean[order], q, ci_prob)
                for column, number in zip(columns, row, strict=True):
                    doubts.ask(f"{column} of {label!r} of variant {name!r}", number)
            rows[label, name] = _with_errors(columns, row)
    warn_unusable(unfit)
    doubts.warn()
    return frame(rows, "quantity", "variant")


def contrast(
    weights: Mapping[str, Weights],
    particles: Mapping[str, xr.Dataset],
    first: str,
    others: Sequence[str],
    *,
    statistic: Any,
    ci_prob: float,
) -> pd.DataFrame:
    """Difference and ratio of means between one variant and others, with paired errors.

    Parameters
    ----------
    weights : mapping of str to Weights
        By variant.
    particles : mapping of str to Dataset
        Particles by variant.
    first : str
        The variant that is compared with the others.
    others : sequence of str
        Those it is compared with.
    statistic, ci_prob
        As of :meth:`.Comparison.contrast`.
    """
    doubts = Doubts()
    rows, unfit = {}, []
    for quantity, label, by_variant in each_quantity(particles, *split_statistic(statistic)):
        finite = {n: finite_or_none(values, weights[n].normalized) for n, values in by_variant.items()}
        for other in others:
            if first not in by_variant or other not in by_variant:
                continue
            h_first, h_other = finite[first], finite[other]
            found = estimates.Contrast(math.nan, math.nan, estimates.UNKNOWN, estimates.UNKNOWN)
            if h_first is None or h_other is None:
                unfit.append(quantity)
            elif weights[other].ess:
                pair = weights[first].normalized, weights[other].normalized
                found = estimates.contrast(*pair, h_first, h_other, ci_prob)
                if other != first:
                    doubts.ask(f"difference of {label!r} between {first!r} and {other!r}", found.difference)
            rows[label, first, other] = _contrast_row(found)
    warn_unusable(unfit)
    doubts.warn()
    return frame(rows, "quantity", "a", "b")


def missed_bound(weights: Weights) -> float:
    """What a fraction of which few particles have a part may be larger by."""
    return max(3 * weights.max_weight, float(np.nan_to_num(weights.missed_mass)))


class Doubts:
    """Numbers that are not reliable, for one warning."""

    def __init__(self) -> None:
        self._asked = 0
        self._worst: tuple[float, str, float] | None = None
        self._count = 0

    def ask(self, what: str, number: estimates.Estimate, needed: float = estimates.RELIABLE) -> bool:
        """Whether a number is reliable; counted if it is not."""
        self._asked += 1
        if number.n_effective >= needed:
            return True
        self._count += 1
        if self._worst is None or number.n_effective < self._worst[0]:
            self._worst = number.n_effective, what, needed
        return False

    def warn(self) -> None:
        """Say how many numbers are not reliable, and which is the worst."""
        if self._worst is not None:
            n, what, needed = self._worst
            warn(
                f"{self._count} of {self._asked} numbers are not reliable: the error of the {what} is "
                f"estimated from {n:.2g} effective particles, and needs {needed:.0f}. Widen the "
                f"guide where they are, or draw more guide samples.",
                WeightWarning,
            )


def _with_errors(columns: Iterable[str], row: Iterable[estimates.Estimate]) -> dict[str, float]:
    """Each number, followed by its standard error, interval and effective particles."""
    found: dict[str, float] = {}
    for column, number in zip(columns, row, strict=True):
        found |= {
            column: number.value,
            f"mcse_{column}": number.mcse,
            f"lower_{column}": number.lower,
            f"upper_{column}": number.upper,
            f"n_effective_{column}": number.n_effective,
            f"reliable_{column}": number.reliable,
        }
    return found


def _quantile_columns(quantiles: Floats) -> tuple[Floats, list[str]]:
    """Distinct probabilities and their columns, such as ``q5``, with as many digits as tell them apart."""
    q = np.array(list(dict.fromkeys(np.atleast_1d(quantiles).tolist())))
    for digits in range(6, 18):
        names = [f"q{100 * value:.{digits}g}" for value in q]
        if len(set(names)) == len(names):
            break
    return q, names


def _contrast_row(found: estimates.Contrast) -> dict[str, float]:
    first, second, difference, ratio = found
    return {
        "mean_a": first,
        "mean_b": second,
        "difference": difference.value,
        "mcse": difference.mcse,
        "lower": difference.lower,
        "upper": difference.upper,
        "n_effective": difference.n_effective,
        "reliable": difference.reliable,
        "ratio": ratio.value,
        "mcse_ratio": ratio.mcse,
        "ratio_lower": ratio.lower,
        "ratio_upper": ratio.upper,
    }


def frame(rows: Mapping[Any, Mapping[str, Any]], *names: str) -> pd.DataFrame:
    """A table with a row for each key."""
    keys = list(rows)
    several = len(names) > 1
    index = pd.MultiIndex.from_tuples(keys, names=names) if several else pd.Index(keys, name=names[0])
    return pd.DataFrame(list(rows.values()), index=index)


def ess_by_site(weights: Mapping[str, Weights]) -> pd.DataFrame:
    """ESS by variant and latent site; see :meth:`.Comparison.ess_by_site`."""
    rows = {}
    for name, found in weights.items():
        for site, alone in found.ess_by_site.items():
            without = found.ess_without_site[site]
            cost = 1 - found.ess / without if without else math.nan
            rows[name, site] = {"ess_alone": alone, "ess_without": without, "cost": cost}
    return frame(rows, "variant", "site")


def overlap(weights: Mapping[str, Weights], chosen: Mapping[str, Ints]) -> pd.DataFrame:
    """Overlap of each pair of variants; see :meth:`.Comparison.overlap`."""
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for a, b in itertools.product(weights, repeat=2):
        if (b, a) in rows:
            rows[a, b] = rows[b, a]
        elif not (weights[a].ess and weights[b].ess):
            rows[a, b] = {"expected": math.nan, "observed": math.nan, "total_variation": math.nan}
        elif a == b:
            rows[a, b] = {"expected": 1.0, "observed": 1.0, "total_variation": 0.0}
        else:
            p, q = weights[a].normalized, weights[b].normalized
            rows[a, b] = {
                "expected": estimates.overlap(p, q),
                "observed": float(np.mean(chosen[a] == chosen[b])),
                "total_variation": float(np.abs(p - q).sum() / 2),
            }
    return frame(rows, "a", "b")
