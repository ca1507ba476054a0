"""For which hyper-parameters the cached particles give reliable estimates.

Knows ranges and verdicts; nothing of models or how they are scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch

from arviz_resampler.errors import from_extra
from arviz_resampler.frozen import FrozenMapping
from arviz_resampler.markup import COLORS, badge, page, table
from arviz_resampler.plots.verdicts import style
from arviz_resampler.progress import counted
from arviz_resampler.tuning.ranges import Number, Range, in_columns
from arviz_resampler.tuning.step import Step
from arviz_resampler.weights.diagnostics import Diagnostics

Interval = tuple[Number, Number]

_ON_LINE = 9  # values looked at along a slider, before the edges are searched
_HALVINGS = 4  # of the step between them, at each edge


def covered_range(
    look: Callable[..., Step], center: Mapping[str, Number], range_: Range
) -> Generator[Step, None, Interval | None]:
    """The longest part of a range with a good verdict, the other hyper-parameters fixed.

    Parameters
    ----------
    look : callable
        The verdict at hyper-parameters.
    center : mapping of str to number
        The others.
    range_ : Range
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
        step = look(**{**center, range_.name: value})
        yield step
        return step.good

    values = sorted({*range_.grid(_ON_LINE), center[range_.name]})
    runs: list[list[int]] = [[]]
    for i, value in enumerate(values):
        if (yield from good(value)):
            runs[-1].append(i)
        elif runs[-1]:
            runs.append([])

    def length(run: list[int]) -> float:
        return range_.share(values[run[-1]]) - range_.share(values[run[0]]) if run else -1.0

    longest = max(runs, key=length)
    if not longest:
        return None
    first, last = longest[0], longest[-1]
    low = values[first] if first == 0 else (yield from _edge(good, range_, values[first], values[first - 1]))
    high = (
        values[last]
        if last == len(values) - 1
        else (yield from _edge(good, range_, values[last], values[last + 1]))
    )
    return low, high


def _edge(
    good: Callable[[Number], Generator[Step, None, bool]], range_: Range, inside: Number, outside: Number
) -> Generator[Step, None, Number]:
    """The last good value on the way from one inside to one outside, by halving."""
    for _ in range(_HALVINGS):
        middle = range_.at((range_.share(inside) + range_.share(outside)) / 2)
        if middle in (inside, outside):
            break
        if (yield from good(middle)):
            inside = middle
        else:
            outside = middle
    return inside


def cover(
    look: Callable[..., Step],
    ranges: Mapping[str, Range],
    center: Mapping[str, Number],
    num_points: int,
    *,
    progressbar: bool = False,
) -> Coverage:
    """Look at a design that fills the box of the ranges, and along each of them."""
    most = num_points + len(ranges) * (_ON_LINE + 1 + 2 * _HALVINGS)
    with counted("Looking at priors", "prior", total=most, quiet=not progressbar) as count:

        def counted_look(**hyper: Number) -> Step:
            count()
            return look(**hyper)

        return _covered(counted_look, ranges, center, num_points)


def _covered(
    look: Callable[..., Step], ranges: Mapping[str, Range], center: Mapping[str, Number], num_points: int
) -> Coverage:
    # Scrambled with a seed of its own: the same design each time, and no global generator is touched.
    sobol = torch.quasirandom.SobolEngine(len(ranges), scramble=True, seed=0)  # type: ignore[no-untyped-call]
    design = [
        look(**{name: range_.at(share) for (name, range_), share in zip(ranges.items(), point, strict=True)})
        for point in sobol.draw(num_points).tolist()
    ]
    along: dict[str, tuple[Step, ...]] = {}
    covered: dict[str, Interval | None] = {}

    def seen(name: str) -> Iterator[Step]:
        covered[name] = yield from covered_range(look, center, ranges[name])

    for name in ranges:
        along[name] = tuple(sorted(seen(name), key=lambda step: step.hyper[name]))
    return Coverage(
        FrozenMapping(ranges),
        FrozenMapping(center),
        tuple(design),
        FrozenMapping(along),
        FrozenMapping(covered),
    )


@dataclass(frozen=True, repr=False, eq=False)
class Coverage:
    """Hyper-parameters of a box of ranges for which the particles are reliable.

    Attributes
    ----------
    ranges : mapping of str to Range
        The box.
    center : mapping of str to number
        The other hyper-parameters, when each was moved along its range.
    design : tuple of Step
        Verdicts at the points of a scrambled Sobol sequence that fills the box.
    along : mapping of str to tuple of Step
        Verdicts along each range.
    covered : mapping of str to tuple of number, or None
        The longest part of each range with a good verdict at all points looked at; its edges are found by
        bisection. None where there is none.

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
      scale            good from 0.3718 to 10.0, in 0.01 to 10.0
    """

    ranges: Mapping[str, Range]
    center: Mapping[str, Number]
    design: tuple[Step, ...]
    along: Mapping[str, tuple[Step, ...]]
    covered: Mapping[str, Interval | None]

    @property
    def covered_fraction(self) -> float:
        """The fraction of the design with a good verdict."""
        return float(np.mean([step.good for step in self.design]))

    @property
    def table(self) -> pd.DataFrame:
        """All steps: hyper-parameters, diagnostics as :class:`Diagnostics` has them, and the costliest site.

        ``expected_ess`` is what draws of the prior expect, and ``top_up`` how many new particles make the
        verdict good, 0 where it is.
        The column ``along`` names the range that was moved along; it is "design" in the design. A
        hyper-parameter with the name of another column has an underscore at its end.
        """
        others = {"along", "site", "top_up", "expected_ess", *Diagnostics._fields}
        found = [("design", step) for step in self.design]
        found += [(name, step) for name, steps in self.along.items() for step in steps]
        return pd.DataFrame(
            {
                "along": name,
                **in_columns(step.hyper, others),
                **({} if step.diagnostics is None else step.diagnostics._asdict()),
                "verdict": step.verdict,
                "advice": step.advice,
                "ess": step.ess,
                "expected_ess": math.nan if step.expected_ess is None else step.expected_ess,
                "top_up": step.top_up,
                "site": step.site,
            }
            for name, step in found
        )

    def _shown(self) -> tuple[str, list[list[str]]]:
        """Title and rows of what is printed."""
        rows = []
        for name, range_ in self.ranges.items():
            covered = self.covered[name]
            text = "nowhere" if covered is None else f"from {covered[0]} to {covered[1]}"
            rows.append([name, text, f"{range_.low} to {range_.high}"])
        return f"Coverage: {self.covered_fraction:.0%} of the box is good", rows

    def __repr__(self) -> str:
        title, rows = self._shown()
        return "\n".join([title, *(f"  {name:<16} good {good}, in {box}" for name, good, box in rows)])

    def _repr_html_(self) -> str:
        title, rows = self._shown()
        return page(title, table(["hyper-parameter", badge("good"), "range"], rows))

    def plot(self) -> Any:
        """ESS along each range, with the covered part shaded, and the verdicts over the box.

        Returns
        -------
        ndarray of matplotlib Axes
            One for each range, then one for each pair of ranges.

        Raises
        ------
        ExtraError
            If matplotlib is not installed.
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
        for ax, range_ in zip(used, self.ranges.values(), strict=False):
            self._plot_along(ax, range_)
        for ax, (across, up) in zip(used[len(self.ranges) :], pairs, strict=True):
            for verdict, steps in _by_verdict(self.design):
                x, y = ([step.hyper[range_.name] for step in steps] for range_ in (across, up))
                ax.scatter(x, y, **style(verdict))
            _scale(ax, across, "x")
            _scale(ax, up, "y")
        handles = {
            label: handle
            for ax in used
            for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=4, frameon=False)
        return used

    def _plot_along(self, ax: Any, range_: Range) -> None:
        name, steps = range_.name, self.along[range_.name]
        covered = self.covered[name]
        if covered is not None:
            ax.axvspan(*covered, color=COLORS["good"], alpha=0.12, lw=0)
        ax.plot([s.hyper[name] for s in steps], [max(s.ess, 1) for s in steps], color="0.7", zorder=1)
        for verdict, part in _by_verdict(steps):
            x, y = [step.hyper[name] for step in part], [max(step.ess, 1) for step in part]
            ax.scatter(x, y, **style(verdict))
        ax.axvline(self.center[name], color="0.3", lw=0.8, ls=":")
        _scale(ax, range_, "x")
        ax.set(yscale="log", ylabel="effective sample size")


def _by_verdict(steps: Iterable[Step]) -> list[tuple[str, list[Step]]]:
    return [(v, part) for v in COLORS if (part := [step for step in steps if step.verdict == v])]


def _scale(ax: Any, range_: Range, axis: str) -> None:
    ax.set(**{f"{axis}label": range_.name, f"{axis}scale": "log" if range_.log else "linear"})
