"""A family of priors whose members are drawn from and scored, to learn about it.

Knows programs and how they are run; nothing of designs, weights or sliders.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arviz_resampler.errors import ProgramError, ResamplerWarning
from arviz_resampler.particles.given import site_of
from arviz_resampler.particles.guides import Part, Single
from arviz_resampler.particles.log_q import evaluator
from arviz_resampler.particles.particles import Particles
from arviz_resampler.particles.simulation import simulate
from arviz_resampler.programs.columns import CachedSite, Columns, select
from arviz_resampler.programs.program import HYPER, Program, with_hyper
from arviz_resampler.tuning.family import Family
from arviz_resampler.tuning.ranges import Number, Range

Floats = NDArray[np.float64]

_TRIED = 8  # particles that show whether tensors make the models that numbers make
SEED = 20_240_229  # of what is learned


@dataclass(frozen=True)
class Spread(Single):
    """A family whose particles have hyper-parameters of their own."""

    hyper: Columns

    def parts(self, num_particles: int, seed: int) -> list[Part]:  # noqa: ARG002 - of all guides
        """All particles are its own."""
        return [Part(self.program, num_particles, self.hyper)]


def at(range_: Range, shares: Floats) -> NDArray[Any]:
    """Values at shares of a range, by ratios where it is positive."""
    low, high = range_.low, range_.high
    if range_.integer:
        return np.rint(low + shares * (high - low)).astype(np.int64)
    if low > 0:
        between = np.exp((1 - shares) * math.log(low) + shares * math.log(high))
    else:
        between = low + shares * (high - low)
    return np.where(shares <= 0, low, np.where(shares >= 1, high, between))


def number_at(range_: Range, share: float) -> Number:
    """The value at one share of a range."""
    number: Number = at(range_, np.array([share])).tolist()[0]
    return number


def share_of(range_: Range, value: float) -> float:
    """The inverse of :func:`at`."""
    if range_.low > 0 and not range_.integer:
        return (math.log(value) - math.log(range_.low)) / (math.log(range_.high) - math.log(range_.low))
    return (value - range_.low) / (range_.high - range_.low)


def width(range_: Range) -> float:
    """The size of a range on the scale of its shares: the log of its ratio where it is positive."""
    return math.log(range_.high / range_.low) if range_.low > 0 else range_.high - range_.low


def slope_at(range_: Range, value: float) -> float:
    """The derivative of a value of a range of floats by its share."""
    return value * width(range_) if range_.low > 0 else width(range_)


class Laboratory:
    """A family whose members are drawn from and scored, to learn about it.

    Parameters
    ----------
    family : Family
        The programs.
    """

    def __init__(self, family: Family) -> None:
        self.family = family
        self.names = list(family.ranges)
        self.spreads = self._spreads()

    def program(self, shares: Mapping[str, float]) -> Program:
        """The member at shares of the ranges; hyper-parameters that are left out are in the middle."""
        hyper = {
            name: number_at(range_, shares.get(name, 0.5)) for name, range_ in self.family.ranges.items()
        }
        return Program(self.family.model(hyper), "family")

    def columns(self, shares: Mapping[str, Floats]) -> dict[str, CachedSite]:
        """Hyper-parameters of their own for particles, by the names that a program is given them under."""
        n = len(next(iter(shares.values())))
        full = {name: shares.get(name, np.full(n, 0.5)) for name in self.names}
        return hyper_columns({name: at(self.family.ranges[name], u) for name, u in full.items()})

    def draw(self, guide: Single, n: int) -> Particles:
        """Particles of members."""
        return simulate(guide, None, n, seed=SEED, **_OPTIONS)

    def spread(self, shares: Mapping[str, Floats]) -> Particles:
        """Particles of members of their own."""
        columns = self.columns(shares)
        n = len(next(iter(columns.values())).value)
        return self.draw(Spread(self._whole, columns), n)

    def log_densities(self, particles: Particles, shares: Mapping[str, Floats]) -> Mapping[str, Tensor]:
        """Log density of each particle by site, under a member of its own."""
        columns = {**particles.columns, **self.columns(shares)}
        return evaluator(columns, particles.num_particles, "auto")(self._whole)

    @property
    def _whole(self) -> Program:
        return Program(with_hyper(self.family.make_model, self.names), "family")

    def _spreads(self) -> bool:
        """Whether particles can have hyper-parameters of their own: the family takes tensors."""
        few = {name: np.linspace(0.0, 1.0, _TRIED) for name in self.names}
        options = {**_OPTIONS, "vectorize": True}
        try:
            with warnings.catch_warnings(action="error", category=ResamplerWarning):
                drawn = simulate(Spread(self._whole, self.columns(few)), None, _TRIED, seed=0, **options)
        except (ProgramError, ResamplerWarning):
            return False
        return all(self._agrees(drawn, few, i) for i in range(_TRIED))

    def _agrees(self, drawn: Particles, shares: Mapping[str, Floats], i: int) -> bool:
        """Whether a particle has the density of its member, whose hyper-parameters are numbers."""
        program = self.program({name: float(each[i]) for name, each in shares.items()})
        evaluate = evaluator(select(drawn.columns, slice(i, i + 1)), 1, "auto")
        known = {n: c.log_q.double() for n, c in drawn.columns.items() if c.log_q is not None}
        return all(
            torch.allclose(log_p.double(), known[name][i : i + 1], rtol=1e-4, atol=1e-3)
            for name, log_p in evaluate(program).items()
        )


_OPTIONS: dict[str, Any] = {
    "batch_size": None,
    "predictive": frozenset(),
    "data_names": frozenset(),
    "vectorize": "auto",
    "on_error": "raise",
    "progressbar": False,
}


def hyper_columns(values: Mapping[str, NDArray[Any]]) -> dict[str, CachedSite]:
    """Hyper-parameters of particles, by the names that a program is given them under."""
    columns = {}
    for name, numbers in values.items():
        value = torch.from_numpy(numbers)
        value = value.to(torch.get_default_dtype()) if value.is_floating_point() else value
        columns[HYPER + name] = CachedSite(site_of(HYPER + name, "latent", value, ()), value)
    return columns
