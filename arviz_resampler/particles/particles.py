"""The cached particles.

Knows records; nothing of programs, draws or containers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arviz_resampler.devices import PicklesFromDevices
from arviz_resampler.programs.columns import CachedSite, Columns
from arviz_resampler.sites import Sites

# Running a program costs as much as its arithmetic on thousands of particles, so a chunk is long. Its
# widest array stays in the cache of a processor; what is computed at all sites together, 40 MB, is less
# than glibc keeps of what is given back.
_MAX_PARTICLES, _MAX_ELEMENTS_PER_SITE, _MAX_ELEMENTS_ALL_SITES = 1 << 20, 1 << 21, 5 << 21
_HOST = torch.device("cpu")
# An accelerator has no such cache: a chunk has its memory for limit.
_TIMES_ON_DEVICE = 128


class Ran(NamedTuple):
    """Who drew the particles from some number on."""

    start: int
    guide: tuple[range, ...]  # the particles that its guide drew from streams of their own
    simulator: tuple[range, ...]  # the same of the simulator
    params: Mapping[str, Tensor]  # that the guide has made, for programs that start them at random

    @classmethod
    def of(
        cls, start: int, batches: Sequence[tuple[range, tuple[bool, bool]]], params: Mapping[str, Tensor]
    ) -> Ran:
        """From what was done in each batch, in their order."""
        guide, simulator = (_united(rows for rows, singly in batches if singly[i]) for i in (0, 1))
        return cls(start, guide, simulator, params)

    def followed_by(self, other: Ran) -> Ran:
        """The same for the particles that come after these, some of which may be the last of these again."""
        guide, simulator = (
            _united(sorted({*mine, *theirs}, key=lambda rows: rows.start))
            for mine, theirs in ((self.guide, other.guide), (self.simulator, other.simulator))
        )
        return self._replace(guide=guide, simulator=simulator)


def _united(ranges: Iterable[range]) -> tuple[range, ...]:
    """Ranges in order, those that follow each other as one."""
    found: list[range] = []
    for rows in ranges:
        if found and found[-1].stop == rows.start:
            found[-1] = range(found[-1].start, rows.stop)
        else:
            found.append(rows)
    return tuple(found)


@dataclass(frozen=True)
class Particles(PicklesFromDevices):
    """N joint draws from a guide, extended by a simulator.

    Attributes
    ----------
    columns : mapping of str to CachedSite
        By site, in the order of the programs: the values, shape ``(N, *plates, *event)``, and the
        log density they were drawn with.
    data : mapping of str to Tensor
        The data of ``obs=``, in the shape of one particle.
    num_particles : int
        N.
    failed : Tensor or None
        Which particles could not be simulated, shape (N,); None where all could.
    ran : tuple of Ran
        Who drew which particles, and how.
    joint : tuple of tuple of str
        Sites of the guide whose density is known together; the first of each has it, the others have none.
    params : mapping of str to Tensor
        Parameters that guide and simulator made, for programs that start them at random.
    failures : mapping of int to str
        What particles raised, by their numbers.
    normalized : bool
        Whether the densities that particles were drawn with are normalized.
    num_chains : int or None
        Of how many chains of a posterior the particles are, one after the other; None where they are none.
    ids : ndarray or None
        What particles are called, shape (N,), where they are not counted alone.
    log_likelihood : Tensor or None
        Of the data, for draws of a posterior, shape (N,), where it is known.
    """

    columns: Mapping[str, CachedSite]
    data: Mapping[str, Tensor]
    num_particles: int
    failed: Tensor | None = None
    ran: tuple[Ran, ...] = ()
    joint: tuple[tuple[str, ...], ...] = ()
    params: Mapping[str, Tensor] = field(default_factory=dict)
    failures: Mapping[int, str] = field(default_factory=dict)
    normalized: bool = True
    num_chains: int | None = None
    ids: NDArray[Any] | None = None
    log_likelihood: Tensor | None = None

    @property
    def sites(self) -> Sites:
        """The sites that may be exported, by name."""
        return Sites(
            {n: column.site for n, column in self.columns.items() if column.site.role != "auxiliary"}
        )

    @cached_property
    def guide_latents(self) -> frozenset[str]:
        """Latent sites that the guide draws."""
        return frozenset(
            name
            for name, column in self.columns.items()
            if column.from_guide and column.site.role == "latent" and column.reason != "deterministic"
        )

    def new_ids(self, count: int) -> NDArray[Any]:
        """What particles are called that come after these."""
        if self.ids is None:
            return np.arange(self.num_particles, self.num_particles + count)
        if self.ids.dtype.kind in "iu":
            first = int(self.ids.max()) + 1
            return np.arange(first, first + count)
        return np.array([f"added {self.num_particles + i}" for i in range(count)])

    @cached_property
    def nonfinite_sites(self) -> frozenset[str]:
        """Sites at which some particle has no finite density of its own."""
        return frozenset(name for name, column in self.columns.items() if not column.finite)

    @property
    def device(self) -> torch.device:
        """Where log densities meet: the device of the first site."""
        return next(iter(self.columns.values())).value.device

    @cached_property
    def widths(self) -> list[int]:
        """Number of elements that a particle has at each site of the guide."""
        return widths(self.columns)


def widths(columns: Columns) -> list[int]:
    """Number of elements that a particle has at each site of the guide."""
    return [max(1, math.prod(c.site.shape)) for c in columns.values() if c.from_guide]


def chunks(widths: list[int], n: int, device: torch.device = _HOST) -> Iterator[slice]:
    """Rows to be scored together: as few chunks of about one length as will do."""
    times = 1 if device.type == "cpu" else _TIMES_ON_DEVICE
    length = min(
        times * _MAX_PARTICLES,
        times * _MAX_ELEMENTS_PER_SITE // max(widths),
        times * _MAX_ELEMENTS_ALL_SITES // sum(widths),
    )
    count = -(-n // max(length, 1))
    return (slice(i * n // count, (i + 1) * n // count) for i in range(count))
