"""Models whose numbers are known: a Pyro program, and the law of the quantity that is looked at.

A law has ``mean``, ``std``, ``ppf`` and ``sf``, as distributions of scipy have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyro
from scipy import optimize, stats

Program = Callable[[], Any]


class Law(Protocol):
    """A distribution of one number."""

    def mean(self) -> float:
        """The mean."""

    def std(self) -> float:
        """The standard deviation."""

    def ppf(self, q: float) -> float:
        """The quantile."""

    def sf(self, x: float) -> float:
        """The probability of more than x."""


@dataclass(frozen=True)
class Mixture:
    """A mixture of normal distributions."""

    shares: Sequence[float]
    means: Sequence[float]
    sds: Sequence[float]

    def mean(self) -> float:
        """The mean."""
        return float(np.dot(self.shares, self.means))

    def std(self) -> float:
        """The standard deviation."""
        squares = np.square(self.means) + np.square(self.sds)
        return float(np.sqrt(np.dot(self.shares, squares) - self.mean() ** 2))

    def sf(self, x: float) -> float:
        """The probability of more than x."""
        return float(np.dot(self.shares, stats.norm.sf(x, self.means, self.sds)))

    def ppf(self, q: float) -> float:
        """The quantile."""
        far = 40 * max(self.sds)
        ends = min(self.means) - far, max(self.means) + far
        return float(optimize.brentq(lambda x: 1 - self.sf(x) - q, *ends, xtol=1e-12))


@dataclass(frozen=True)
class Model:
    """A program, and the law of one quantity under it.

    Attributes
    ----------
    name : str
        As it is printed.
    program : callable
        Without arguments; returns the values of its sites.
    law : Law
        Of the quantity.
    powered : callable, optional
        From a power to the model whose prior density is raised to it.
    simulated : bool
        Whether the program, run by Pyro, draws from the model: not with factors, scales and masks.
    """

    name: str
    program: Program
    law: Law
    powered: Callable[[float], Model] | None = None
    simulated: bool = True

    def __call__(self) -> Any:
        """Run the program."""
        return self.program()


def site(make: Callable[..., Any], *parameters: Any) -> Program:
    """A program of the one site ``x``."""
    return lambda: pyro.sample("x", make(*parameters))
