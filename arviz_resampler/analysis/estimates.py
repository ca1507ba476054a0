"""Numbers from weights, each with its Monte Carlo standard error.

Functions of arrays: W are normalized weights and h the values of one quantity, both of shape (N,).
Knows nothing of particles, variants or labels.

Notes
-----
An estimate is a smooth function of weighted means, so its error is that of a sum over particles of its
influence, the first-order effect of one particle: MCSE**2 = sum(influence**2). For a mean the influence
is ``W * (h - mean)`` (A. B. Owen, *Monte Carlo theory, methods and examples*, chapter 9); the others
follow by the delta method.

The error itself is estimated, from as many particles as have a part in it: ``n_effective``, which is
``sum(influence**2)**2 / sum(influence**4)``. Few particles that were drawn by luck make estimate and error
too small together, whatever the weights look like; :data:`RELIABLE` is where the error can be believed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from arviz_resampler.weights import averages
from arviz_resampler.weights.averages import standard_error
from arviz_resampler.weights.chains import Chains
from arviz_resampler.weights.normalize import Floats, dot

Ints = NDArray[np.int64]

RELIABLE_SLOPE = 50.0  # of the error of a derivative of a standard deviation
_UNHEARD = 8.0  # standard errors that no number is off
FEW = 10.0  # effective particles below which a fraction has a bound instead of an interval


class Estimate(NamedTuple):
    """A number with its Monte Carlo error.

    Attributes
    ----------
    value : float
        The estimate.
    mcse : float
        Its Monte Carlo standard error.
    n_effective : float
        Effective number of particles that the error is estimated from.
    lower, upper : float
        Interval.
    """

    value: float
    mcse: float
    n_effective: float
    lower: float
    upper: float


UNKNOWN = Estimate(*[math.nan] * 5)


class Moments(NamedTuple):
    """Mean and standard deviation."""

    mean: Estimate
    sd: Estimate


def half_width(n_effective: float, ci_prob: float) -> float:
    """Half the width of an interval in standard errors: Student's t for few effective particles."""
    if not math.isfinite(n_effective):
        return float(ndtri((1 + ci_prob) / 2))
    return float(stdtrit(max(n_effective - 1.0, 1.0), (1 + ci_prob) / 2))


def _estimate(
    value: float,
    influence: Floats,
    ci_prob: float,
    chains: Chains | None,
    n_most: float = math.inf,
) -> Estimate:
    mcse, n = standard_error(influence, chains)
    if not mcse:  # what is common to two numbers may be all of them
        return _exact(value, 0.0 if math.isinf(n_most) else n_most)
    n = min(n, n_most)
    reach = half_width(n, ci_prob) * mcse
    return Estimate(value, mcse, n, value - reach, value + reach)


def _exact(value: float, n_effective: float) -> Estimate:
    """A number that is the same on all particles; of none, nothing is known of its error."""
    if not n_effective:
        return Estimate(value, math.nan, 0.0, math.nan, math.nan)
    return Estimate(value, 0.0, n_effective, value, value)


def moments(weights: Floats, values: Floats, ci_prob: float = 0.95, chains: Chains | None = None) -> Moments:
    """Weighted mean and standard deviation; of particles that are ``chains`` the errors are larger."""
    mean, centered = _mean(weights, values, ci_prob, chains)
    squares = centered**2
    variance = dot(weights, squares)
    if not variance:
        return Moments(mean, _exact(0.0, mean.n_effective))
    sd = math.sqrt(variance)
    spread = _estimate(sd, weights * (squares - variance) / (2 * sd), ci_prob, chains)
    return Moments(mean, spread._replace(lower=max(spread.lower, 0.0)))


def _mean(weights: Floats, values: Floats, ci_prob: float, chains: Chains | None) -> tuple[Estimate, Floats]:
    """Weighted mean, and the deviations from it."""
    value, mcse, n = averages.mean(weights, values, chains)
    reach = half_width(n, ci_prob) * mcse
    return Estimate(value, mcse, n, value - reach, value + reach), values - value


def fraction(found: Estimate, missed: float, ci_prob: float) -> Estimate:
    """The mean of a quantity between 0 and 1, with an interval that stays between them.

    Parameters
    ----------
    found : Estimate
        The mean.
    missed : float
        Bound of what the particles may have missed, for a mean that few of them have a part in.
    ci_prob : float
        Probability of the interval.

    Notes
    -----
    Wilson's interval (1927) for ``value * (1 - value) / mcse**2`` independent draws. Few particles tell too
    little of a fraction for an interval of any kind: it is bounded from the side on which it may be larger.
    """
    value, mcse, n, *_ = found
    if n < FEW:
        low, high = (0.0, value + missed) if value < 0.5 else (value - missed, 1.0)
        return found._replace(lower=max(low, 0.0), upper=min(high, 1.0))
    if not mcse:
        return found
    draws = value * (1 - value) / mcse**2
    z = half_width(n, ci_prob)
    middle = (value + z**2 / (2 * draws)) / (1 + z**2 / draws)
    reach = z / (1 + z**2 / draws) * math.sqrt(value * (1 - value) / draws + z**2 / (4 * draws**2))
    return found._replace(lower=max(middle - reach, 0.0), upper=min(middle + reach, 1.0))


def event(
    weights: Floats, values: Floats, missed: float, ci_prob: float, chains: Chains | None = None
) -> Estimate:
    """The probability of an event that some particles leave open: bounds, and no number.

    Parameters
    ----------
    weights, values : ndarray of shape (N,)
        Normalized weights, and 0 or 1, or NaN where it is open.
    missed, ci_prob
        As of :func:`fraction`.

    Notes
    -----
    It is at least the probability that it is known to happen, and at most that and the fraction of weight
    that leaves it open. Each of these has its own interval, which a sum of them would hide.
    """
    parts = (values == 1, values == 0, np.isnan(values))
    yes, no, left = (
        fraction(_mean(weights, part * 1.0, ci_prob, chains)[0], missed, ci_prob) for part in parts
    )
    lower = max(min(yes.lower, 1 - no.upper - left.upper), 0.0)
    upper = min(max(1 - no.lower, yes.upper + left.upper), 1.0)
    return Estimate(math.nan, math.nan, min(yes.n_effective, no.n_effective), lower, upper)


def quantiles(
    weights: Floats,
    values: Floats,
    q: Floats,
    ci_prob: float = 0.95,
    *,
    chains: Chains | None = None,
    order: Ints | None = None,
) -> list[Estimate]:
    """Weighted quantiles of values sorted in ascending order, with the weights in the same order.

    The interval is Woodruff's (1952): that of the fraction of weight up to the quantile, carried over to the
    axis of the values. The error is that of a normal interval of this width. Where it has a single value, as
    of counts, the error is the distance to the next value over the standard errors of the fraction that it
    takes to get there. ``order`` is the place that each had among the particles, for those that are chains.
    """
    w, h = weights, values
    if not weights.all():
        weights, values = weights[weights > 0], values[weights > 0]
    cumulative = np.cumsum(weights)
    squared, fourth = np.cumsum(weights**2), np.cumsum(weights**4)

    def at(fraction: Floats) -> Floats:
        found: Floats = values[np.searchsorted(cumulative, np.clip(fraction, 0.0, 1.0) * cumulative[-1])]
        return found

    middle = at(q)
    # Of weights up to the quantile, (1 - q)**2 of each square counts, of the others q**2.
    last = np.searchsorted(values, middle, side="right") - 1

    def summed(powers: Floats, power: int) -> Floats:
        below: Floats = powers[last]
        found: Floats = below * (1 - q) ** power + np.maximum(powers[-1] - below, 0.0) * q**power
        return found

    squares = summed(squared, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        n = np.nan_to_num(squares**2 / summed(fourth, 4))
    if chains is not None:
        influences = (w * ((h <= value) - share) for value, share in zip(middle, q, strict=True))
        efficiency = _efficiencies(influences, chains, order)
        squares, n = squares / efficiency, n * efficiency
    reach = np.array([half_width(each, ci_prob) for each in n]) * np.sqrt(squares)
    low, high = at(q - reach), at(q + reach)
    low, high = (np.where(n > 0, end, math.nan) for end in (low, high))
    errors = (high - low) / (2 * half_width(math.inf, ci_prob))
    for i in np.flatnonzero(errors == 0):
        errors[i] = _step(
            values, cumulative / cumulative[-1], float(q[i]), int(last[i]), float(np.sqrt(squares[i]))
        )
    return [Estimate(*map(float, each)) for each in zip(middle, errors, n, low, high, strict=True)]


def _efficiencies(influences: Iterable[Floats], chains: Chains, order: Ints | None) -> Floats:
    """Relative efficiency of chains for each quantile."""
    found = []
    for influence in influences:
        in_chains = np.empty(len(influence))
        in_chains[slice(None) if order is None else order] = influence
        found.append(chains.efficiency(in_chains))
    return np.array(found)


def _step(values: Floats, cumulative: Floats, q: float, last: int, error: float) -> float:
    """Error of a quantile whose interval is one value: of the nearer step to another one, by its distance."""
    first = int(np.searchsorted(values, values[last]))
    steps = []
    if last + 1 < len(values):
        steps.append((values[last + 1] - values[last], cumulative[last] - q))
    if first > 0:
        steps.append((values[last] - values[first - 1], q - cumulative[first - 1]))
    return max((float(size * error / away) for size, away in steps if away < _UNHEARD * error), default=0.0)


class Contrast(NamedTuple):
    """Two means, their difference, and their ratio where both are positive."""

    first: float
    second: float
    difference: Estimate
    ratio: Estimate


def contrast(
    first: Floats,
    second: Floats,
    h_first: Floats,
    h_second: Floats,
    *,
    ci_prob: float = 0.95,
    missed: tuple[float, float] | None = None,
    chains: Chains | None = None,
) -> Contrast:
    """Compare the mean of one quantity under two weightings of the same particles.

    The particles are the same, so most of the error is common to both means and cancels in the
    influence of the difference. What cancels may be all that is known, so both numbers stand on no more
    particles than the means. The ratio is compared on the log scale. ``missed``, of a quantity between 0
    and 1, is what :func:`fraction` takes for each of the two: their bounds are those of a difference of which
    few particles have a part.
    """
    a, centered_a = _mean(first, h_first, ci_prob, chains)
    b, centered_b = _mean(second, h_second, ci_prob, chains)
    influences = first * centered_a, second * centered_b
    n_means = min(a.n_effective, b.n_effective)
    difference = _estimate(a.value - b.value, influences[0] - influences[1], ci_prob, chains, n_means)
    if missed is not None and n_means < FEW:
        a, b = (fraction(mean, part, ci_prob) for mean, part in zip((a, b), missed, strict=True))
        difference = difference._replace(lower=a.lower - b.upper, upper=a.upper - b.lower)
    ratio = UNKNOWN
    if min(a.value, b.value) > 0 and min(h_first[first > 0].min(), h_second[second > 0].min()) >= 0:
        value = a.value / b.value
        log = _estimate(0.0, influences[0] / a.value - influences[1] / b.value, ci_prob, chains, n_means)
        factor = math.exp(min(log.upper, 700.0))
        ratio = Estimate(value, value * log.mcse, log.n_effective, value / factor, value * factor)
    return Contrast(a.value, b.value, difference, ratio)


def derivatives(
    weights: Floats,
    values: Floats,
    log_p: Floats,
    ci_prob: float = 0.95,
    chains: Chains | None = None,
) -> tuple[Estimate, Estimate]:
    """Derivatives of mean and standard deviation with respect to log2(alpha), at alpha = 1.

    The derivative of a mean is its covariance with the log density (Kallioinen, Paananen, Buerkner and
    Vehtari 2024), that of the standard deviation the one of ``(h - mean)**2``, over twice itself.
    """
    now, centered = _mean(weights, values, ci_prob, chains)
    score = log_p - dot(weights, log_p)
    squares = centered**2
    variance = dot(weights, squares)
    n_mean = now.n_effective
    mean_score = dot(weights, centered * score)
    log2 = math.log(2)
    seen = log_p[weights > 0]
    if seen.min() == seen.max():  # as of a uniform prior: to any power it is what it is
        return _exact(0.0, n_mean), _exact(0.0, n_mean)
    of_mean = weights * (centered * score - mean_score)
    mean = _estimate(log2 * mean_score, log2 * of_mean, ci_prob, chains, n_mean)
    if not variance:
        return mean, _exact(0.0, n_mean)
    sd = math.sqrt(variance)
    square_score = dot(weights, squares * score)
    influence = squares * score - square_score - 2 * mean_score * centered - variance * score
    influence -= square_score / (2 * variance) * (squares - variance)
    scale = log2 / (2 * sd)
    spread = _estimate(scale * square_score, scale * weights * influence, ci_prob, chains, n_mean)
    return mean, spread
