"""The exponential race: draws that two weightings share wherever they can.

Each particle owns one Poisson process of arrivals at unit rate, and each arrival picks a draw (a
*register*) at random. Under weights W the times of particle i are divided by W_i, and a register
goes to its earliest arrival. A register then holds particle i with probability W_i, independently
of the other registers, and nothing in the race but the division knows the weights: two weightings
give most registers to the same particle.

Arrivals come from a hash of (seed, block, particle, count), so all that is kept is the weight from
which a particle is in the race at all. These weights stand on the device of the others, and only particles
that may win come to the host. Knows weights as an array; nothing of particles or programs.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arviz_resampler.devices import above

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

_FIRST_BLOCK = 64
_SLACK = 4.0
_FEW = 2048
_MANY = 1 << 16  # fit into cache
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


def _arrivals_at_once(left: Floats) -> int:
    """How many arrivals of each entry to look at in one go, by the time that each has left.

    One where there are many entries; else enough for hardly an entry to go on, as calls then cost more
    than the arithmetic. There are as many arrivals as the longest time, with the root of that as standard
    deviation. Where entries differ, most of these would come too late: so no more than there are in all.
    """
    if len(left) >= _FEW:
        return 1
    longest = float(left.max())
    at_most = min(max(4 * _FEW, int(left.sum())), _MANY)
    return min(int(longest + 4 * math.sqrt(longest)) + 3, at_most // len(left))


def _add_up(times: Floats) -> None:
    """Replace times between arrivals, a row after the other, by the times of arrival.

    Summed in order, so that it does not matter how many are taken in one go. Both ways give the same bits.
    """
    if len(times) > times.shape[1]:
        np.add.accumulate(times, axis=0, out=times)
    else:  # a tenth of the time for few rows
        for before, row in itertools.pairwise(times):
            np.add(row, before, out=row)


class _Block(NamedTuple):
    """Registers that run together; there is a new race for each block."""

    number: int
    start: int
    size: int

    @property
    def horizon(self) -> float:
        """Time up to which arrivals are looked at first.

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


class _Thresholds(NamedTuple):
    """Weights from which particles have an arrival before the horizon of a block, or a little less."""

    lowest: Tensor  # of all blocks, shape (N,), float64
    by_block: Tensor  # shape (N, blocks), float32


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
    register
        A draw that is to go to a particle.
    block
        Registers that run together. Each block has its own race. Their sizes are fixed, so that the
        first draws do not depend on how many are asked for.
    entry
        A particle in the race of a block: one Poisson process of arrivals.
    horizon
        Time up to which the arrivals of a block are looked at: late enough for nearly all registers to
        have been arrived at. Where one is left over, the horizon is doubled.
    threshold
        Weight from which the first arrival of an entry comes before the horizon.
    candidate
        A particle whose weight is above its threshold in some block.

    The coupling is that of MinHash for weighted sets. Under weights p and q a register holds the
    same particle with probability ``J(p, q) = sum_j 1 / sum_i max(p_i / p_j, q_i / q_j)``, which is
    at least (1 - TV) / (1 + TV) (Moulton and Jiang, *Maximally Consistent Sampling and the Jaccard
    Index of Probability Distributions*, 2018). Time is O(N + S log S) for S draws, memory O(N).
    """

    def __init__(self, seed: int, num_particles: int) -> None:
        self.seed = seed
        self.num_particles = num_particles
        self._thresholds: dict[tuple[int, torch.device], _Thresholds] = {}
        # What the hash starts from in each block; there are never more blocks than that.
        root = _mix(np.array([seed % 2**64], np.uint64) + _STEP)
        while seed := seed >> 64:
            root = _mix(root ^ (np.uint64(seed % 2**64) + _STEP))
        self._roots = _mix(root ^ _mix(np.arange(32, dtype=np.uint64) + _STEP))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_thresholds": {}}

    def winners(self, weights: Tensor, num_samples: int) -> Ints:
        """Particle of each draw: shape (num_samples,), the same for any larger ``num_samples``.

        Parameters
        ----------
        weights : Tensor
            Normalized weights, shape (N,), float64.
        num_samples : int
            How many draws.
        """
        blocks = _blocks(num_samples)
        thresholds = self._thresholds_of(len(blocks), weights.device)
        winner = np.full(blocks[-1].start + blocks[-1].size, -1, np.int64)
        factor = 1.0
        while blocks:
            candidates, candidate_weights, candidate_thresholds = above(
                weights if factor == 1.0 else weights * factor,
                thresholds.lowest,
                weights,
                thresholds.by_block,
            )
            scaled = candidate_weights * factor
            entries = [np.flatnonzero(candidate_thresholds[:, block.number] <= scaled) for block in blocks]
            entry = np.concatenate(entries)
            block_index = np.repeat(np.arange(len(blocks)), [len(part) for part in entries])
            particles = candidates[entry]
            times, registers, arrived = self._arrivals(
                particles, candidate_weights[entry], block_index, blocks, factor
            )
            earliest = np.full(len(winner), np.inf)
            np.minimum.at(earliest, registers, times)
            first = np.flatnonzero(times == earliest[registers])
            winner[registers[first]] = particles[arrived[first]]
            asked = winner[:num_samples]
            blocks = [b for b in blocks if asked[b.start : b.start + b.size].min() < 0]
            factor *= 2
        return winner[:num_samples]

    def _thresholds_of(self, num_blocks: int, device: torch.device) -> _Thresholds:
        """Weights from which particles have an arrival before the horizon in one of the first blocks."""
        if (num_blocks, device) not in self._thresholds:
            blocks = _blocks(_FIRST_BLOCK * 4 ** (num_blocks - 1))
            lowest = np.empty(self.num_particles)
            by_block = np.empty((self.num_particles, num_blocks), np.float32)
            step = 1 << 16  # keeps the words of the hash in cache
            for start in range(0, self.num_particles, step):
                part = lowest[start : start + step]
                steps = np.arange(start, start + len(part), dtype=np.uint64) * _STEP
                part.fill(np.inf)
                for block in blocks:
                    arrival = _exponential(_mix(_mix(self._roots[block.number] + steps)))
                    threshold = arrival / block.horizon
                    # A little low: arrivals are compared again, after other roundings.
                    np.minimum(part, threshold * (1 - 1e-12), out=part)
                    by_block[start : start + step, block.number] = threshold * (1 - 1e-6)
            kept = _Thresholds(torch.from_numpy(lowest).to(device), torch.from_numpy(by_block).to(device))
            self._thresholds[num_blocks, device] = kept
        return self._thresholds[num_blocks, device]

    def _arrivals(
        self, particles: Ints, weights: Floats, block_index: Ints, blocks: list[_Block], factor: float
    ) -> tuple[Floats, Ints, Ints]:
        """All arrivals up to a multiple of each block's horizon: time, register and entry.

        Parameters
        ----------
        particles, weights, block_index : ndarray
            Of each entry: its particle, the weight of that, and the place of its block in ``blocks``.
        blocks : list of _Block
            The blocks that are run.
        factor : float
            The multiple.
        """
        roots = self._roots[[block.number for block in blocks]]
        starts = np.array([block.start for block in blocks])
        sizes = np.array([block.size for block in blocks], np.uint64)
        horizons = np.array([block.horizon * factor for block in blocks])
        keys = _mix(roots[block_index] + particles.astype(np.uint64) * _STEP)
        # An entry is followed in its own time, of unit rate.
        until = horizons[block_index] * weights
        entries = np.arange(len(keys))
        found: list[tuple[Floats, Ints, Ints]] = []
        time: Floats | float = 0.0
        count = 0
        while keys.size:
            rows = _arrivals_at_once(until - time)
            words = _mix(keys + np.arange(count, count + rows, dtype=np.uint64)[:, None] * _STEP)
            times = _exponential(words)
            times[0] += time
            _add_up(times)
            inside = times <= until
            # At first all are, as their thresholds say: then nothing is copied.
            hits: Any = slice(None) if rows == 1 and inside.all() else np.flatnonzero(inside)
            arrived = entries[hits if rows == 1 else hits % len(keys)]
            label = _mix(words.ravel()[hits] + _STEP) >> np.uint64(32)
            index = block_index[arrived]
            register = starts[index] + (label * sizes[index] >> np.uint64(32)).astype(np.int64)
            found.append((times.ravel()[hits] / weights[arrived], register, arrived))
            more = hits if rows == 1 else np.flatnonzero(times[-1] <= until)
            time = times[-1, more]
            entries, keys, until = entries[more], keys[more], until[more]
            count += rows
        return tuple(np.concatenate(part) for part in zip(*found, strict=True))  # type: ignore[return-value]
