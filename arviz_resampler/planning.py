"""Number of guide samples that a run will need, from a pilot of the guide alone.

Runs a small :class:`Resampler` without a simulator; knows its weights, nothing of what is inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from arviz_resampler.arguments import as_count, as_variants
from arviz_resampler.errors import about
from arviz_resampler.printed import PrintedTable, Shown
from arviz_resampler.resampler import Resampler
from arviz_resampler.weights.averages import standard_error
from arviz_resampler.weights.weights import Weights

_FEW = 10.0  # effective particles below which the error of an ESS fraction says nothing
_HEAVY = 0.5  # Pareto shape from which the ESS grows more slowly than the number of particles


def plan(
    guide: Callable[[], Any],
    models: Callable[[], Any] | Mapping[str, Callable[[], Any]],
    num_samples: int,
    *,
    pilot: int = 10_000,
    random_seed: int | np.random.Generator | None = None,
    max_plate_nesting: int | None = None,
    batch_size: int | None = None,
    partial: bool = False,
) -> pd.DataFrame:
    """Number of guide samples that each model needs, before the simulator runs.

    Parameters
    ----------
    guide : callable
        Pyro program without arguments, as for :class:`Resampler`.
    models : callable or mapping of str to callable
        Priors of what the guide draws, one or several by name; no sites of the simulator.
    num_samples : int
        The effective sample size (ESS) that is wanted: the number of draws that will be asked for.
    pilot : int, default 10_000
        How many guide samples to learn from. The simulator is not run.
    random_seed, max_plate_nesting, batch_size, partial
        As for :class:`Resampler`.

    Returns
    -------
    DataFrame
        A row for each model: ``ess_fraction``, the ESS by guide sample, its standard error
        ``mcse_ess_fraction``, and the effective number of particles ``n_effective`` that this is estimated
        from; ``num_guide_samples``, with which ESS >= ``num_samples``; ``costliest_site``; ``verdict`` on
        the pilot, and ``advice``, which is printed below the table. Where the verdict is not good the number
        is a lower bound.

    Raises
    ------
    ArgumentError
        If an argument is not usable as given.
    ProgramError
        If a program cannot be run.

    Notes
    -----
    The ESS fraction tends to ``E[w]**2 / E[w**2]`` for raw ratios w. Its error follows from the influence
    ``2 w / E[w] - w**2 / E[w**2]`` of one particle (delta method). The number leaves room for two standard
    errors, of the pilot and of the run together, so that about 98 of 100 runs reach the ESS. A pilot is
    good only where 10 effective particles or more tell the error. Where no
    particle of the pilot is in the support of a model, less than ``3 / pilot`` of the guide is, with
    95 % confidence, and the ESS fraction is not larger than that share.

    Examples
    --------
    >>> import pyro, pyro.distributions as dist
    >>> def prior(scale):
    ...     return lambda: pyro.sample("mu", dist.Normal(0.0, scale))
    >>> models = {"vague": prior(8.0), "informed": prior(1.0)}
    >>> table = plan(prior(10.0), models, num_samples=1000, random_seed=0)
    >>> table["num_guide_samples"].tolist()
    [1100, 7500]
    """
    num_samples, pilot = as_count("num_samples", num_samples), as_count("pilot", pilot)
    if not isinstance(models, Mapping):
        models = {getattr(models, "__name__", type(models).__name__): models}
    variants = as_variants(models, 1)
    resampler = Resampler(
        guide,
        num_guide_samples=pilot,
        random_seed=random_seed,
        max_plate_nesting=max_plate_nesting,
        batch_size=batch_size,
        partial=partial,
        progressbar=False,
    )
    rows = []
    for name, model in variants.items():
        with about(name):
            weights = resampler.weigh(model)
        rows.append(_row(weights, num_samples))
    return PrintedTable(pd.DataFrame(rows, index=pd.Index(list(variants), name="model")), _show)


def _show(table: pd.DataFrame) -> Shown:
    """The numbers, and the advice for models whose pilot is not good below them."""
    shown = table.drop(columns="advice", errors="ignore")
    if not {"advice", "verdict"} <= set(table):
        return shown, []
    return shown, [f"  {name}: {row.advice}" for name, row in table.iterrows() if row.verdict != "good"]


def _row(weights: Weights, num_samples: int) -> dict[str, Any]:
    n, fit, site = weights.num_particles, weights.pareto, weights.costliest_site
    verdict, advice = weights.judge(1)
    fraction, mcse, n_effective = ess_fraction(weights)
    if verdict == "low" or (verdict == "good" and fit.k >= _HEAVY and weights.ess >= fit.tail):
        verdict = "unreliable"
        advice = (
            f"Pareto k-hat {fit.k:.2f} is above {_HEAVY}: the ESS fraction falls as particles are added. "
            f"Widen the guide at site {site!r}."
        )
    elif verdict == "good" and n_effective < _FEW:
        verdict = "unreliable"
        advice = (
            f"the error of the ESS fraction is estimated from {n_effective:.2g} effective particles, and "
            f"needs {_FEW:.0f}. Draw a larger pilot, or widen the guide at site {site!r}."
        )
    if verdict != "good":
        advice = f"a lower bound, as the pilot is too small to estimate the number: {advice}"
    margin = mcse if verdict == "good" else 0.0
    return {
        "ess_fraction": fraction,
        "mcse_ess_fraction": mcse,
        "n_effective": n_effective,
        "num_guide_samples": needed(fraction, margin, n, num_samples),
        "costliest_site": site if weights.ess < n * (1 - 1e-9) else None,
        "verdict": verdict,
        "advice": advice,
    }


def ess_fraction(weights: Weights) -> tuple[float, float, float]:
    """ESS by particle, its standard error, and the effective particles of this."""
    if not weights.ess:
        return 0.0, math.nan, 0.0
    n = weights.num_particles
    fraction = weights.ess / n
    scaled = weights.normalized * n  # of mean one
    influence = 2 * scaled - scaled**2 * fraction - 1
    if np.ptp(scaled) <= 1e-9:  # of one weight, which is exact but for rounding
        return fraction, 0.0, float(n)
    mcse, n_effective = standard_error(influence * (fraction / n))
    return fraction, mcse, n_effective


def needed(fraction: float, mcse: float, pilot: int, num_samples: int) -> int:
    """Guide samples for an ESS, with room for the errors of pilot and run: two digits, rounded up."""
    if not fraction:
        count = num_samples * pilot / 3
    else:
        run = num_samples / fraction
        count = run * math.exp(2 * mcse / fraction * math.sqrt(1 + pilot / run))
    digits = 10 ** max(math.floor(math.log10(count)) - 1, 0)
    return int(math.ceil(count / digits * (1 - 1e-12)) * digits)
