"""Random streams: one for each block of particles at each site, and one for each particle by itself.

Draws then depend on the seed, the site and the number of the particle, neither on how many particles
there are nor on what else is drawn. Knows torch's, NumPy's and Python's generators; nothing of programs.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BLOCK = 4096  # particles that share a stream; fewer where a draw is wide
_WIDEST = 1 << 18  # numbers that a block may hold
_WORDS = 624  # of the state of a Mersenne Twister
_32 = 0xFFFFFFFF
_CUDA = torch.cuda.is_available()


@contextmanager
def generators_kept() -> Iterator[None]:
    """Put torch's, NumPy's and Python's generators back afterwards."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    cuda = torch.cuda.get_rng_state_all() if _CUDA else []
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


def has_drawn(before: Tensor) -> bool:
    """Whether torch's generator has given numbers since a state, and not only got a seed; put it back."""
    after = torch.get_rng_state()
    if after.numpy().tobytes() == before.numpy().tobytes():  # half the time of torch.equal
        return False
    seeded = torch.Generator().manual_seed(torch.initial_seed()).get_state()
    torch.set_rng_state(before)
    return not torch.equal(after, seeded)


@functools.cache
def _layout() -> np.ndarray | None:
    """A state of torch's CPU generator to be filled with words; None where its layout is another one.

    The layout is private: it is compared with what a seed is known to give.
    """
    generator = torch.Generator()
    state = generator.manual_seed(5489).get_state().numpy().copy()
    words = np.zeros(_WORDS, np.uint64)
    words[0] = 5489
    for i in range(1, _WORDS):  # the initialization of MT19937 (Matsumoto & Nishimura 1998)
        words[i] = (1812433253 * (int(words[i - 1]) ^ (int(words[i - 1]) >> 30)) + i) & _32
    found = state[24 : 24 + 8 * _WORDS].view(np.uint64) if len(state) >= 24 + 8 * _WORDS else words[:0]
    return state if np.array_equal(found, words) else None


def seed_stream(key: str, device: torch.device) -> None:
    """Set the generator of a device to the stream of a key."""
    state = _layout()
    if device.type != "cpu" or state is None:
        torch.manual_seed(int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little"))
        return
    state = state.copy()
    words = hashlib.shake_128(key.encode()).digest(4 * _WORDS)
    state[24 : 24 + 8 * _WORDS].view(np.uint64)[:] = np.frombuffer(words, np.uint32)
    torch.set_rng_state(torch.from_numpy(state))


@dataclass(frozen=True)
class Streams:
    """The random streams of a batch of particles.

    Attributes
    ----------
    seed : int
        Of all particles.
    first : int
        Number of the first particle of the batch.
    block : int
        How many particles share a stream at most.
    """

    seed: int
    first: int = 0
    block: int = BLOCK

    def draw(  # noqa: PLR0917 - for the modes alone, which have all six
        self,
        name: str,
        num_particles: int,
        rows: Sequence[Tensor],
        width: int,
        device: torch.device,
        sampler: Callable[[int, list[Tensor]], Tensor],
    ) -> Tensor:
        """Draws of all particles of the batch, a block at a time.

        Parameters
        ----------
        name : str
            Of what is drawn: it has streams of its own.
        num_particles : int
            How many the batch has.
        rows : sequence of Tensor
            What the draws depend on, particles in front.
        width : int
            How many numbers a particle has.
        device : torch.device
            Where the draws are made.
        sampler : callable
            Draws for a number of particles, from the rows of these particles.

        Returns
        -------
        Tensor
            Shape ``(num_particles, ...)``.

        Notes
        -----
        The last block is drawn whole and cut, its missing rows repeat the last one: a draw does not
        depend on how many come after it.
        """
        length = self.block
        while length > 1 and length * width > _WIDEST:
            length //= 2
        before = torch.get_rng_state()
        try:
            for start in range(0, num_particles, length):
                seed_stream(f"{self.seed}/{name}/{self.first + start}", device)
                part = sampler(length, [_whole(r, start, length) for r in rows])[: num_particles - start]
                if start == 0:
                    out = (
                        part
                        if len(part) == num_particles
                        else part.new_empty((num_particles, *part.shape[1:]))
                    )
                if out is not part:  # a block at a time, while it is in a processor's cache
                    out[start : start + len(part)] = part
        finally:  # what else draws random numbers shows in the state
            torch.set_rng_state(before)
        return out


def _whole(rows: Tensor, start: int, length: int) -> Tensor:
    """As many rows as a block has."""
    part = rows[start : start + length]
    missing = length - len(part)
    return torch.cat([part, part[-1:].expand(missing, *part.shape[1:])]) if missing else part


def permuted(number: int, key: int) -> int:
    """The place of a number of 32 bits in a permutation that depends on a key of 64.

    Torch seeds its generator with 32 bits: seeds of different particles never meet.
    """
    x = (number + key) & _32
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & _32
    x ^= (key >> 32) & _32
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & _32
    return x ^ (x >> 16)


@functools.lru_cache(maxsize=64)
def _key(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "little")


def seed_torch(seed: int, name: str, particle: int) -> int:
    """Set torch's generators to the stream of one particle; return the seed that they got."""
    number = permuted(particle, _key(seed, name))
    torch.default_generator.manual_seed(number)
    if _CUDA:
        torch.cuda.manual_seed_all(number)
    return number


def seed_particle(seed: int, name: str, particle: int) -> int:
    """Set torch's, NumPy's and Python's generators to the stream of one particle; return the seed."""
    number = seed_torch(seed, name, particle)
    np.random.seed(number)
    random.seed(number)
    return number
