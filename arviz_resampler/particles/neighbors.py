"""Density of draws whose law nobody has told, from their nearest neighbors. Knows arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.special import gammaln

from arviz_resampler.errors import ArgumentError

Floats = NDArray[np.float64]

NEAREST = 10  # which neighbor tells the density
MOST_DIMENSIONS = 3  # of a density that is taken without being insisted on
# Bias of a standard deviation of one, by dimension: 2,000 draws of a correlated Student t with five degrees
# of freedom, weighted to independent normals (benchmarks/neighbors.py).
BIAS = {1: 0.000, 2: -0.003, 3: -0.011, 5: -0.034, 8: -0.054}


def log_density(draws: Floats) -> Floats:
    """Log density of draws, shape (N, d), by the distance of the tenth nearest neighbor.

    Raises
    ------
    ArgumentError
        If there are too few draws, or they stand on each other or in a plane.

    Notes
    -----
    D. O. Loftsgaarden and C. P. Quesenberry, *A nonparametric estimate of a multivariate density function*,
    Annals of Mathematical Statistics 36, 1965; after a linear map that makes their covariance the identity.
    """
    n, d = draws.shape
    if n < 10 * NEAREST:
        raise ArgumentError(f"a density from neighbors needs {10 * NEAREST} draws or more, got {n}")
    centered = draws - draws.mean(0)
    scale = centered.std(0)
    if not (scale > 0).all():
        raise ArgumentError("a density from neighbors needs latents that vary: one is the same in all draws")
    covariance = np.atleast_2d(np.cov(centered / scale, rowvar=False))
    values, vectors = np.linalg.eigh(covariance)
    if values[0] < 1e-10 * values[-1]:
        raise ArgumentError(
            "a density from neighbors needs latents of which none is a linear combination of the others"
        )
    white = (centered / scale) @ vectors / np.sqrt(values)
    distance = KDTree(white).query(white, k=NEAREST + 1)[0][:, -1]
    if not (distance > 0).all():
        raise ArgumentError(
            f"a density from neighbors needs draws that differ: {int((distance == 0).sum())} of {n} are "
            f"equal to {NEAREST} others"
        )
    log_volume = d / 2 * np.log(np.pi) - gammaln(d / 2 + 1) + d * np.log(distance)
    log_scale = np.log(scale).sum() + 0.5 * np.log(values).sum()
    found: Floats = np.log(NEAREST / n) - log_volume - log_scale
    return found


def bias_text(dimensions: int) -> str:
    """What was measured of its bias, for the nearest number of dimensions that was tried."""
    tried = min(BIAS, key=lambda d: (abs(d - dimensions), -d))
    return f"{abs(BIAS[tried]):.1%} too small in {tried} dimension{'s' if tried > 1 else ''}"
