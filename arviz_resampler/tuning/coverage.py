"""Where in a box of hyper-parameters the particles can be believed.

Knows ranges and weights; nothing of models or how they are scored.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch

from arviz_resampler.errors import from_extra
from arviz_resampler.tuning.ranges import Number, Range
from arviz_resampler.weights.weights import Weights

Interval = tuple[Number, Number]

_ON_LINE = 9  # values looked at along a slider, before the edges are searched
_HALVINGS = 4  # of the step between them, at each edge
COLORS = {"good": "#2a7f3e", "low": "#b26b00", "unreliable": "#c0392b", "failed": "#555555"}
_MARKERS = {"good": "o", "low": "^", "unreliable": "x", "failed": "+"}


@dataclass(frozen=True)
class Step:
    """The verdict at one position of the hyper-parameters.

    Attributes
    ----------
    hyper : mapping of str to number
        The hyper-parameters.
    verdict : {"good", "low", "unreliable", "failed"}
        Of the weights, for the number of draws of the tuner; "failed" where there are none.
    advice : str
        What to do, or why it failed.
    ess : float
        Effective sample size.
    num_particles : int
        How many particles it is of.
    pareto_k : float
        Pareto k-hat.
    distinct : float
        How many different particles are expected among the draws.
    site : str or None
        The site that costs most of the ESS.
    """

    hyper: Mapping[str, Number]
    verdict: str
    advice: str
    ess: float = 0.0
    num_particles: int = 0
    pareto_k: float = float("nan")
    distinct: float = 0.0
    site: str | None = None

    @classmethod
    def of(cls, hyper: Mapping[str, Number], weights: Weights, num_samples: int) -> Step:
        """What weights come to for a number of draws."""
        verdict, advice = weights.judge(num_samples)
        return cls(
            hyper,
            verdict,
            advice,
            ess=weights.ess,
            num_particles=weights.num_particles,
            pareto_k=weights.pareto_k,
            distinct=weights.expected_distinct(num_samples),
            site=weights.costliest_site,
        )

    @classmethod
    def failed(cls, hyper: Mapping[str, Number], error: Exception) -> Step:
        """Why there are no weights."""
        return cls(hyper, "failed", f"{type(error).__name__}: {error}")

    @property
    def good(self) -> bool:
        """Whether the verdict is good."""
        return self.verdict == "good"


def safe_range(
    look: Callable[..., Step], at: Mapping[str, Number], own: Range
) -> Generator[Step, None, Interval | None]:
    """Search the longest part of a range that is good, all other hyper-parameters staying where they are.

    Parameters
    ----------
    look : callable
        The verdict at hyper-parameters.
    at : mapping of str to number
        Where the others are.
    own : Range
        The range that is searched.

    Yields
    ------
    Step
        Each position that was looked at, so that whoever waits can do something else in between.

    Returns
    -------
    tuple of number, or None
        The ends of that part: the outermost values that were found good. None if none was.
    """

    def good(value: Number) -> Generator[Step, None, bool]:
        step = look(**{**at, own.name: value})
        yield step
        return step.good

    def edge(inside: Number, outside: Number) -> Generator[Step, None, Number]:
        for _ in range(_HALVINGS):
            middle = own.at((own.share(inside) + own.share(outside)) / 2)
            if middle in (inside, outside):
                break
            if (yield from good(middle)):
                inside = middle
            else:
                outside = middle
        return inside

    values = sorted({*own.grid(_ON_LINE), at[own.name]})
    runs: list[list[int]] = [[]]
    for i, value in enumerate(values):
        if (yield from good(value)):
            runs[-1].append(i)
        elif runs[-1]:
            runs.append([])
    longest = max(runs, key=lambda run: own.share(values[run[-1]]) - own.share(values[run[0]]) if run else -1)
    if not longest:
        return None
    first, last = longest[0], longest[-1]
    low = values[first] if first == 0 else (yield from edge(values[first], values[first - 1]))
    high = values[last] if last == len(values) - 1 else (yield from edge(values[last], values[last + 1]))
    return low, high


def cover(
    look: Callable[..., Step], ranges: Mapping[str, Range], at: Mapping[str, Number], num_points: int
) -> Coverage:
    """Look at a design that fills the box of the ranges, and along each of them."""
    # Scrambled with a seed of its own: the same design each time, and no global generator is touched.
    design = torch.quasirandom.SobolEngine(len(ranges), scramble=True, seed=0).draw(num_points)  # type: ignore[no-untyped-call]
    box = [
        look(**{own.name: own.at(share) for own, share in zip(ranges.values(), point, strict=True)})
        for point in design.tolist()
    ]
    lines: dict[str, tuple[Step, ...]] = {}
    safe: dict[str, Interval | None] = {}
    for name, own in ranges.items():
        search, seen = safe_range(look, at, own), []
        while True:
            try:
                seen.append(next(search))
            except StopIteration as end:
                safe[name] = end.value
                break
        lines[name] = tuple(sorted(seen, key=lambda step: step.hyper[name]))
    return Coverage(
        MappingProxyType(dict(ranges)),
        MappingProxyType(dict(at)),
        tuple(box),
        MappingProxyType(lines),
        MappingProxyType(safe),
    )


@dataclass(frozen=True, repr=False, eq=False)
class Coverage:
    """Where in the box of the ranges the particles carry the prior.

    Attributes
    ----------
    ranges : mapping of str to Range
        The box.
    at : mapping of str to number
        Where the other hyper-parameters were when each was moved along its range.
    box : tuple of Step
        The design that fills the box: the points of a scrambled Sobol sequence.
    lines : mapping of str to tuple of Step
        What was looked at along each range.
    safe : mapping of str to tuple of number, or None
        The longest part of each range with a good verdict throughout, as far as was looked; its edges
        are searched by bisection. None where there is none.

    Examples
    --------
    >>> import pyro, pyro.distributions as dist
    >>> from arviz_resampler import Resampler
    >>> def make_model(scale):
    ...     return lambda: pyro.sample("mu", dist.Normal(0.0, scale))
    >>> resampler = Resampler(make_model(10.0), num_guide_samples=20_000, random_seed=0)
    >>> coverage = resampler.tune(make_model, scale=(0.01, 10.0)).coverage(num_points=16)
    >>> print(coverage)
    Coverage: 50% of the box is good
      scale            good from 0.3522 to 10.0, in 0.01 to 10.0
    """

    ranges: Mapping[str, Range]
    at: Mapping[str, Number]
    box: tuple[Step, ...]
    lines: Mapping[str, tuple[Step, ...]]
    safe: Mapping[str, Interval | None]

    @property
    def share(self) -> float:
        """The share of the box with a good verdict."""
        return float(np.mean([step.good for step in self.box]))

    @property
    def table(self) -> pd.DataFrame:
        """All that was looked at: hyper-parameters, verdict, ESS, k-hat and more.

        The column ``along`` names the range that was moved along; it is "box" in the design.
        """
        found = [("box", step) for step in self.box]
        found += [(name, step) for name, steps in self.lines.items() for step in steps]
        return pd.DataFrame(
            {
                "along": name,
                **step.hyper,
                "verdict": step.verdict,
                "ess": step.ess,
                "pareto_k": step.pareto_k,
                "site": step.site,
                "advice": step.advice,
            }
            for name, step in found
        )

    def __repr__(self) -> str:
        lines = [f"Coverage: {self.share:.0%} of the box is good"]
        for name, own in self.ranges.items():
            safe = self.safe[name]
            text = "nowhere" if safe is None else f"from {safe[0]} to {safe[1]}"
            lines.append(f"  {name:<16} good {text}, in {own.low} to {own.high}")
        return "\n".join(lines)

    def plot(self) -> Any:
        """ESS along each range, with the safe part shaded, and the verdicts over the box.

        Returns
        -------
        ndarray of matplotlib Axes
            One for each range, then one for each pair of ranges.
        """
        with from_extra("plot"):
            from matplotlib import pyplot as plt

        pairs = list(combinations(self.ranges.values(), 2))
        panels = len(self.ranges) + len(pairs)
        columns = min(panels, 3)
        size = 4 * columns, 3.2 * -(-panels // columns)
        figure, grid = plt.subplots(
            -(-panels // columns), columns, figsize=size, squeeze=False, layout="constrained"
        )
        used, spare = grid.flat[:panels], grid.flat[panels:]
        for ax in spare:
            ax.remove()
        for ax, own in zip(used, self.ranges.values(), strict=False):
            self._plot_line(ax, own)
        for ax, (across, up) in zip(used[len(self.ranges) :], pairs, strict=True):
            for verdict, steps in _by_verdict(self.box):
                x, y = ([step.hyper[own.name] for step in steps] for own in (across, up))
                ax.scatter(x, y, **_style(verdict))
            _scale(ax, across, "x")
            _scale(ax, up, "y")
        handles = {
            label: handle
            for ax in used
            for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=4, frameon=False)
        return used

    def _plot_line(self, ax: Any, own: Range) -> None:
        steps = self.lines[own.name]
        safe = self.safe[own.name]
        if safe is not None:
            ax.axvspan(*safe, color=COLORS["good"], alpha=0.12, lw=0)
        ax.plot([s.hyper[own.name] for s in steps], [max(s.ess, 1) for s in steps], color="0.7", zorder=1)
        for verdict, part in _by_verdict(steps):
            x, y = [step.hyper[own.name] for step in part], [max(step.ess, 1) for step in part]
            ax.scatter(x, y, **_style(verdict))
        ax.axvline(self.at[own.name], color="0.3", lw=0.8, ls=":")
        _scale(ax, own, "x")
        ax.set(yscale="log", ylabel="effective sample size")


def _by_verdict(steps: Iterable[Step]) -> list[tuple[str, list[Step]]]:
    return [(v, part) for v in COLORS if (part := [step for step in steps if step.verdict == v])]


def _style(verdict: str) -> dict[str, Any]:
    """Colour and shape of a verdict, and the word for it in the legend."""
    return {"color": COLORS[verdict], "marker": _MARKERS[verdict], "label": verdict, "zorder": 2}


def _scale(ax: Any, own: Range, axis: str) -> None:
    ax.set(**{f"{axis}label": own.name, f"{axis}scale": "log" if own.log else "linear"})
