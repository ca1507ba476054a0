"""The page of figures: tables of what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from .kinds import BOUNDED, MISSED
from .measures import (
    FAR,
    LOWEST,
    MIN_RUNS,
    PROMISED,
    SURE,
    Count,
    Measured,
    bounds,
    cells,
    count,
    measure,
    smoothing,
)
from .runs import WANTED

NONE = "none"
BANDS = ((0.5, 0.7), (0.7, 1.0))  # of k-hat
HEAD = f"""\
*Numbers* are those whose weights are not unreliable. The columns say which share of them is *reliable*; how
often the 95 % interval of those has the truth; how often that of the others has it, where there is one; and
how many of the reliable ones are wrong by more than {FAR:g} MCSE. A cell is one number of one pair at one N,
over its reliable runs, where there are {MIN_RUNS} or more. It is one of *false trust* where coverage is below
{100 * LOWEST:.0f} % and surely below {100 * PROMISED:.0f} % (p < {SURE:g}), or an error is above {FAR:g}
MCSE."""
OF_BOUNDED = "Numbers of bounded weights ({}) that are not reliable, with N = {:,} and an ESS above 1,000:"
SMOOTHED = """\
Root mean squared errors (RMSE) with `smooth=True` beside those without, over cells of ten runs or more;
better and worse by more than 2 %:"""
_MEASURES = (
    "numbers",
    "reliable",
    "covered",
    "covered of the others",
    f"errors > {FAR:g} MCSE",
    "cells of false trust",
)


@dataclass(frozen=True)
class Tried:
    """Everything that was run.

    Attributes
    ----------
    numbers : DataFrame
        Judged numbers, a row each.
    plans : DataFrame
        Pilots, a row each.
    sizes : str
        How many pairs, runs and seeds, and with which versions, in words.
    """

    numbers: pd.DataFrame
    plans: pd.DataFrame
    sizes: str


def percent(found: Count, digits: int = 1) -> str:
    """A share in percent, which is 100 only where it is all of them; or that there are none."""
    if math.isnan(found.share):
        return NONE
    most = 100.0 if found.true == found.total else 100 - 10**-digits
    return f"{min(100 * found.share, most):.{digits}f} %"


def of(found: Count) -> str:
    """How many of how many."""
    return f"{found.true:,} of {found.total:,}"


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A table of markdown."""
    columns = list(columns)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *lines, ""]


def _measured(name: str, found: Measured) -> list[str]:
    far = f"{found.far.true:,} ({percent(found.far, 2)})" if found.far.total else NONE
    shares = [percent(part) for part in (found.reliable, found.covered, found.covered_else)]
    return [name, f"{found.numbers:,}", *shares, far, of(found.false_cells)]


def measured(what: str, groups: Mapping[str, pd.DataFrame]) -> list[str]:
    """The measures, a row for each group of numbers."""
    return table([what, *_MEASURES], (_measured(name, measure(group)) for name, group in groups.items()))


def grouped(numbers: pd.DataFrame, by: str) -> dict[str, pd.DataFrame]:
    """Numbers by the values of a column."""
    return {str(name): group for name, group in numbers.groupby(by)}


def false_cells(numbers: pd.DataFrame) -> list[str]:
    """Each cell of false trust."""
    found = cells(numbers)
    rows = (
        [
            kind,
            pair,
            f"{n:,}",
            f"{number} of {statistic}",
            f"{row.covered} of {row.runs}",
            f"{row.largest:.3g}",
        ]
        for (kind, pair, n, statistic, number), row in zip(
            found[found["false"]].index, found[found["false"]].itertuples(), strict=True
        )
    )
    return table(["kind", "pair", "N", "number", "covered", "largest error / MCSE"], rows)


def demoted(numbers: pd.DataFrame) -> list[str]:
    """Numbers of bounded weights and a large ESS that are not reliable, by sort."""
    chosen = numbers[numbers["kind"].isin(BOUNDED) & (numbers["n"] == numbers["n"].max())]
    chosen = chosen[chosen["good"] & (chosen["ess"] > 1000)]
    groups = {"all": chosen, **grouped(chosen, "sort")}
    counts = {name: count(~group["reliable"].astype(bool)) for name, group in groups.items()}
    return table(["number", "not reliable", ""], ([name, percent(c), of(c)] for name, c in counts.items()))


def one_sided(groups: Mapping[str, pd.DataFrame]) -> list[str]:
    """How often bounds of probabilities hold."""
    rows = []
    for name, numbers in groups.items():
        for hits in (False, True):
            held, median = bounds(numbers, hit=hits)
            what = "n_effective from 0 to 10" if hits else "no hit"
            rows.append(
                [name, what, percent(held), of(held), NONE if math.isnan(median) else f"{median:.1f}"]
            )
    return table(["pairs", "particles", "bound holds", "", "bound / truth, median"], rows)


def planned(plans: pd.DataFrame) -> list[str]:
    """Runs of the planned size that reach the ESS."""
    rows = []
    for pilot, group in plans.groupby("pilot"):
        good = group[group["good"]]
        reached = count(good["reached"])
        rows.append([f"{pilot:,}", of(count(group["good"])), percent(reached), of(reached)])
    return table(["pilot", "verdict good", f"ESS of {WANTED} reached", ""], rows)


def smoothed(numbers: pd.DataFrame) -> list[str]:
    """Errors of smoothed numbers beside plain ones, by band of k-hat and sort."""
    some = numbers[numbers["smoothed"].notna()]
    rows = []
    for low, high in BANDS:
        for name, group in {"all": some, **grouped(some, "sort")}.items():
            found = smoothing(group, low, high)
            if found.cells:
                cells_of = [str(n) for n in (found.cells, found.better.true, found.worse.true)]
                covered = [percent(part) for part in (found.covered, found.covered_smoothed)]
                trusted = [_trusted(part) for part in (found.trusted, found.trusted_smoothed)]
                rows.append(
                    [f"{low:g} to {high:g}", name, f"{found.median:.2f}", *cells_of, *covered, *trusted]
                )
    columns = ["k-hat", "number", "RMSE ratio, median", "cells", "better", "worse", "covered", "smoothed"]
    return table([*columns, "covered, reliable", "smoothed, reliable"], rows)


def _trusted(found: Count) -> str:
    return f"{percent(found)} of {found.total:,}" if found.total else NONE


def written(tried: Tried) -> str:
    """The whole page."""
    numbers = tried.numbers
    missed = numbers["kind"].isin(MISSED)
    seen, unseen = numbers[~missed], numbers[missed]
    constant = unseen["kind"] == MISSED[-1]
    parts = {"all": numbers, "without missed mass": seen, "missed mass": unseen}
    bounded = {
        "without missed mass": seen,
        "missed mass, normalized": unseen[~constant],
        MISSED[-1]: unseen[constant],
    }
    sections = {
        tried.sizes: [],
        HEAD: measured("pairs", parts),
        "By number, without the kinds of missed mass:": measured("number", grouped(seen, "sort")),
        "By kind:": measured("kind", grouped(seen, "kind")),
        "Mass of the model where no particle is, or next to none:": measured("kind", grouped(unseen, "kind")),
        "Cells of false trust, without the kinds of missed mass:": false_cells(seen),
        OF_BOUNDED.format(", ".join(BOUNDED), numbers["n"].max()): demoted(numbers),
        "One-sided bounds of probabilities that few particles have a part in, or none:": one_sided(bounded),
        f"Runs of the size that `plan` gives for an ESS of {WANTED}, where the pilot is good:": planned(
            tried.plans
        ),
        SMOOTHED: smoothed(seen),
    }
    lines = (line for text, rows in sections.items() for line in (text, "", *rows))
    return "\n".join(lines).rstrip() + "\n"
