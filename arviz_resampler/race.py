"""The exponential race: draws that two weightings share wherever they can.

Each particle owns one Poisson process of arrivals at unit rate, and each arrival picks a draw (a
*register*) at random. Under weights W the times of particle i are divided by W_i, and a register
goes to its earliest arrival. A register then holds particle i with probability W_i, independently
of the other registers, and nothing in the race but the division knows the weights: two weightings
give most registers to the same particle.

Arrivals come from a hash of (seed, block, particle, count), so all that is kept is the weight from
which a particle is in the race at all. Knows weights as an array; nothing of particles or programs.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

_FIRST_BLOCK = 64
_SLACK = 4.0
_FEW = 2048
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


class _Block(NamedTuple):
    """Registers that run together; there is a new race for each block."""

    number: int
    start: int
    size: int

    @property
    def reach(self) -> float:
        """Until when arrivals are looked at first.

        They come at rate one in total, ``1 / size`` for each register, so that some register of the
        block is left over with probability ``exp(-_SLACK)`` at most.
        """
        return self.size * (math.log(self.size) + _SLACK)


def _blocks(num_samples: int) -> list[_Block]:
    """Blocks up to register 64, 256, 1024, ...: the first draws do not depend on how many there are."""
    blocks = [_Block(0, 0, _FIRST_BLOCK)]
    while (taken := blocks[-1].start + blocks[-1].size) < num_samples:
        blocks.append(_Block(len(blocks), taken, 3 * taken))
    return blocks


class _Bars(NamedTuple):
    """Weights from which particles have an arrival within the reach of a block, or a little less."""

    lowest: Floats  # of all blocks, shape (N,)
    each: NDArray[np.float32]  # shape (N, blocks)


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
        self._bars: dict[int, _Bars] = {}
        # What the hash starts from in each block; there are never more blocks than that.
        root = _mix(np.array([seed % 2**64], np.uint64) + _STEP)
        self._roots = _mix(root ^ _mix(np.arange(32, dtype=np.uint64) + _STEP))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_bars": {}}

    def winners(self, weights: Floats, num_samples: int) -> Ints:
        """Particle of each draw: shape (num_samples,), the same for any larger ``num_samples``.

        Parameters
        ----------
        weights : ndarray
            Normalised weights, shape (N,), float64.
        num_samples : int
            How many draws.
        """
        blocks = _blocks(num_samples)
        bars = self._bars_of(len(blocks))
        total = blocks[-1].start + blocks[-1].size
        winner = np.full(total, -1, np.int64)
        factor = 1.0
        while blocks:
            active = np.flatnonzero(weights * factor >= bars.lowest if factor > 1 else weights >= bars.lowest)
            times, registers, particles = self._arrivals(weights, active, bars, blocks, factor)
            earliest = np.full(total, np.inf)
            np.minimum.at(earliest, registers, times)
            first = times == earliest[registers]
            winner[registers[first]] = particles[first]
            wanted = winner[:num_samples]
            blocks = [b for b in blocks if (wanted[b.start : b.start + b.size] < 0).any()]
            factor *= 2
        return winner[:num_samples]

    def _bars_of(self, num_blocks: int) -> _Bars:
        """Weights from which particles have an arrival within reach in one of the first blocks."""
        if num_blocks not in self._bars:
            blocks = _blocks(_FIRST_BLOCK * 4 ** (num_blocks - 1))
            lowest = np.empty(self.num_particles)
            each = np.empty((self.num_particles, num_blocks), np.float32)
            step = 1 << 16  # keeps the words of the hash in cache
            for start in range(0, self.num_particles, step):
                part = lowest[start : start + step]
                steps = np.arange(start, start + len(part), dtype=np.uint64) * _STEP
                part.fill(np.inf)
                for block in blocks:
                    bar = _exponential(_mix(_mix(self._roots[block.number] + steps))) / block.reach
                    # A little low: arrivals are compared again, after other roundings.
                    np.minimum(part, bar * (1 - 1e-12), out=part)
                    each[start : start + step, block.number] = bar * (1 - 1e-6)
            self._bars[num_blocks] = _Bars(lowest, each)
        return self._bars[num_blocks]

    def _arrivals(
        self, weights: Floats, candidates: Ints, bars: _Bars, blocks: list[_Block], factor: float
    ) -> tuple[Floats, Ints, Ints]:
        """All arrivals up to a multiple of each block's reach: time, register and particle."""
        starts = np.array([block.start for block in blocks])
        sizes = np.array([block.size for block in blocks], np.uint64)
        numbers = [block.number for block in blocks]
        reaches = np.array([block.reach * factor for block in blocks])
        heavy = weights[candidates]
        within = bars.each.take(candidates, axis=0) <= (heavy * factor)[:, None]
        # A lane is a particle in a block. It runs up to its reach, in the particle's own time.
        lane = np.flatnonzero(within if len(blocks) == bars.each.shape[1] else within[:, numbers])
        which, own = np.divmod(lane, len(blocks))
        keys = _mix(self._roots[numbers][own] + candidates[which].astype(np.uint64) * _STEP)
        reach = reaches[own] * heavy[which]
        time: Floats | float = 0.0
        count, width = 0, 4 if len(keys) < _FEW else 1
        found: list[tuple[Floats, Ints, Ints]] = []
        while keys.size:
            words = _mix(keys + np.arange(count, count + width, dtype=np.uint64)[:, None] * _STEP)
            times = _exponential(words)
            # The times of a particle are summed one after the other, so they do not depend on how
            # many are taken in one go: several where the calls cost more than the arithmetic.
            times[0] += time
            for i in range(1, width):
                times[i] += times[i - 1]
            hits = np.flatnonzero(times <= reach)
            which, own = np.divmod(lane[hits % len(keys)], len(blocks))
            who = candidates[which]
            label = _mix(words.ravel()[hits] + _STEP) >> np.uint64(32)
            registers = starts[own] + (label * sizes[own] >> np.uint64(32)).astype(np.int64)
            found.append((times.ravel()[hits] / weights[who], registers, who))
            more = np.flatnonzero(times[-1] <= reach)
            time = times[-1, more]
            lane, keys, reach = lane[more], keys[more], reach[more]
            count, width = count + width, width * 2
        return tuple(np.concatenate(part) for part in zip(*found, strict=True))  # type: ignore[return-value]
