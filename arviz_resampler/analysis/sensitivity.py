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

from arviz_resampler.analysis import estimates
from arviz_resampler.analysis.quantities import Statistic, evaluate, finite_or_none, warn_unusable
from arviz_resampler.analysis.tables import Doubts
from arviz_resampler.scoring.scored import ScoredModel
from arviz_resampler.weights.weights import Weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GRID = tuple(1.25 ** (i / 2) for i in range(-2, 3))  # powers from 0.8 to 1.25, as in priorsense
STEP = 1.01  # of its difference quotient
COLUMNS = (
    *("mean", "derivative_mean", "mcse_derivative_mean", "n_effective_derivative_mean"),
    *("reliable_derivative_mean", "mean_low", "mean_high"),
    *("sd", "derivative_sd", "mcse_derivative_sd", "n_effective_derivative_sd"),
    *("reliable_derivative_sd", "sd_low", "sd_high"),
    *("cjs_distance", "sensitivity"),
)


def power_scaling(
    weighed: ScoredModel,
    dataset: xr.Dataset,
    var_names: str | Sequence[str] | None,
    statistics: Mapping[str, Statistic] | None,
) -> pd.DataFrame:
    """Sensitivity of each quantity to the prior of each site.

    The density of one site is raised to a power alpha, so that above 1 its prior gets narrower and
    below 1 wider; the particles are weighted anew with ``W * p**(alpha - 1)``, from the log densities
    that are known already.

    Parameters
    ----------
    weighed : ScoredModel
        The model on the particles.
    dataset : Dataset
        The particles.
    var_names, statistics
        Which quantities, as of :meth:`.Resampler.sensitivity`.

    Returns
    -------
    DataFrame
        A row for each site and quantity:

        ``mean``, ``sd``
            Under the model as it is.
        ``derivative_mean``, ``derivative_sd``
            With respect to log2(alpha) at alpha = 1, each with its Monte Carlo error ``mcse_``, the effective
            number of particles ``n_effective_`` that this is estimated from, and ``reliable_``: True from 30
            of them on, for the standard deviation from 50 on.
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

    Notes
    -----
    N. Kallioinen, T. Paananen, P.-C. Buerkner and A. Vehtari, *Detecting and diagnosing prior and
    likelihood sensitivity with power-scaling*, Statistics and Computing 34(57), 2024, and the R package
    priorsense. A prior that is conditional on other sites is scaled as it stands, without a new
    normalizing constant, so these sites move with it.
    """
    base = weighed.weights.normalized
    sites = {name: _Scaled.of(weighed, name) for name in weighed.latents}
    rows: dict[Any, dict[str, Any]] = {}
    unfit, doubts = [], Doubts()
    for name, elements in evaluate(dataset, var_names, statistics).items():
        for label in elements:
            values = finite_or_none(elements[label], base)
            order = None if values is None else np.argsort(values)
            if values is None:
                unfit.append(name)
            for site, scaled in sites.items():
                found = dict.fromkeys(COLUMNS, math.nan)
                if values is not None and order is not None:
                    found = _row(base, scaled, values, order, label=label, site=site, doubts=doubts)
                rows[site, label] = {**found, **scaled.diagnosis}
    warn_unusable(unfit)
    doubts.warn()
    keys = sorted(rows, key=lambda key: list(sites).index(key[0]))
    index = pd.MultiIndex.from_tuples(keys, names=["site", "quantity"])
    return pd.DataFrame([rows[key] for key in keys], index=index)


@dataclass(frozen=True)
class _Scaled:
    """The log density of one site, and the weights with that site scaled, by power."""

    log_p: Floats
    weights: Mapping[float, Floats]
    diagnosis: Mapping[str, Any]

    @classmethod
    def of(cls, weighed: ScoredModel, site: str) -> _Scaled:
        log_ratio = weighed.weights.log_ratio
        log_p = weighed.log_p(site).cpu().numpy()
        # Outside the support there is no weight to scale; what failed in the simulator is left as it is.
        log_p = np.where(np.isfinite(log_p), log_p, 0.0)
        far = [Weights({site: log_ratio + (a - 1) * log_p}, densities_normalized=False) for a in GRID]
        near = [
            Weights({site: log_ratio + (a - 1) * log_p}, densities_normalized=False) for a in (1 / STEP, STEP)
        ]
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


def _row(
    base: Floats, scaled: _Scaled, values: Floats, order: Ints, *, label: str, site: str, doubts: Doubts
) -> dict[str, float]:
    low, high = (estimates.moments(scaled.weights[a], values) for a in (GRID[0], GRID[-1]))
    now = estimates.moments(base, values)
    mean, sd = estimates.derivatives(base, values, scaled.log_p)
    ordered = values[order]
    distance = {
        power: estimates.cjs_distance(base[order], weights[order], ordered)
        for power, weights in scaled.weights.items()
    }
    needed = {"mean": estimates.RELIABLE, "sd": estimates.RELIABLE_SLOPE}
    reliable = {
        name: doubts.ask(
            f"derivative of the {name} of {label!r} with respect to {site!r}", number, needed[name]
        )
        for name, number in (("mean", mean), ("sd", sd))
    }
    numbers = (
        *(now.mean.value, mean.value, mean.mcse, mean.n_effective),
        *(reliable["mean"], low.mean.value, high.mean.value),
        *(now.sd.value, sd.value, sd.mcse, sd.n_effective),
        *(reliable["sd"], low.sd.value, high.sd.value),
        max(distance[GRID[0]], distance[GRID[-1]]),
        (distance[1 / STEP] + distance[STEP]) / (2 * math.log2(STEP)),
    )
    return dict(zip(COLUMNS, numbers, strict=True))
