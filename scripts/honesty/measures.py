"""What is measured: shares of numbers that are right, and cells of false trust."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

FAR = 5.0  # standard errors
PROMISED = 0.93  # the coverage that a cell of intervals at 95 % must not surely be below
LOWEST = 0.90  # the coverage that a cell must have
SURE = 1e-3  # the chance of as few covered by a cell that keeps the promise
MIN_RUNS = 15  # reliable runs of a cell
CELL = ["kind", "pair", "n", "statistic", "number"]


class Count(NamedTuple):
    """How many of how many."""

    true: int
    total: int

    @property
    def share(self) -> float:
        """The share, NaN of none."""
        return self.true / self.total if self.total else math.nan


def count(flags: pd.Series) -> Count:
    """How many are true."""
    return Count(int(flags.sum()), len(flags))


def judged(numbers: pd.DataFrame) -> pd.DataFrame:
    """Numbers, with whether the interval has the truth, the error is large, and there is an interval."""
    covered = (numbers["lower"] <= numbers["truth"]) & (numbers["truth"] <= numbers["upper"])
    return numbers.assign(covered=covered, far=numbers["distance"] > FAR, bounded=numbers["lower"].notna())


class Measured(NamedTuple):
    """What is measured of some numbers.

    Attributes
    ----------
    numbers : int
        Those whose weights are not unreliable.
    reliable : Count
        Those of them that are reliable.
    covered, not_covered : Count
        Of the reliable ones, and of the others that have an interval, those whose interval has the truth.
    far : Count
        Of the reliable ones, those with an error above five standard errors.
    false_cells : Count
        Cells of false trust.
    """

    numbers: int
    reliable: Count
    covered: Count
    covered_else: Count
    far: Count
    false_cells: Count


def measure(numbers: pd.DataFrame) -> Measured:
    """Measure judged numbers."""
    good = numbers[numbers["good"]]
    reliable = good[good["reliable"].astype(bool)]
    other = good[~good["reliable"].astype(bool) & good["bounded"]]
    return Measured(
        len(good),
        count(good["reliable"]),
        count(reliable["covered"]),
        count(other["covered"]),
        count(reliable["far"]),
        count(cells(numbers)["false"]),
    )


def cells(numbers: pd.DataFrame) -> pd.DataFrame:
    """One number of one pair at one size, over its reliable runs, where these are enough."""
    reliable = numbers[numbers["reliable"].astype(bool)]
    groups = reliable.groupby(CELL, sort=False)
    found = groups.agg(
        runs=("covered", "size"), covered=("covered", "sum"), far=("far", "sum"), largest=("distance", "max")
    )
    found = found[found["runs"] >= MIN_RUNS]
    return found.assign(false=false_trust(found["covered"], found["runs"], found["far"]))


def false_trust(covered: pd.Series, runs: pd.Series, far: pd.Series) -> pd.Series:
    """Whether coverage is surely and measurably low, or an error is large."""
    surely = stats.binom.cdf(covered, runs, PROMISED) < SURE
    return (surely & (covered / runs < LOWEST)) | (far > 0)


class Bound(NamedTuple):
    """One-sided bounds: how many hold, and how large they are beside the truth."""

    held: Count
    median: float


def bounds(numbers: pd.DataFrame, *, hit: bool) -> Bound:
    """Probabilities that few particles tell of, or none."""
    few = numbers["good"] & numbers["sort"].str.startswith("probability")
    few &= (
        (numbers["n_effective"] > 0) & (numbers["n_effective"] < 10) if hit else numbers["n_effective"] == 0
    )
    found = numbers[few]
    ratio = found["upper"] / found["truth"]
    return Bound(count(found["truth"] <= found["upper"]), float(ratio.median()) if len(found) else math.nan)


class Smoothing(NamedTuple):
    """What smoothing does.

    Attributes
    ----------
    cells : int
        How many there are.
    median : float
        Of the ratio of errors, smoothed over plain.
    better, worse : Count
        Cells whose ratio differs from one by more than 2 %.
    covered, covered_smoothed : Count
        Intervals that have the truth.
    trusted, trusted_smoothed : Count
        The same, of reliable numbers.
    """

    cells: int
    median: float
    better: Count
    worse: Count
    covered: Count
    covered_smoothed: Count
    trusted: Count
    trusted_smoothed: Count


def smoothing(numbers: pd.DataFrame, low: float, high: float) -> Smoothing:
    """Errors (RMSE) of smoothed numbers beside plain ones, by cell of ten runs or more in a band of k-hat."""
    band = numbers[numbers["smoothed"].notna() & (numbers["k"] >= low) & (numbers["k"] < high)]
    band = band[np.isfinite(band["truth"])]
    squares = pd.DataFrame({name: (band[name] - band["truth"]) ** 2 for name in ("value", "smoothed")})
    found = squares.groupby([band[name] for name in CELL]).agg(["mean", "size"])
    # A number that is exact in all runs, as a quantile of counts may be, has no ratio.
    found = found[(found["value", "size"] >= 10) & (found["value", "mean"] > 0)]
    ratio = np.sqrt(found["smoothed", "mean"] / found["value", "mean"])
    return Smoothing(
        len(ratio),
        float(ratio.median()) if len(ratio) else math.nan,
        count(ratio < 0.98),
        count(ratio > 1.02),
        count(band["covered"]),
        count(band["smoothed_covered"]),
        count(band.loc[band["reliable"].astype(bool), "covered"]),
        count(band.loc[band["smoothed_reliable"].astype(bool), "smoothed_covered"]),
    )
