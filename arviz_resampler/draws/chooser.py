"""Which particle each draw is: a scheme and the randomness that it runs on.

Warns where the weights do not carry the draws. Knows weights and schemes; nothing of programs,
particles or containers.
"""

from __future__ import annotations

import numpy as np
import torch

from arviz_resampler.draws.race import Ints, Race
from arviz_resampler.draws.schemes import SCHEMES
from arviz_resampler.errors import ArgumentError, WeightError, WeightWarning, quoted, suggestion, warn
from arviz_resampler.weights.weights import Weights


def global_seed() -> int:
    """A seed from torch's global generator."""
    return int(torch.randint(2**62, ()).item())


class Chooser:
    """The randomness of draws: one race for all stable ones, a stream of calls for the others.

    Parameters
    ----------
    seed : int
        Of the race.
    num_particles : int
        N.
    own : bool
        Whether the seed was given. Otherwise what is not stable follows torch's global generator.
    """

    def __init__(self, seed: int, num_particles: int, *, own: bool) -> None:
        self._own = own
        self._race = Race(seed, num_particles)
        self._calls = np.random.default_rng((seed, 1))

    def common_seed(self, scheme: str, random_seed: int | None) -> int | None:
        """A seed for several choices that are to share their randomness; None is that of the race."""
        if random_seed is not None or scheme == "stable":
            return random_seed
        return int(self._calls.integers(2**62)) if self._own else global_seed()

    def choose(
        self,
        weights: Weights,
        num_samples: int,
        scheme: str = "stable",
        random_seed: int | None = None,
        variant: str | None = None,
    ) -> Ints:
        """Particle of each draw, with a warning where the weights do not carry that many."""
        if scheme not in SCHEMES:
            raise ArgumentError(
                f"scheme must be one of {quoted(SCHEMES)}, got {scheme!r}.{suggestion(str(scheme), SCHEMES)}"
            )
        verdict, advice = weights.judge(num_samples)
        if not weights.ess:
            raise WeightError(f"no draw can be made: {advice}")
        if verdict != "good":
            of = "" if variant is None else f" of variant {variant!r}"
            warn(f"weights{of} are {verdict}: {advice}", WeightWarning)
        race, rng = self._race, self._calls
        if random_seed is not None:
            race, rng = Race(random_seed, weights.num_particles), np.random.default_rng(random_seed)
        elif scheme != "stable" and not self._own:
            rng = np.random.default_rng(global_seed())
        return SCHEMES[scheme](weights.normalized, num_samples, race=race, rng=rng)
