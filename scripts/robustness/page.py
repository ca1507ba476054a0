"""The page: tables of what was tried and what became of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from families import EXCLUDED, Case

from .cells import Cell

HEAD = """# Robustness

Every distribution of `pyro.distributions`, and many kinds of programs, tried one by one. The page is
written by `make robustness`, with fixed seeds; the command ends with an error if anything is open.

## What is tried

Each distribution is tried in three places:

* as guide, with itself as model, and with another member of its family as model;
* as model, with a wide distribution of the same support as guide;
* as simulator, for a site downstream of a normal latent, under a narrower prior of that latent.

The outcome of each is one of:

* **right**: the weights are finite; they are equal where model and guide are the same; their mean is 1
  within 5 standard errors; and bounded functions of the resampled draws (a sigmoid of each element,
  its square, products of neighbors) have the means of draws that Pyro makes from the model itself,
  within 5 standard errors. Where Pyro cannot draw from a distribution, the mean weight is all there is;
* **refused**: an error of the package says why it cannot be done;
* **open**: anything else.

Every pair of distributions that give values of one shape is tried as well, one as guide and one as
model, whatever their supports. It is right where the mean weight is not above 1, for it estimates how
much of the model the guide can reach.
"""


IDIOMS = """
## Idioms

Programs as they are written for one draw. Of {n}, {mapped} are mapped over the particles and {one} run one
particle at a time. What each draws and computes, and its densities under another prior, are those of Pyro's
own traces of single particles.
"""

TAIL = """
## What the libraries below do

Some distributions draw from something else than their density says, whoever asks them. Weights
cannot know of it.

* `LKJCholesky` of torch, and all that is made from it, draws from another distribution where the
  matrix has three rows or more: the squared length of i elements left of the diagonal comes from a
  Beta whose first parameter is i - 1/2, and should be i / 2. Between two concentrations the mean
  weight is then not 1. The verdict says that mass is missing where the model has the larger
  concentration, and cannot tell where it has the smaller one. The table has matrices of two rows,
  where the draws are right.
* `CoalescentTimes` of Pyro draws with rate 1 whatever its rate is. The table leaves the rate at 1.
* The two relaxed distributions named `StraightThrough` round their draws and keep the density of what
  was rounded, which a stored draw has no more. They can be simulated, and have no weights.
* `VonMises` and its kin have periodic densities over the whole line. They count as densities on the
  circle from -pi to pi, where they draw; values outside have no weight.
* `Multinomial` and `DirichletMultinomial` give a density to any number of trials. Counts that do not
  add up to theirs have no weight.
"""


@dataclass(frozen=True)
class Tried:
    """What became of everything.

    Attributes
    ----------
    distributions : dict
        By distribution and by place.
    pairs : dict
        By guide and model.
    programs, idioms : dict
        By name.
    """

    distributions: dict[Case, dict[str, Cell]]
    pairs: dict[tuple[Case, Case], Cell]
    programs: dict[str, Cell]
    idioms: dict[str, Cell]

    @property
    def open(self) -> list[str]:
        """What is neither right nor refused, a line each."""
        cells = {
            f"{case.name} {p}": c
            for case, by_place in self.distributions.items()
            for p, c in by_place.items()
        }
        cells |= {f"{guide.name} to {model.name}": cell for (guide, model), cell in self.pairs.items()}
        cells |= self.programs | self.idioms
        return [f"open: {name}: {cell.reason}" for name, cell in cells.items() if cell.outcome == "open"]


_FUZZ = ["```{include} _figures/fuzz.md", "```"]  # written by another command


def written(tried: Tried) -> str:
    """The whole page."""
    parts = [HEAD, *figures(tried), *distributions(tried), *programs(tried), *idioms(tried), TAIL.strip(), ""]
    return "\n".join(parts)


def figures(tried: Tried) -> list[str]:
    """How many are right, refused and open."""
    by_place: dict[str, list[Cell]] = {}
    for cells in tried.distributions.values():
        for place, cell in cells.items():
            by_place.setdefault(place, []).append(cell)
    rows = {f"distributions {place}": cells for place, cells in by_place.items()}
    rows["pairs of distributions of one shape"] = [*tried.pairs.values()]
    rows["kinds of programs"] = [*tried.programs.values()]
    lines = (f"| {what} | {counted(cells)} |" for what, cells in rows.items())
    head = table("what", "tried", "right", "refused", "open")
    return ["## Figures", "", *head, *lines, "", "By `make fuzz`:", "", *_FUZZ, ""]


def distributions(tried: Tried) -> list[str]:
    """Each in its three places; and why, where it is not right or not tried."""
    outcomes, reasons = [], []
    for case, cells in tried.distributions.items():
        outcomes.append(f"| {case.name} | " + " | ".join(cell.outcome for cell in cells.values()) + " |")
        for place, (outcome, reason) in cells.items():
            if outcome != "right":
                reasons.append(f"| {case.name} | {place.removeprefix('as ')} | {outcome} | {short(reason)} |")
    return [
        *("## Distributions", "", *table("distribution", "guide", "model", "simulator"), *outcomes, ""),
        *(
            "### What is not right, and why",
            "",
            *table("distribution", "as", "outcome", "reason"),
            *reasons,
            "",
        ),
        *("### Not tried", "", *table("class", "reason")),
        *(f"| {name} | {reason} |" for name, reason in EXCLUDED.items()),
        "",
    ]


def programs(tried: Tried) -> list[str]:
    """Each kind of program."""
    rows = (f"| {name} | {cell.outcome} | {short(cell.reason)} |" for name, cell in tried.programs.items())
    return ["## Kinds of programs", "", *table("program", "outcome", "reason"), *rows, ""]


def idioms(tried: Tried) -> list[str]:
    """Each idiom, and how it runs."""
    ways = Counter(cell.outcome for cell in tried.idioms.values())
    text = IDIOMS.format(n=ways.total(), mapped=ways["mapped"], one=ways["one particle at a time"])
    rows = (f"| {name} | {cell.outcome} | {short(cell.reason)} |" for name, cell in tried.idioms.items())
    return [text.strip(), "", *table("idiom", "runs", "reason"), *rows, ""]


def table(*columns: str) -> list[str]:
    """Head of a table."""
    return ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]


def short(reason: str) -> str:
    """The first sentence, safe in a table."""
    first = re.split(r"(?<=[a-z)'])[.;] ", reason)[0].rstrip(".")
    return (first if len(first) <= 150 else first[:147] + "...").replace("|", "\\|")


def counted(cells: Iterable[Cell]) -> str:
    """How many there are, and how many of each outcome."""
    outcomes = Counter(outcome for outcome, _ in cells)
    return " | ".join(
        str(n) for n in (outcomes.total(), *(outcomes[o] for o in ("right", "refused", "open")))
    )
