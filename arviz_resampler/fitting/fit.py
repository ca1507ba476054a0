"""`Fit`: hyper-parameters that meet targets, their errors, and what the targets leave open.

Knows regions and containers; nothing of how it was found.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from arviz_resampler.containers import resolve
from arviz_resampler.fitting import words
from arviz_resampler.fitting.listing import with_errors
from arviz_resampler.fitting.problem import Evaluation, Problem
from arviz_resampler.fitting.region import Region, region
from arviz_resampler.markup import page, table
from arviz_resampler.pipeline import Model
from arviz_resampler.plots.lines import Line
from arviz_resampler.printed import html_table, with_error
from arviz_resampler.tuning.code import write
from arviz_resampler.tuning.ranges import Number
from arviz_resampler.weights.normalize import Floats
from arviz_resampler.weights.weights import Weights

_NUM_SAMPLES = 1000  # draws of the container


class About(NamedTuple):
    """What a fit was made of.

    Attributes
    ----------
    problem : Problem
        The misfit.
    at : Evaluation
        The fit.
    equal : sequence of Evaluation
        Other optima that do as well.
    floor : float
        Effective sample size below which a position is not believed.
    """

    problem: Problem
    at: Evaluation
    equal: Sequence[Evaluation]
    floor: float


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """Hyper-parameters at which a family of priors meets targets; made by :meth:`.Resampler.fit`.

    Attributes
    ----------
    hyper : mapping of str to number
        The hyper-parameters, to a hundredth of their errors.
    mcse : mapping of str to float
        Their Monte Carlo standard errors: by a line through the fit, so too small where targets leave
        something open, and at most about the range. NaN for whole numbers.
    table : DataFrame
        A row for each target: ``target``, the number in words, ``wished``, ``reached`` with its error
        ``mcse``, ``fresh`` with ``mcse_fresh``, the same by a fresh simulation, NaN where there was none, and
        ``tolerance``, NaN where none was given.
    misfit : float
        Squared distance of the targets from what the family can reach, in units of Monte Carlo error and
        tolerance: chi-squared with ``freedom`` degrees of freedom if they can all be met.
    freedom : int
        How many more targets there are than hyper-parameters that they tell.
    p_value : float
        Probability of a larger misfit by noise alone; NaN without a degree of freedom.
    notes : tuple of str
        What else is to be known: targets that contradict each other, an end of a range, other optima.
    optima : DataFrame
        Where the searches ended on the cache: hyper-parameters, ``loss``, ``ess``, ``starts`` and
        ``evaluations``, the best first.
    history : DataFrame
        Each position that a search has come to, and why it went no further. Here, in ``optima`` and in the
        grid of the region a hyper-parameter with the name of another column has an underscore at its end.
    weights : Weights
        Of the particles under the fitted prior.
    num_evaluations : int
        How often the family was weighed.
    num_added : int
        How many particles were simulated.
    """

    hyper: Mapping[str, Number]
    mcse: Mapping[str, float]
    table: pd.DataFrame
    misfit: float
    freedom: int
    p_value: float
    notes: tuple[str, ...]
    optima: pd.DataFrame
    history: pd.DataFrame
    weights: Weights
    num_evaluations: int
    num_added: int
    _about: About

    @functools.cached_property
    def open(self) -> tuple[str, ...]:
        """What the targets leave open, in words: directions whose error is large, and wide regions."""
        names, ranges = self._about.problem.free, self._about.problem.family.ranges
        found = [words.sentence(each, names, ranges) for each in open_directions(self._about.at)]
        limits = self.region.around
        ends = zip(
            self._about.problem.shares(limits.low), self._about.problem.shares(limits.high), strict=True
        )
        wide = [name for name, (low, high) in zip(names, ends, strict=True) if high - low > words.WIDE]
        told = [words.alone(name) for name in wide if not any(name in each for each in found)]
        return (*found, *told)

    @property
    def model(self) -> Model:
        """The fitted prior, as a program."""
        return self._about.problem.family.model(self.hyper)

    def code(self) -> str:
        """Source of the fitted prior, as of :meth:`.Tuner.code`."""
        return write(self._about.problem.source.pipeline, self._about.problem.family, self.hyper)

    @property
    def summary(self) -> str:
        """What the targets reach, in a line."""
        each = [
            f"{name} {with_error(row.reached, row.mcse)} (wished {row.wished:.4g})"
            for name, row in self.table.iterrows()
        ]
        return f"fit: {', '.join(each)}"

    @functools.cached_property
    def lines(self) -> Mapping[str, Sequence[Line]]:
        """Values of variables that targets are about, by variable, for pictures."""
        return self._about.problem.lines(self._about.at)

    @functools.cached_property
    def prior(self) -> Any:
        """A thousand draws of the fitted prior in a container, for the plots of ArviZ."""
        pipeline, name = self._about.problem.source.pipeline, self._about.problem.family.call(self.hyper)
        scored = pipeline.score(self.model)
        return pipeline.draw_container(scored, _NUM_SAMPLES, name, container=resolve("auto")).container

    @functools.cached_property
    def region(self) -> Region:
        """Values of hyper-parameters whose misfit is within its noise, computed when it is asked for."""
        return region(*self._about)

    def plot(self) -> Any:
        """Targets against what is reached, and the region.

        Returns
        -------
        Figure
            Of matplotlib.

        Raises
        ------
        ExtraError
            If matplotlib is not installed.
        """
        from arviz_resampler.plots.fits import plot_fit

        return plot_fit(self.table, self.region.table, self.region.grid, self.hyper)

    @property
    def _title(self) -> str:
        degrees = f"{self.freedom} degree{'s' if self.freedom > 1 else ''} of freedom"
        told = f", misfit {self.misfit:.3g} on {degrees} (p = {self.p_value:.2g})"
        targets = (
            f"{len(self.table)} target{'s' if len(self.table) > 1 else ''}{told if self.freedom else ''}"
        )
        return f"Fit of {self._about.problem.family.name} to {targets}"

    def _hyper_rows(self) -> list[list[str]]:
        """Each hyper-parameter, its error and its region."""
        limits = self.region.table
        rows = []
        for name, value in self.hyper.items():
            if name in limits.index:
                low, high = limits.low[name], limits.high[name]
                rows.append([name, with_error(value, self.mcse[name]), f"region {low:.4g} to {high:.4g}"])
            else:
                rows.append([name, str(value), ""])
        return rows

    @property
    def _effort(self) -> str:
        added = f", {self.num_added:,} particles simulated" if self.num_added else ""
        return f"ESS {self.weights.ess:,.0f}, {self.num_evaluations} evaluations{added}"

    def __repr__(self) -> str:
        hyper = [f"{name:<16} {value:<18} {where}".rstrip() for name, value, where in self._hyper_rows()]
        lines = [*hyper, *with_errors(self.table).to_string().splitlines(), self._effort]
        return "\n  ".join([self._title, *lines, *self.open, *self.notes])

    def _repr_html_(self) -> str:
        tables = table([], self._hyper_rows()), html_table(with_errors(self.table))
        return page(self._title, *tables, self._effort, *self.open, *self.notes)


def open_directions(at: Evaluation) -> Floats:
    """Directions of the shares that targets leave open at a position, one a row."""
    return words.open_directions(at.jacobian, at.noise) if len(at.shares) else np.zeros((0, 0))
