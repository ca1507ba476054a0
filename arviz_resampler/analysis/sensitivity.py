"""Power-scaling sensitivity of each quantity to the prior of one site.

Knows weighed particles and the dataset of them; nothing of programs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from arviz_resampler.analysis import distances, estimates
from arviz_resampler.analysis.quantities import Statistic, each_quantity, finite_or_none, warn_unusable
from arviz_resampler.analysis.report import OF_A_NUMBER, Doubts, number_columns, show
from arviz_resampler.printed import PrintedTable
from arviz_resampler.scoring.scored import ScoredModel
from arviz_resampler.weights.averages import RELIABLE
from arviz_resampler.weights.weights import Weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GRID = tuple(1.25 ** (i / 2) for i in range(-2, 3))  # powers from 0.8 to 1.25, as in priorsense
SENSITIVE = 0.05  # from which priorsense takes a quantity for sensitive
STEP = 1.01  # of its difference quotient
_NUMBERS = ("{}", "derivative_{}", *(f"{part}derivative_{{}}" for part in OF_A_NUMBER), "{}_low", "{}_high")
COLUMNS = (
    *(column.format(name) for name in ("mean", "sd") for column in _NUMBERS),
    *("cjs_distance", "sensitivity"),
)
_NEEDED = {"mean": RELIABLE, "sd": estimates.RELIABLE_SLOPE}  # effective particles of a derivative
_MODEL = ""


def power_scaling(
    weighed: ScoredModel,
    dataset: xr.Dataset,
    var_names: str | Sequence[str] | None,
    statistics: Mapping[str, Statistic] | None,
    *,
    ci_prob: float,
    log_likelihood: Floats | None = None,
) -> pd.DataFrame:
    """Sensitivity of each quantity to the prior of each site, and of a posterior to prior and likelihood.

    The density of one site is raised to a power alpha, so that above 1 its prior gets narrower and
    below 1 wider; the particles are weighted anew with ``W * p**(alpha - 1)``, from the log densities
    that are known already.

    Parameters
    ----------
    weighed : ScoredModel
        The model on the particles.
    dataset : Dataset
        The particles.
    var_names, statistics, ci_prob
        Which quantities, and the probability of intervals, as of :meth:`.Resampler.sensitivity`.
    log_likelihood : ndarray, optional
        Of the data, shape (N,), where the particles are draws of a posterior.

    Returns
    -------
    DataFrame
        A row for each site and quantity:

        ``mean``, ``sd``
            Under the model as it is.
        ``derivative_mean``, ``derivative_sd``
            With respect to log2(alpha) at alpha = 1, each with its Monte Carlo error ``mcse_``, interval from
            ``lower_`` to ``upper_``, the effective number of particles ``n_effective_`` that the error is
            estimated from, and ``reliable_``: True from 30 of them on, for the standard deviation from 50 on,
            where the weights are reliable.
        ``mean_low``, ``mean_high``, ``sd_low``, ``sd_high``
            At alpha = 0.8 and 1.25.
        ``cjs_distance``
            Cumulative Jensen-Shannon distance from the model as it is, the larger of those at alpha = 0.8
            and 1.25.
        ``sensitivity``
            The same distance by step of log2(alpha), from alpha = 1/1.01 and 1.01: what priorsense
            reports, which takes 0.05 for the threshold of being sensitive.
        ``ess``, ``pareto_k``, ``reliable``
            The lowest ESS and the highest k-hat for powers from 0.8 to 1.25, and whether the weights are
            reliable for all of them.
        ``diagnosis``
            Of a posterior whose log likelihood is known: "prior-data conflict" where a quantity is sensitive
            to the prior of all sites together and to the likelihood, "strong prior or weak likelihood" where
            it is to the prior alone. Rows ``prior`` and ``likelihood`` have these two.

    Notes
    -----
    N. Kallioinen, T. Paananen, P.-C. Buerkner and A. Vehtari, *Detecting and diagnosing prior and
    likelihood sensitivity with power-scaling*, Statistics and Computing 34(57), 2024, and the R package
    priorsense. A prior that is conditional on other sites is scaled as it stands, without a new
    normalizing constant, so these sites move with it.
    """
    base, chains = weighed.weights.normalized, weighed.weights.chains
    sites = _components(weighed, log_likelihood)
    rows: dict[Any, dict[str, Any]] = {}
    unfit, doubts = [], Doubts({_MODEL: weighed.weights})
    quantities = each_quantity({_MODEL: dataset}, var_names, statistics)
    for name, label, by_variant in quantities:
        values = finite_or_none(by_variant[_MODEL], base)
        order = None if values is None else np.argsort(values)
        if values is None:
            unfit.append(name)
        for site, scaled in sites.items():
            found: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
            if values is not None and order is not None:
                now = estimates.moments(base, values)
                slopes = estimates.derivatives(base, values, scaled.log_p, ci_prob, chains)
                found |= _row(base, scaled, values, order)
                for of, value, slope in zip(_NEEDED, now, slopes, strict=True):
                    what = f"derivative of the {of} of {label!r} with respect to {site!r}"
                    reliable = doubts.ask(what, slope, _MODEL, needed=_NEEDED[of])
                    found |= {of: value.value, **number_columns(f"derivative_{of}", slope, reliable)}
            rows[site, label] = {**found, **scaled.diagnosis}
    if log_likelihood is not None:
        _diagnose(rows, *list(sites)[-2:])
    warn_unusable(unfit)
    doubts.warn()
    keys = sorted(rows, key=lambda key: list(sites).index(key[0]))
    index = pd.MultiIndex.from_tuples(keys, names=["site", "quantity"])
    return PrintedTable(pd.DataFrame([rows[key] for key in keys], index=index), show)


def _components(weighed: ScoredModel, log_likelihood: Floats | None) -> dict[str, _Scaled]:
    """What is scaled: each site, and of a posterior all of them together and the likelihood."""
    log_p = {name: weighed.log_p(name).cpu().numpy() for name in weighed.latents}
    if log_likelihood is not None:
        together = np.sum(list(log_p.values()), axis=0)
        for name, values in (("prior", together), ("likelihood", log_likelihood)):
            log_p[f"{name} (all)" if name in log_p else name] = values
    return {name: _Scaled.of(weighed.weights, name, values) for name, values in log_p.items()}


def _diagnose(rows: dict[Any, dict[str, Any]], prior: str, likelihood: str) -> None:
    """Say of each quantity what being sensitive to prior and likelihood means."""
    for (_, label), row in rows.items():
        to_prior, to_likelihood = (rows[part, label]["sensitivity"] for part in (prior, likelihood))
        row["diagnosis"] = diagnosis(to_prior, to_likelihood)


def diagnosis(to_prior: float, to_likelihood: float) -> str:
    """What sensitivity to the prior and to the likelihood mean together, by priorsense's threshold."""
    if not to_prior >= SENSITIVE:  # NaN, too
        return "-"
    return "prior-data conflict" if to_likelihood >= SENSITIVE else "strong prior or weak likelihood"


@dataclass(frozen=True)
class _Scaled:
    """The log density of one site, and the weights with that site scaled, by power."""

    log_p: Floats
    weights: Mapping[float, Floats]
    diagnosis: Mapping[str, Any]

    @classmethod
    def of(cls, base: Weights, site: str, log_p: Floats) -> _Scaled:
        # Outside the support there is no weight to scale; what failed in the simulator is left as it is.
        log_p = np.where(np.isfinite(log_p), log_p, 0.0)

        def to_the(power: float) -> Weights:
            log_ratio = {site: base.log_ratio + (power - 1) * log_p}
            return Weights(log_ratio, densities_normalized=False, chains=base.chains)

        far, near = [to_the(power) for power in GRID], [to_the(power) for power in (1 / STEP, STEP)]
        kept = zip((GRID[0], GRID[-1], 1 / STEP, STEP), (far[0], far[-1], *near), strict=True)
        return cls(
            log_p,
            {power: weights.normalized for power, weights in kept},
            {
                "ess": min(weights.ess for weights in far),
                "pareto_k": max(weights.pareto_k for weights in far),
                "reliable": all(weights.judge(1).verdict != "unreliable" for weights in far),
            },
        )


def _row(base: Floats, scaled: _Scaled, values: Floats, order: Ints) -> dict[str, Any]:
    """What power-scaling a site does to a quantity, but for the errors of the derivatives."""
    low, high = (estimates.moments(scaled.weights[power], values) for power in (GRID[0], GRID[-1]))
    ordered = values[order]
    distance = {
        power: distances.cjs_distance(base[order], weights[order], ordered)
        for power, weights in scaled.weights.items()
    }
    return {
        "mean_low": low.mean.value,
        "mean_high": high.mean.value,
        "sd_low": low.sd.value,
        "sd_high": high.sd.value,
        "cjs_distance": max(distance[GRID[0]], distance[GRID[-1]]),
        "sensitivity": (distance[1 / STEP] + distance[STEP]) / (2 * math.log2(STEP)),
    }
