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
    """Scramble 64-bit words: the finalizer of SplitMix64 (Steele, Lea, Flood 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _exponential(words: Words) -> Floats:
    """Standard exponentials from random words."""
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return -np.log(uniform)


def _at_once(lanes: int, longest: float) -> int:
    """How many arrivals to look at in one go.

    One where there are many lanes; else enough for hardly a lane to go on, as calls then cost more than
    the arithmetic. There are as many arrivals as the longest lane is long, with the root of that as
    standard deviation.
    """
    return 1 if lanes >= _FEW else min(int(longest + 4 * math.sqrt(longest)) + 3, 4 * _FEW // lanes)


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
        while seed := seed >> 64:
            root = _mix(root ^ (np.uint64(seed % 2**64) + _STEP))
        self._roots = _mix(root ^ _mix(np.arange(32, dtype=np.uint64) + _STEP))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_bars": {}}

    def winners(self, weights: Floats, num_samples: int) -> Ints:
        """Particle of each draw: shape (num_samples,), the same for any larger ``num_samples``.

        Parameters
        ----------
        weights : ndarray
            Normalized weights, shape (N,), float64.
        num_samples : int
            How many draws.
        """
        blocks = _blocks(num_samples)
        bars = self._bars_of(len(blocks))
        active = np.flatnonzero(weights >= bars.lowest)
        heavy, near = weights[active], bars.each.take(active, axis=0)
        winner = np.full(blocks[-1].start + blocks[-1].size, -1, np.int64)
        factor = 1.0
        while blocks:
            reached = heavy * factor
            within = [np.flatnonzero(near[:, block.number] <= reached) for block in blocks]
            which = np.concatenate(within)
            # A lane is a particle in a block. It runs up to the block's reach, in the particle's own time.
            own = np.repeat(np.arange(len(blocks)), [len(part) for part in within])
            particles = active[which]
            times, registers, lanes = self._arrivals(particles, heavy[which], own, blocks, factor)
            earliest = np.full(len(winner), np.inf)
            np.minimum.at(earliest, registers, times)
            first = np.flatnonzero(times == earliest[registers])
            winner[registers[first]] = particles[lanes[first]]
            wanted = winner[:num_samples]
            blocks = [b for b in blocks if wanted[b.start : b.start + b.size].min() < 0]
            if blocks:  # now all particles may be near enough
                factor *= 2
                active, heavy, near = np.arange(len(weights)), weights, bars.each
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
        self, particles: Ints, weights: Floats, own: Ints, blocks: list[_Block], factor: float
    ) -> tuple[Floats, Ints, Ints]:
        """All arrivals up to a multiple of each block's reach: time, register and lane.

        ``particles``, ``weights`` and ``own``, the place of its block, are those of each lane.
        """
        roots = self._roots[[block.number for block in blocks]]
        starts = np.array([block.start for block in blocks])
        sizes = np.array([block.size for block in blocks], np.uint64)
        reaches = np.array([block.reach * factor for block in blocks])
        keys = _mix(roots[own] + particles.astype(np.uint64) * _STEP)
        until = reaches[own] * weights
        which = np.arange(len(keys))
        found: list[tuple[Floats, Ints, Ints]] = []
        time: Floats | float = 0.0
        count = 0
        while keys.size:
            rows = _at_once(len(keys), float((until - time).max()))
            words = _mix(keys + np.arange(count, count + rows, dtype=np.uint64)[:, None] * _STEP)
            times = _exponential(words)
            # Summed one after the other, so that it does not matter how many are taken in one go.
            times[0] += time
            for i in range(1, rows):  # a tenth of the time of accumulate for few rows
                times[i] += times[i - 1]
            inside = times <= until
            # At first all are, as their bars say: then nothing is copied.
            hits: Any = slice(None) if rows == 1 and inside.all() else np.flatnonzero(inside)
            lane = which[hits if rows == 1 else hits % len(keys)]
            label = _mix(words.ravel()[hits] + _STEP) >> np.uint64(32)
            block = own[lane]
            register = starts[block] + (label * sizes[block] >> np.uint64(32)).astype(np.int64)
            found.append((times.ravel()[hits] / weights[lane], register, lane))
            more = hits if rows == 1 else np.flatnonzero(times[-1] <= until)
            time = times[-1, more]
            which, keys, until = which[more], keys[more], until[more]
            count += rows
        return tuple(np.concatenate(part) for part in zip(*found, strict=True))  # type: ignore[return-value]
