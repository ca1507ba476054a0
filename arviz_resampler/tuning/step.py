"""The verdict at one position of the hyper-parameters, by weights and by draws of the prior.

Knows both; nothing of ranges or models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from arviz_resampler.particles.reach import Reach
from arviz_resampler.tuning.ranges import Number
from arviz_resampler.weights.diagnostics import Diagnostics
from arviz_resampler.weights.verdict import FEW, wanted_ess
from arviz_resampler.weights.weights import Weights


@dataclass(frozen=True)
class Step:
    """The verdict at one position of the hyper-parameters.

    Attributes
    ----------
    hyper : mapping of str to number
        The hyper-parameters.
    diagnostics : Diagnostics, optional
        Of the weights, for the number of draws of the tuner; None where there are no weights.
    site : str, optional
        The site that costs most of the ESS.
    error : str
        The reason why there are no weights.
    wanted : int
        The ESS that a good verdict takes.
    expected_ess : float, optional
        The ESS that draws of the prior expect; None where it was not drawn from.
    num_needed : int, optional
        How many new particles would leave the wanted ESS, by these draws.
    """

    hyper: Mapping[str, Number]
    diagnostics: Diagnostics | None
    site: str | None = None
    error: str = ""
    wanted: int = 0
    expected_ess: float | None = None
    num_needed: int | None = None

    @classmethod
    def of(
        cls, hyper: Mapping[str, Number], weights: Weights, num_samples: int, reach: Reach | None = None
    ) -> Step:
        """The verdict on weights for a number of draws, and on what draws of the prior expect."""
        wanted = wanted_ess(num_samples)
        expects = (None, None) if reach is None else (reach.ess, reach.num_needed)
        diagnostics = weights.diagnostics(num_samples)
        return cls(hyper, diagnostics, weights.costliest_site, "", wanted, *expects)

    @classmethod
    def failed(cls, hyper: Mapping[str, Number], error: Exception) -> Step:
        """A step without weights, with the error."""
        return cls(hyper, None, error=f"{type(error).__name__}: {error}")

    @property
    def verdict(self) -> str:
        """The verdict: "good", "low" or "unreliable", and "failed" where there are no weights."""
        if self.diagnostics is None:
            return "failed"
        if self._unseen is not None:
            return "unreliable" if self._unseen < FEW else "low"
        return self.diagnostics.verdict

    @property
    def advice(self) -> str:
        """What to do, or why there are no weights."""
        if self._unseen is not None:
            return (
                f"draws of the prior expect an effective sample size of {self._unseen:.3g}, not the "
                f"{self.wanted} wanted: a part of the prior has few particles, which weights do not show. "
                f"Top up with {self.top_up} particles."
            )
        return self.error if self.diagnostics is None else self.diagnostics.advice

    @property
    def _unseen(self) -> float | None:
        """The ESS that draws of the prior expect, where the weights are good and it is too small."""
        good = self.diagnostics is not None and self.diagnostics.verdict == "good"
        small = good and self.expected_ess is not None and self.expected_ess < self.wanted
        return self.expected_ess if small else None

    @property
    def ess(self) -> float:
        """Effective sample size; 0 where there are no weights."""
        return 0.0 if self.diagnostics is None else self.diagnostics.ess

    @property
    def good(self) -> bool:
        """True if the verdict is good."""
        return self.verdict == "good"

    @property
    def top_up(self) -> int:
        """How many new particles make the verdict good; 0 where it is. A bound where none was drawn."""
        if self.good:
            return 0
        return max(math.ceil(self.wanted - self.ess), 0) if self.num_needed is None else self.num_needed
