"""Draws of a posterior as particles: how far they depend on each other, and where weights take them.

ArviZ is imported when it is asked. Knows arrays; nothing of sites or programs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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

    Examples
    --------
    Draws of Normal(0, 1), each beside the last in a chain, weighted to Normal(0.2, 1):

    >>> import numpy as np
    >>> from arviz_resampler import Chains, Weights
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((4, 1000))
    >>> for i in range(1, 1000):
    ...     x[:, i] = 0.6 * x[:, i - 1] + 0.8 * x[:, i]
    >>> draws = x.reshape(-1)
    >>> dependent = Weights({"x": 0.2 * draws}, chains=Chains(4, {"x": draws[:, None]}))
    >>> independent = Weights({"x": 0.2 * draws})
    >>> bool(1.8 < dependent.mcse(draws) / independent.mcse(draws) < 2.2)  # (1.6 / 0.4) ** 0.5 = 2
    True
    """

    num_chains: int
    latents: Mapping[str, Floats]

    def efficiency(self, series: Floats) -> float:
        """Effective draws for the mean of a series, by ``arviz.ess``, over draws.

        Parameters
        ----------
        series : ndarray
            One number for each draw, shape (N,).

        Returns
        -------
        float
            Above 1 for chains whose draws alternate; 1 for a constant.
        """
        import arviz as az

        if not np.isfinite(series).all():
            return 1.0
        effective = float(az.ess(series.reshape(self.num_chains, -1), method="mean"))
        return effective / len(series)

    @cached_property
    def slowest(self) -> float:
        """Relative efficiency for the latent that moves slowest."""
        return min(self.efficiency(column) for draws in self.latents.values() for column in draws.T)

    def widened(self, weights: Floats, names: Collection[str]) -> Widened | None:
        """The latent, of some, whose posterior gets wider by most, under weights that sum to one."""
        found: list[Widened] = []
        for name in names:
            draws = self.latents[name]
            before = draws.std(axis=0)
            after = np.sqrt(np.maximum(weights @ draws**2 - (weights @ draws) ** 2, 0.0))
            with np.errstate(invalid="ignore", divide="ignore"):
                i = int(np.argmax(np.nan_to_num(after / before)))
            found.append(Widened(name, float(before[i]), float(after[i])))
        wider = [one for one in found if one.after > WIDER * one.before]
        return max(wider, key=lambda one: one.after / one.before, default=None)
