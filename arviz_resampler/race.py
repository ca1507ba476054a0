"""The exponential race: draws that two weightings share wherever they can.

Each particle owns one Poisson process of arrivals at unit rate, and each arrival picks a draw (a
*register*) at random. Under weights W the times of particle i are divided by W_i, and a register
goes to its earliest arrival. A register then holds particle i with probability W_i, independently
of the other registers, and nothing in the race but the division knows the weights: two weightings
give most registers to the same particle.

Arrivals come from a hash of (seed, block, particle, count), so only the first arrival of each
particle is kept. Knows weights as an array; nothing of particles or programs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

_FIRST_BLOCK = 256
_STEP = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio, as in SplitMix64


def _mix(words: Words) -> Words:
    """Scramble 64-bit words: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _exponential(words: Words) -> Floats:
    """Standard exponentials from random words."""
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return -np.log(uniform)


def _blocks(num_samples: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and size of the blocks of registers: 256, 256, 512, 1024, ..."""
    number, start, size = 0, 0, _FIRST_BLOCK
    while start < num_samples:
        yield number, start, size
        number, start = number + 1, start + size
        size = start


class Race:
    """The shared randomness of stable draws.

    Parameters
    ----------
    seed : int
        Equal seeds give equal races.
    num_particles : int
        How many particles run.

    Notes
    -----
    The coupling is that of MinHash for weighted sets. Under weights p and q a register holds the
    same particle with probability ``J(p, q) = sum_j 1 / sum_i max(p_i / p_j, q_i / q_j)``, which is
    at least (1 - TV) / (1 + TV) (Moulton and Jiang, *Maximally Consistent Sampling and the Jaccard
    Index of Probability Distributions*, 2018). Time is O(N + S log S) for S draws, memory O(N).
    """

    def __init__(self, seed: int, num_particles: int) -> None:
        self.seed = seed
        self.num_particles = num_particles
        self._first: dict[int, Floats] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"seed": self.seed, "num_particles": self.num_particles, "_first": {}}

    def winners(self, weights: Floats, num_samples: int) -> Ints:
        """Particle of each draw: shape (num_samples,), the same for any larger ``num_samples``.

        Parameters
        ----------
        weights : ndarray
            Normalised weights, shape (N,), float64.
        num_samples : int
            How many draws.
        """
        parts = [
            self._block(weights, number, size, min(size, num_samples - start))
            for number, start, size in _blocks(num_samples)
        ]
        return np.concatenate(parts)

    def _keys(self, block: int, particles: Words) -> Words:
        root = _mix(np.array([self.seed % 2**64], np.uint64) + _STEP)
        root = _mix(root ^ _mix(np.array([block], np.uint64) + _STEP))
        return _mix(root + particles * _STEP)

    def _first_arrivals(self, block: int) -> Floats:
        if block not in self._first:
            first = np.empty(self.num_particles)
            step = 1 << 16  # keeps the words of the hash in cache
            for start in range(0, self.num_particles, step):
                stop = min(start + step, self.num_particles)
                keys = self._keys(block, np.arange(start, stop, dtype=np.uint64))
                first[start:stop] = _exponential(_mix(keys))
            self._first[block] = first
        return self._first[block]

    def _block(self, weights: Floats, block: int, size: int, wanted: int) -> Ints:
        """Winners of the first registers of a block."""
        winner = np.full(size, -1, np.int64)
        slack = 4.0
        while True:
            # Arrivals come at rate one in total, 1 / size for each register, so that until then a
            # wanted register is left over with probability exp(-slack).
            horizon = size * (np.log(wanted) + slack)
            times, registers, particles = self._arrivals(weights, block, size, horizon)
            late_first = np.argsort(-times)
            winner[registers[late_first]] = particles[late_first]
            if winner[:wanted].min() >= 0:
                return winner[:wanted]
            slack *= 2

    def _arrivals(self, weights: Floats, block: int, size: int, horizon: float) -> tuple[Floats, Ints, Ints]:
        """All arrivals up to the horizon: time, register and particle."""
        first = self._first_arrivals(block)
        active = np.flatnonzero(first <= horizon * weights)
        time = first[active]
        keys = self._keys(block, active.astype(np.uint64))
        count, width = 0, 1
        found: list[tuple[Floats, Ints, Ints]] = []
        shift = np.uint64(64 - int(size).bit_length() + 1)
        while active.size:
            # The times of a particle are summed one after the other, so they do not depend on how
            # many are taken in one go.
            steps = np.arange(count, count + width, dtype=np.uint64) * _STEP
            words = _mix(keys[:, None] + steps)
            times = _exponential(words)
            times[:, 0] = time if count == 0 else times[:, 0] + time
            np.cumsum(times, axis=1, out=times)
            scaled = times / weights[active, None]
            row, column = np.nonzero(scaled <= horizon)
            registers = (_mix(words[row, column] + _STEP) >> shift).astype(np.int64)
            found.append((scaled[row, column], registers, active[row]))
            time = times[:, -1]
            more = scaled[:, -1] <= horizon
            active, keys, time = active[more], keys[more], time[more]
            count, width = count + width, width * 2
        return tuple(np.concatenate(part) for part in zip(*found, strict=True))  # type: ignore[return-value]
