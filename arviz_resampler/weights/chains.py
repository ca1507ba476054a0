"""Draws of a posterior as particles: how far they depend on each other, and where weights take them.

ArviZ is imported when it is asked. Knows arrays; nothing of sites or programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WIDER = 1.05  # times its standard deviation, from which a posterior gets wider


class Widened(NamedTuple):
    """A latent whose posterior gets wider.

    Attributes
    ----------
    name : str
        Of its site.
    before, after : float
        Its standard deviation among the draws, and under the weights.
    """

    name: str
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class Chains:
    """Chains of a posterior, one after the other.

    Attributes
    ----------
    num_chains : int
        How many there are, all of one length.
    latents : mapping of str to ndarray
        The draws by site, shape (N, k).
    """

    num_chains: int
    latents: Mapping[str, Floats]

    def efficiency(self, series: Floats) -> float:
        """Relative efficiency of the draws for the mean of a series, shape (N,): effective draws over N.

        At most 1; that of a constant.
        """
        import arviz as az

        if not np.isfinite(series).all():
            return 1.0
        effective = float(az.ess(series.reshape(self.num_chains, -1), method="mean"))
        return min(effective / len(series), 1.0)

    @cached_property
    def slowest(self) -> float:
        """Relative efficiency for the latent that moves slowest."""
        return min(self.efficiency(column) for draws in self.latents.values() for column in draws.T)

    def widened(self, weights: Floats) -> Widened | None:
        """The latent whose posterior gets wider by most, if one does."""
        found: list[Widened] = []
        for name, draws in self.latents.items():
            before = draws.std(axis=0)
            after = np.sqrt(np.maximum(weights @ draws**2 - (weights @ draws) ** 2, 0.0))
            with np.errstate(invalid="ignore", divide="ignore"):
                i = int(np.argmax(np.nan_to_num(after / before)))
            found.append(Widened(name, float(before[i]), float(after[i])))
        widest = max(found, key=lambda one: one.after / one.before if one.before else 0.0)
        return widest if widest.after > WIDER * widest.before else None
