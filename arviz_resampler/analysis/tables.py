"""Tables of weighted numbers: a row for each quantity and variant, each number with its error.

Knows weights and datasets of particles; nothing of programs or draws.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from arviz_resampler.analysis import distances, estimates
from arviz_resampler.analysis.quantities import (
    Statistic,
    each_quantity,
    finite_or_none,
    split_statistic,
    warn_unusable,
)
from arviz_resampler.analysis.report import Doubts, number_columns, show
from arviz_resampler.arguments import as_probabilities
from arviz_resampler.errors import about
from arviz_resampler.printed import PrintedTable, Shown
from arviz_resampler.weights.weights import Weights

# Columns of a contrast, of which the difference is the main number.
_SHORT = {
    **{f"{part}_difference": part for part in ("mcse", "lower", "upper", "n_effective", "reliable")},
    **{f"{part}_ratio": f"ratio_{part}" for part in ("lower", "upper")},
}

# What a comparison prints of its diagnostics.
_FORMATS = {
    "ess": "{:.1f}",
    "ess_fraction": "{:.1%}",
    "pareto_k": "{:.2g}",
    "max_weight": "{:.2g}",
    "missed_mass": "{:.1%}",
    "bayes_factor": "{:.2g}",
    "n_unique": "{}",
    "verdict": "{}",
}

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
    smooth: bool,
) -> pd.DataFrame:
    """Mean, standard deviation and quantiles of each quantity by variant, each with error and interval.

    Parameters
    ----------
    weights : mapping of str to Weights
        By variant.
    particles : mapping of str to Dataset
        Particles by variant.
    var_names, statistics, quantiles, ci_prob, smooth
        As of :meth:`.Comparison.summary`.
    """
    q, names = _quantile_columns(as_probabilities("quantiles", quantiles, max_ndim=1))
    columns = ["mean", "sd", *names]
    doubts = Doubts(weights)
    normalized = {name: _used(name, found, smooth) for name, found in weights.items()}
    rows, unfit = {}, []
    for quantity, label, by_variant in each_quantity(particles, var_names, statistics):
        orders = {id(values): np.argsort(values) for values in by_variant.values()}
        for name, values in by_variant.items():
            found, w = weights[name], normalized[name]
            clean = finite_or_none(values, w)
            row = [estimates.UNKNOWN] * len(columns)
            if clean is None and quantity in (statistics or {}):
                row[0] = estimates.event(w, values, missed_bound(found), ci_prob, found.chains)
            elif clean is None:
                unfit.append(quantity)
            elif found.ess:
                order = orders[id(values)]
                mean, sd = estimates.moments(w, clean, ci_prob, found.chains)
                if _is_fraction(clean):
                    mean = estimates.fraction(mean, missed_bound(found), ci_prob)
                ends = partial(estimates.quantiles, q=q, ci_prob=ci_prob, chains=found.chains, order=order)
                row = [mean, sd, *ends(w[order], clean[order])]
                if smooth:  # what the particles do not tell, no smoothing adds
                    plain = found.normalized
                    told = [
                        *estimates.moments(plain, clean, chains=found.chains),
                        *ends(plain[order], clean[order]),
                    ]
                    row = [_told(number, by) for number, by in zip(row, told, strict=True)]
            cells: dict[str, Any] = {}
            for column, number in zip(columns, row, strict=True):
                what = f"{column} of {label!r} of variant {name!r}"
                cells |= number_columns(column, number, doubts.ask(what, number, name))
            rows[label, name] = cells
    warn_unusable(unfit)
    doubts.warn()
    return PrintedTable(frame(rows, "quantity", "variant"), show)


def contrast(
    weights: Mapping[str, Weights],
    particles: Mapping[str, xr.Dataset],
    first: str,
    others: Sequence[str],
    *,
    statistic: Any,
    ci_prob: float,
    smooth: bool,
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
    statistic, ci_prob, smooth
        As of :meth:`.Comparison.contrast`.
    """
    doubts = Doubts({name: weights[name] for name in (first, *others)})
    normalized = {name: _used(name, weights[name], smooth) for name in (first, *others)}
    rows, unfit, chains = {}, [], weights[first].chains
    var_names, statistics = split_statistic(statistic)
    for quantity, label, by_variant in each_quantity(particles, var_names, statistics):
        finite = {n: finite_or_none(values, normalized[n]) for n, values in by_variant.items()}
        for other in others:
            if first not in by_variant or other not in by_variant:
                continue
            h_first, h_other = finite[first], finite[other]
            found = estimates.Contrast(math.nan, math.nan, estimates.UNKNOWN, estimates.UNKNOWN)
            if (h_first is None or h_other is None) and quantity in statistics:
                ends = (
                    estimates.event(normalized[n], by_variant[n], missed_bound(weights[n]), ci_prob, chains)
                    for n in (first, other)
                )
                found = found._replace(difference=_between(*ends))
            elif h_first is None or h_other is None:
                unfit.append(quantity)
            elif weights[other].ess:
                missed = None
                if _is_fraction(h_first) and _is_fraction(h_other):
                    missed = missed_bound(weights[first]), missed_bound(weights[other])
                pair = normalized[first], normalized[other]
                found = estimates.contrast(
                    *pair, h_first, h_other, ci_prob=ci_prob, missed=missed, chains=chains
                )
                if smooth:
                    plain = weights[first].normalized, weights[other].normalized
                    told = estimates.contrast(*plain, h_first, h_other, chains=chains)
                    found = found._replace(
                        difference=_told(found.difference, told.difference),
                        ratio=_told(found.ratio, told.ratio),
                    )
            of = f"of {label!r} between {first!r} and {other!r}"
            row: dict[str, Any] = {"mean_a": found.first, "mean_b": found.second}
            for name, number in (("difference", found.difference), ("ratio", found.ratio)):
                row |= number_columns(name, number, doubts.ask(f"{name} {of}", number, first, other))
            rows[label, first, other] = {_SHORT.get(name, name): value for name, value in row.items()}
    warn_unusable(unfit)
    doubts.warn()
    return PrintedTable(frame(rows, "quantity", "a", "b"), _show_contrast)


def _between(a: estimates.Estimate, b: estimates.Estimate) -> estimates.Estimate:
    """The difference of two numbers that have bounds alone."""
    n = min(a.n_effective, b.n_effective)
    return estimates.Estimate(math.nan, math.nan, n, a.lower - b.upper, a.upper - b.lower)


def _used(name: str, weights: Weights, smooth: bool) -> Floats:
    """The weights that numbers of a variant are computed with."""
    with about(name):
        return weights.smoothed if smooth else weights.normalized


def _told(number: estimates.Estimate, plain: estimates.Estimate) -> estimates.Estimate:
    """A smoothed number, on no more effective particles than the plain one."""
    return number._replace(n_effective=min(number.n_effective, plain.n_effective))


def _is_fraction(values: Floats) -> bool:
    return bool(values.min() >= 0 and values.max() <= 1)


def missed_bound(weights: Weights) -> float:
    """What a fraction of which few particles have a part may be larger by."""
    few = min(3 * weights.max_weight / weights.relative_efficiency, 1.0)
    return max(few, float(np.nan_to_num(weights.missed_mass)))


def _quantile_columns(quantiles: Floats) -> tuple[Floats, list[str]]:
    """Distinct probabilities and their columns, such as ``q5``, with as many digits as tell them apart."""
    q = np.array(list(dict.fromkeys(np.atleast_1d(quantiles).tolist())))
    for digits in range(6, 18):
        names = [f"q{100 * value:.{digits}g}" for value in q]
        if len(set(names)) == len(names):
            break
    return q, names


def _show_contrast(table: pd.DataFrame) -> Shown:
    return show(table.rename(columns={short: name for name, short in _SHORT.items()}))


def frame(rows: Mapping[Any, Mapping[str, Any]], *names: str) -> pd.DataFrame:
    """A table with a row for each key."""
    keys = list(rows)
    several = len(names) > 1
    index = pd.MultiIndex.from_tuples(keys, names=names) if several else pd.Index(keys, name=names[0])
    return pd.DataFrame(list(rows.values()), index=index)


def short(diagnostics: pd.DataFrame) -> Shown:
    """The diagnostics that tell most, and the advice for what is not good."""
    left_out = "missed_mass" if "bayes_factor" in diagnostics else "bayes_factor"
    shown = {name: diagnostics[name].map(how.format) for name, how in _FORMATS.items() if name != left_out}
    shown["pareto_k"] = shown["pareto_k"].where(diagnostics["pareto_k_reason"] == "", "-")
    if "missed_mass" in shown:  # unknown where a density has no known normalizing constant
        shown["missed_mass"] = shown["missed_mass"].where(diagnostics["missed_mass"].notna(), "-")
    advice = [f"{name}: {row.advice}" for name, row in diagnostics.iterrows() if row.verdict != "good"]
    return pd.DataFrame(shown), advice


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
                "expected": distances.overlap(p, q),
                "observed": float(np.mean(chosen[a] == chosen[b])),
                "total_variation": float(np.abs(p - q).sum() / 2),
            }
    return frame(rows, "a", "b")
