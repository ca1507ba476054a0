"""Which particle each draw is: a scheme and the randomness that it runs on.

Warns where the weights are not good for that many draws. Knows weights and schemes; nothing of programs,
particles or containers.
"""

from __future__ import annotations

import numpy as np
import torch

from arviz_resampler.draws.race import Ints, Race
from arviz_resampler.draws.schemes import SCHEMES, Scheme
from arviz_resampler.errors import ArgumentError, WeightError, WeightWarning, quoted, suggestion, warn
from arviz_resampler.weights.weights import Weights


def global_seed() -> int:
    """A seed from torch's global generator."""
    return int(torch.randint(2**62, (), device="cpu").item())


class Chooser:
    """The randomness of draws: one race for all coupled ones, a stream of calls for the others.

    Parameters
    ----------
    seed : int
        Of the race.
    num_particles : int
        N.
    seeded : bool
        Whether the seed was given. Otherwise schemes that are not coupled follow torch's global
        generator.
    """

    def __init__(self, seed: int, num_particles: int, *, seeded: bool) -> None:
        self._seeded = seeded
        self._race = Race(seed, num_particles)
        self._calls = np.random.default_rng((seed, 1))

    def common_seed(self, scheme: str, random_seed: int | None) -> int | None:
        """A seed for several choices that are to share their randomness; None is that of the race."""
        if random_seed is not None or _scheme(scheme).coupled:
            return random_seed
        return int(self._calls.integers(2**62)) if self._seeded else global_seed()

    def choose(
        self,
        weights: Weights,
        num_samples: int,
        scheme: str = "stable",
        random_seed: int | None = None,
        variant: str | None = None,
    ) -> Ints:
        """Particle of each draw, with a warning where the weights are not good for that many."""
        known = _scheme(scheme)
        verdict, advice = weights.judge(num_samples)
        if not weights.ess:
            raise WeightError(f"no draw can be made: {advice}")
        if verdict != "good":
            of = "" if variant is None else f" of variant {variant!r}"
            warn(f"weights{of} are {verdict}: {advice}", WeightWarning)
        return known.indices(weights.tensor, num_samples, self._randomness(known, random_seed))

    def _randomness(self, scheme: Scheme, random_seed: int | None) -> Race | np.random.Generator:
        if scheme.coupled:
            return self._race if random_seed is None else Race(random_seed, self._race.num_particles)
        if random_seed is None and self._seeded:
            return self._calls
        return np.random.default_rng(global_seed() if random_seed is None else random_seed)


def _scheme(name: str) -> Scheme:
    if name not in SCHEMES:
        raise ArgumentError(
            f"scheme must be one of {quoted(SCHEMES)}, got {name!r}.{suggestion(str(name), SCHEMES)}"
        )
    return SCHEMES[name]
