"""Runs of pairs: what the package says of each number, beside the truth."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from arviz_resampler import Resampler, WeightError, WeightWarning, plan
from arviz_resampler.analysis.comparison import Comparison

from .pairs import QUANTILES, Pair, sort_of

# Columns of a contrast, whose main number has no suffix.
_DIFFERENCE = ("difference", "mcse", "lower", "upper", "n_effective", "reliable")
_RATIO = ("ratio", "mcse_ratio", "ratio_lower", "ratio_upper", "n_effective_ratio", "reliable_ratio")
_NUMBER = ("{}", "mcse_{}", "lower_{}", "upper_{}", "n_effective_{}", "reliable_{}")
FIELDS = ("value", "mcse", "lower", "upper", "n_effective", "reliable")
OTHER = "other"
UNSMOOTHED = {"smoothed": math.nan, "smoothed_reliable": False, "smoothed_covered": False}
APART = 10_000  # seeds of one pair and the next: those of one guide would have the same particles
WANTED = 500  # the ESS that is planned for


def columns_of(number: str) -> tuple[str, ...]:
    """Columns of a number in the table that has it: value, error, interval, effective particles, reliable."""
    known = {"difference": _DIFFERENCE, "ratio": _RATIO}
    return known.get(number) or tuple(column.format(number) for column in _NUMBER)


def distance(number: str, value: float, mcse: float, truth: float) -> float:
    """Distance from the truth in standard errors, of a ratio on the log scale."""
    error = value - truth
    if number == "ratio":
        error, mcse = math.log(value / truth), mcse / value
    if not mcse:
        return 0.0 if not error else math.inf
    return abs(error) / mcse


def numbers_of(pair: Pair, num_particles: int, seed: int) -> list[dict[str, Any]]:
    """A row for each number of one run; none where no particle has weight."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeightWarning)
        resampler = Resampler(
            pair.guide,
            pair.whole(pair.guide),
            num_guide_samples=num_particles,
            random_seed=seed,
            progressbar=False,
        )
        comparison = resampler.compare({"model": pair.model, OTHER: pair.other}, 2)
        weights = comparison.weights
        if not (weights["model"].ess and weights[OTHER].ess):
            return []
        rows = [*_rows(pair, _tables(pair, resampler, comparison))]
        smoothed = _smoothed(pair, resampler, comparison)
    good = {name: found.judge(1).verdict != "unreliable" for name, found in weights.items()}
    of_run = {
        "kind": pair.kind,
        "pair": str(pair),
        "n": num_particles,
        "seed": seed,
        "ess": weights["model"].ess,
        "k": weights["model"].pareto_k,
    }
    for row in rows:
        both = row["number"] in {"difference", "ratio"}
        row.update(of_run, good=good["model"] and (good[OTHER] or not both))
        row.update(smoothed.get((row["statistic"], row["number"]), UNSMOOTHED))
    return rows


def _tables(pair: Pair, resampler: Resampler, comparison: Comparison) -> dict[str, pd.DataFrame]:
    """The tables of one run, each with a row for a statistic."""
    statistics = pair.statistics
    summary = comparison.summary([], statistics, quantiles=list(QUANTILES.values()))
    contrast = comparison.contrast("model", OTHER, statistics)
    found = {
        "summary": summary.xs("model", level="variant"),
        "contrast": contrast.droplevel(["a", "b"]),
    }
    if pair.model.powered is not None:
        slopes = resampler.sensitivity(pair.model, var_names=[], statistics={"h": pair.quantity})
        found["sensitivity"] = slopes.groupby(level="quantity").first()
    return found


def _rows(pair: Pair, tables: dict[str, pd.DataFrame]) -> Iterator[dict[str, Any]]:
    records = {name: table.to_dict("index") for name, table in tables.items()}
    for (statistic, number), truth in pair.truths.items():
        where = "contrast" if number in {"difference", "ratio"} else "summary"
        where = "sensitivity" if number.startswith("derivative") else where
        record = records[where][statistic]
        row = dict(zip(FIELDS, (record[column] for column in columns_of(number)), strict=True))
        if math.isnan(row["value"]):  # a ratio of nothing
            continue
        yield row | {
            "statistic": statistic,
            "number": number,
            "sort": sort_of(statistic, number, truth),
            "truth": truth,
            "distance": distance(number, row["value"], row["mcse"], truth),
        }


def _smoothed(
    pair: Pair, resampler: Resampler, comparison: Comparison
) -> dict[tuple[str, str], dict[str, Any]]:
    """Numbers from smoothed weights, where the weights can be smoothed."""
    try:
        _ = comparison.weights["model"].smoothed
    except WeightError:
        return {}
    twice = resampler.compare({"model": pair.model, "again": pair.model}, 2)
    table = twice.summary([], pair.statistics, quantiles=list(QUANTILES.values()), smooth=True)
    records = table.xs("model", level="variant").to_dict("index")
    found = {}
    for (statistic, number), truth in pair.truths.items():
        if number in {"mean", "sd", *QUANTILES}:
            value, _, low, high, _, reliable = (records[statistic][name] for name in columns_of(number))
            found[statistic, number] = {
                "smoothed": value,
                "smoothed_reliable": reliable,
                "smoothed_covered": low <= truth <= high,
            }
    return found


def all_numbers(pairs: Iterable[Pair], sizes: Iterable[int], seeds: Iterable[int]) -> pd.DataFrame:
    """A row for each number of each run."""
    sizes, seeds = list(sizes), list(seeds)
    rows: list[dict[str, Any]] = []
    for place, pair in enumerate(pairs):
        for size in sizes:
            for seed in seeds:
                rows += numbers_of(pair, size, seed + APART * place)
    return pd.DataFrame(rows)


def all_plans(pairs: Iterable[Pair], pilots: Iterable[int], seeds: Iterable[int]) -> pd.DataFrame:
    """A row for each pilot: its verdict, and whether a run of the planned size has the ESS."""
    pilots, seeds = list(pilots), list(seeds)
    rows = []
    for place, pair in enumerate(pairs):
        for pilot in pilots:
            for seed in (each + APART * place for each in seeds):
                planned = plan(pair.guide, pair.model, WANTED, pilot=pilot, random_seed=seed).iloc[0]
                row = {
                    "kind": pair.kind,
                    "pilot": pilot,
                    "good": planned["verdict"] == "good",
                    "reached": False,
                }
                if row["good"]:
                    # The seed of the run is none of the pilot's: the first particles would be the same.
                    size, other = int(planned["num_guide_samples"]), seed + APART * 1000
                    run = Resampler(pair.guide, num_guide_samples=size, random_seed=other, progressbar=False)
                    row["reached"] = run.weigh(pair.model).ess >= WANTED * (1 - 1e-9)  # but for rounding
                rows.append(row)
    return pd.DataFrame(rows)
