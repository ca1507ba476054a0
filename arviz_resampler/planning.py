"""Number of guide samples that a run will need, from a pilot of guide and model, without a simulator.

Runs a small :class:`Resampler`; knows its weights and what draws of a model tell, nothing of what is inside.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from arviz_resampler.arguments import as_count, as_variants
from arviz_resampler.errors import ResamplerError, WeightWarning, about
from arviz_resampler.printed import PrintedTable, Shown
from arviz_resampler.resampler import Resampler
from arviz_resampler.weights.averages import standard_error
from arviz_resampler.weights.normalize import Floats
from arviz_resampler.weights.weights import Weights

_FEW = 10.0  # effective draws below which the error of an ESS fraction says nothing
_ROUNDING = 1e-3  # of a mean log ratio, of densities in float32
_NONE = 700.0  # log ratio of model and guide from which the guide has no density, in double precision
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
        How many guide samples, and how many draws of each model, to learn from. The simulator is not run.
    random_seed, max_plate_nesting, batch_size, partial
        As for :class:`Resampler`.

    Returns
    -------
    DataFrame
        A row for each model: ``ess_fraction``, the ESS by guide sample, its standard error
        ``mcse_ess_fraction``, and the effective number of draws ``n_effective`` that this is estimated
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
    The ESS fraction tends to ``1 / E_p[w]``, the expectation of the ratio w = p / q of model and guide over
    draws of the model: these are where the model is, while few particles of the guide may be. In one run it
    varies by the influence ``2 w - w**2 / E_p[w]`` of each particle, the mean raw ratio being one (delta
    method). The number leaves room for two standard errors, of the pilot and of the run together, so that
    about 98 of 100 runs reach the ESS. A pilot is good only where 10 effective draws or more tell the error,
    and the tail of w has a mean that they can tell (Pareto k-hat).

    A model that cannot be drawn from, as one with a ``pyro.factor``, is judged by the weights of the guide's
    particles alone: ``E[w]**2 / E[w**2]``. Where no particle is in its support, less than ``3 / pilot`` of
    the guide is, with 95 % confidence, and the ESS fraction is not larger than that share.

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
    # Of a family, that the pilot is small.
    with warnings.catch_warnings(action="ignore", category=WeightWarning):
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
        try:
            drawn = resampler.reach(model, num_samples, num_draws=pilot).log_ratio
        except ResamplerError:  # of a model that cannot be drawn from
            fraction = of_weights(weights)
        else:
            fraction = of_draws(drawn, weights)
        rows.append(_row(weights, fraction, num_samples))
    return PrintedTable(pd.DataFrame(rows, index=pd.Index(list(variants), name="model")), _show)


def _show(table: pd.DataFrame) -> Shown:
    """The numbers, and the advice for models whose pilot is not good below them."""
    shown = table.drop(columns="advice", errors="ignore")
    if not {"advice", "verdict"} <= set(table):
        return shown, []
    return shown, [f"  {name}: {row.advice}" for name, row in table.iterrows() if row.verdict != "good"]


class Fraction(NamedTuple):
    """The ESS by guide sample, as estimated.

    Attributes
    ----------
    value, mcse : float
        The fraction and its standard error.
    n_effective : float
        The effective number of particles, or draws, that tell the error.
    one : float
        Standard deviation of a run over the fraction, times the square root of its size.
    doubt : str
        Why it is not good, and what to do; nothing where it is.
    """

    value: float
    mcse: float
    n_effective: float
    one: float
    doubt: str = ""


def _row(weights: Weights, fraction: Fraction, num_samples: int) -> dict[str, Any]:
    n, doubt = weights.num_particles, fraction.doubt
    if not doubt and fraction.n_effective < _FEW:
        doubt = (
            f"the error of the ESS fraction is estimated from {fraction.n_effective:.2g} effective draws, "
            f"and needs {_FEW:.0f}. Draw a larger pilot, or widen the guide at site "
            f"{weights.costliest_site!r}."
        )
    return {
        "ess_fraction": fraction.value,
        "mcse_ess_fraction": fraction.mcse,
        "n_effective": fraction.n_effective,
        "num_guide_samples": needed(fraction, n, num_samples, room=not doubt),
        "costliest_site": weights.costliest_site if weights.ess < n * (1 - 1e-9) else None,
        "verdict": "unreliable" if doubt else "good",
        "advice": f"a lower bound: {doubt}"
        if doubt
        else f"ESS {fraction.value:.3g} of a guide sample, with an error of {fraction.mcse:.2g}.",
    }


def of_weights(weights: Weights) -> Fraction:
    """The fraction by the weights of the guide's particles."""
    if not weights.ess:
        return Fraction(0.0, math.nan, 0.0, 0.0, weights.judge(1).advice)
    n, fit = weights.num_particles, weights.pareto
    verdict, advice = weights.judge(1)
    if verdict == "low" or (verdict == "good" and fit.k >= _HEAVY and weights.ess >= fit.tail):
        verdict = "unreliable"
        advice = (
            f"Pareto k-hat {fit.k:.2f} is above {_HEAVY}: the ESS fraction falls as particles are added. "
            f"Widen the guide at site {weights.costliest_site!r}."
        )
    fraction = weights.ess / n
    scaled = weights.normalized * n  # of mean one
    influence = 2 * scaled - scaled**2 * fraction - 1
    if np.ptp(scaled) <= 1e-9:  # of one weight, which is exact but for rounding
        mcse, n_effective = 0.0, float(n)
    else:
        mcse, n_effective = standard_error(influence * (fraction / n))
    one = mcse / fraction * math.sqrt(n)
    return Fraction(fraction, mcse, n_effective, one, "" if verdict == "good" else advice)


def of_draws(log_ratio: Floats, weights: Weights) -> Fraction:
    """The fraction by draws of the model: one over their mean ratio."""
    outside = float(np.mean(~(log_ratio <= _NONE)))  # NaN, too
    widen = f"Widen the guide at site {weights.costliest_site!r}."
    if outside:
        share = f"a fraction {outside:.2g} of the model's draws are where the guide has no density"
        return of_weights(weights)._replace(doubt=f"{share}. {widen}")
    drawn, n = Weights({"model": log_ratio}), len(log_ratio)
    fraction = min(math.exp(-drawn.log_mean_weight), 1.0)
    if np.ptp(log_ratio) <= 1e-9:
        return Fraction(fraction, 0.0, float(n), 0.0)
    mcse, n_effective = standard_error((drawn.normalized - 1 / n) * fraction)
    # The variance of the influence over particles of the guide, as an expectation over draws of the model.
    scaled = np.maximum(drawn.normalized * n, np.finfo(np.float64).tiny)
    one = math.sqrt(np.mean((2 * scaled - scaled**2 - fraction) ** 2 / scaled) / fraction)
    fit, doubt = drawn.pareto, ""
    if -drawn.log_mean_weight > 5 * drawn.log_mean_weight_se + _ROUNDING:
        mean = math.exp(drawn.log_mean_weight)
        doubt = (
            f"the mean ratio at the model's draws is {mean:.3g}, not 1 or more: values are not drawn from "
            f"the density that they are scored with, as where they underflow."
        )
    elif fit.k >= fit.threshold:  # no where there is no k-hat
        rare = f"Pareto k-hat {fit.k:.2f} of the ratios at the model's draws is above {fit.threshold:.2g}"
        doubt = f"{rare}: a few rare draws decide the ESS fraction. {widen}"
    return Fraction(fraction, mcse, n_effective, one, doubt)


def needed(fraction: Fraction, pilot: int, num_samples: int, *, room: bool = True) -> int:
    """Guide samples for an ESS, with room for the errors of pilot and run: two digits, rounded up."""
    if not fraction.value:
        count = num_samples * pilot / 3
    else:
        run = num_samples / fraction.value
        error = math.hypot(fraction.mcse / fraction.value, fraction.one / math.sqrt(run)) if room else 0.0
        count = run * math.exp(2 * error)
    digits = 10 ** max(math.floor(math.log10(count)) - 1, 0)
    return int(math.ceil(count / digits * (1 - 1e-12)) * digits)
