"""Targets that no hyper-parameter moves, from the positions that were looked at. Knows arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arviz_resampler.weights.normalize import Floats

_UNHEARD = 4.0  # standard errors that no target is off
_TELLING = 0.25  # of the unit of a residual, that these are less than, to tell anything
_APART = 0.3  # of each range, that positions have between them to tell what it moves


class Seen:
    """Positions that were looked at, to tell targets that no hyper-parameter moves."""

    def __init__(self) -> None:
        self._ends: list[Floats] = []  # of the positions
        self._limits: list[Floats] = []  # of the residuals: no residual is further off by noise
        self._noise = np.zeros(0)
        self._moved: NDArray[np.bool_] = np.zeros(0, bool)

    def add(self, shares: Floats, residual: Floats, error: Floats) -> None:
        """Take note of a position, with the residuals there and their standard errors."""
        reach = _UNHEARD * error
        self._noise = np.maximum(self._noise, reach) if len(self._noise) else reach
        limits = [residual - reach, residual + reach]
        if not self._ends:
            self._ends, self._limits = [shares, shares], limits
            return
        self._ends = [np.minimum(self._ends[0], shares), np.maximum(self._ends[1], shares)]
        self._limits = [np.maximum(self._limits[0], limits[0]), np.minimum(self._limits[1], limits[1])]

    def add_slopes(self, slopes: Floats, errors: Floats) -> None:
        """Take note of derivatives of the residuals, shape (K, d), and of their standard errors."""
        moved = np.asarray((np.abs(slopes) > _UNHEARD * errors).any(axis=1))
        self._moved = self._moved | moved if len(self._moved) else moved

    @property
    def unmoved(self) -> NDArray[np.bool_]:
        """Targets that were the same at all positions, but for noise; none where these are close together."""
        spread = len(self._ends[0]) > 0 and bool((self._ends[1] - self._ends[0] >= _APART).all())
        found: NDArray[np.bool_] = (self._limits[0] <= self._limits[1]) & (self._noise < _TELLING) & spread
        if len(self._moved):
            found &= ~self._moved
        return found
