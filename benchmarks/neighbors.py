"""Bias of a density that is estimated from neighbors: what messages say of it.

Part of ``make bench``. Weights draws of a correlated Student t distribution with five degrees of freedom to
independent normals, by the estimated density, and prints the bias of their standard deviation, which is one.
"""

from __future__ import annotations

import numpy as np

from arviz_resampler.particles.neighbors import BIAS, log_density

_DRAWS, _REPETITIONS = 2000, 50


def bias(dimensions: int, rng: np.random.Generator) -> tuple[float, float]:
    """Bias of the standard deviation of the first coordinate, and its standard error."""
    mix = np.eye(dimensions) + 0.5 * np.tri(dimensions, k=-1)
    found = []
    for _ in range(_REPETITIONS):
        t = rng.standard_normal((_DRAWS, dimensions)) / np.sqrt(rng.chisquare(5, (_DRAWS, 1)) / 5)
        draws = 1.5 * t @ mix.T
        log_ratio = -0.5 * ((draws - 0.5) ** 2).sum(1) - log_density(draws)
        weights = np.exp(log_ratio - log_ratio.max())
        weights /= weights.sum()
        mean = weights @ draws[:, 0]
        found.append(np.sqrt(weights @ (draws[:, 0] - mean) ** 2) - 1)
    return float(np.mean(found)), float(np.std(found) / np.sqrt(_REPETITIONS))


def main() -> None:
    """Measure, and print beside what messages say."""
    rng = np.random.default_rng(0)
    for dimensions, said in BIAS.items():
        found, error = bias(dimensions, rng)
        print(f"{dimensions} dimensions: {found:+.3f} ± {error:.3f}, messages say {said:+.3f}")


if __name__ == "__main__":
    main()
