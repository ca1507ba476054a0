"""From a model to its weights: scores the particles, one stretch after the other.

A stretch is short enough for what is computed on the way to stay in the cache of the processor, so
memory holds log densities by site and their sum. Knows programs and particles; nothing of draws.
"""

from __future__ import annotations

import functools
import itertools
import math
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arviz_resampler.errors import ProgramWarning, warn
from arviz_resampler.particles.particles import Particles
from arviz_resampler.programs.program import Program, plain_tensors, untouched_params
from arviz_resampler.programs.runs import Column, Invalid, to_column
from arviz_resampler.programs.runs import rows as rows_of
from arviz_resampler.programs.ways import Early, early_end, look
from arviz_resampler.programs.ways import score as run_score
from arviz_resampler.weights.weights import Weights

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

# Running a program costs as much as its arithmetic on thousands of particles, so a stretch is long. Its
# widest array stays in the cache of a processor; what is computed at all sites together, 40 MB, is less
# than glibc keeps of what is given back.
_LONGEST, _WIDEST, _TOGETHER = 1 << 20, 1 << 21, 5 << 21
_KEPT = 30 << 20  # bytes
_LINE = 64  # bytes that the processor takes at a time
_NOTHING = torch.empty(0)


@dataclass(frozen=True)
class Weighed:
    """A model at the cached particles.

    Attributes
    ----------
    weights : Weights
        What becomes of its log ratios.
    scored : mapping of str to Tensor
        Log density of the model at the sites that it mentions, shape (N,), in the precision it was
        computed in.
    observed : tuple of str
        Sites of the model that carry ``obs=``, left out of the weights.
    """

    weights: Weights
    scored: Mapping[str, Tensor]
    observed: tuple[str, ...]
    _particles: Particles
    _own: Mapping[str, list[Column]]

    @functools.cached_property
    def own(self) -> dict[str, Column]:
        """The deterministic sites that the model computes itself."""
        return {
            name: replace(parts[0], value=torch.cat([part.value for part in parts]))
            for name, parts in self._own.items()
        }

    @property
    def columns(self) -> dict[str, Column]:
        """What is drawn from: the cache, with the deterministic sites as the model has them."""
        cached = self._particles.columns.items()
        return {**{n: c for n, c in cached if c.site.role != "auxiliary"}, **self.own}

    @property
    def latents(self) -> list[str]:
        """Latent sites that the model has a prior of."""
        columns = self._particles.columns
        return [name for name in self.scored if name in columns and columns[name].site.role == "latent"]

    def log_p(self, name: str, rows: Any = slice(None)) -> Tensor:
        """Log density of the model at one site that it mentions, for some particles, in float64.

        NaN where the site has no density of its own that could be compared with.
        """
        log_p, column = self.scored[name][rows].double(), self._particles.columns.get(name)
        if column is None or column.log_q is None or column.finite:
            return log_p
        return log_p.masked_fill(~torch.isfinite(column.log_q[rows]), torch.nan)

    def log_density(self, index: Tensor) -> Tensor:
        """Log density of the model over all sites that it mentions, of some particles, on the CPU."""
        each = [self.log_p(name, index.to(values.device)).cpu() for name, values in self.scored.items()]
        return torch.stack(each).sum(0) if each else torch.zeros(len(index), dtype=torch.float64)


class Spare:
    """What one call leaves for the next: memory, and the part of log ratios that no model changes.

    The system hands out fresh memory page by page, which takes longer than the arithmetic. So the
    memory of the last log densities is used again once nobody looks at it any more.
    """

    def __init__(self) -> None:
        self._blocks: list[Bytes] = []  # one, or none while it is taken, so that no two threads get it
        self._offset: tuple[frozenset[str], Tensor] | None = None
        self.said: set[Any] = set()  # code of models that were said to run one particle at a time
        self._seen: set[Any] = set()  # code of all models
        self._long: set[Any] = set()  # code of models that go on after the last site that counts
        # The allocator of glibc gives memory back to the system after each stretch, until it has seen a
        # large array go. This one is never touched, so it takes no memory.
        np.empty(_KEPT, np.uint8)

    def early(self, program: Program, particles: Particles) -> Early | None:
        """Where a model may end early: after the last site that counts, if others come after it.

        That other models of the same code had such sites only says that it is worth looking.
        """
        code = _code(program.fn)
        if code not in self._long:
            return None
        early = early_end(program, particles.columns)
        if early is None:
            self._long.discard(code)
        return early

    def is_new(self, model: Any) -> bool:
        """Whether a model of this code is weighed for the first time."""
        # A module may make its parts at first use, each of its class by itself.
        new = isinstance(model, torch.nn.Module) or _code(model) not in self._seen
        self._seen.add(_code(model))
        return new

    def expect(self, program: Any) -> None:
        """Look at models of this code, which may go on after the last site that counts."""
        self._long.add(_code(program))

    def offset(self, particles: Particles, names: Collection[str], elsewhere: Mapping[str, Tensor]) -> Tensor:
        """The offset of models that score the named sites, as :meth:`Particles.offset` has it."""
        key, last = frozenset(names), self._offset
        if last is None or last[0] != key:
            last = self._offset = key, particles.offset(key, elsewhere)
        return last[1]

    def take(self, length: int, dtypes: Sequence[torch.dtype]) -> list[Tensor]:
        """Arrays of one length, their contents left as they are."""
        strides = [-(-length * dtype.itemsize // _LINE) * _LINE for dtype in dtypes]
        try:
            block, holders = _pop(self._blocks)
        except IndexError:
            block, holders = np.empty(0, np.uint8), 0
        if len(block) != sum(strides) or holders > _FREE:
            # NumPy asks for large pages where there are any; torch does not.
            block = np.empty(sum(strides), np.uint8)
        self._blocks = [block]
        starts = itertools.accumulate(strides, initial=0)
        return [
            torch.frombuffer(block, dtype=dtype, count=length, offset=start)
            for start, dtype in zip(starts, dtypes, strict=False)
        ]

    def __getstate__(self) -> dict[str, Any]:
        return {"_blocks": [], "_offset": None, "_long": set(), "_seen": set(), "said": set()}


def _code(fn: Any) -> Any:
    """What calls of one function share, as those that a slider makes."""
    fn = getattr(fn, "func", fn)
    return getattr(fn, "__code__", type(fn))


def _pop(arrays: list[Bytes]) -> tuple[Bytes, int]:
    """The last array, and how many hold it: every view of it is one more."""
    array = arrays.pop()
    return array, sys.getrefcount(array)


_FREE = _pop([np.empty(0, np.uint8)])[1]  # counted where it is compared: versions of Python differ


@plain_tensors()
@untouched_params()
def weigh(
    particles: Particles,
    model: Any,
    *,
    partial: bool,
    vectorize: bool | str,
    progressbar: bool,
    spare: Spare,
) -> Weighed:
    """Score the particles under a model.

    Parameters
    ----------
    particles : Particles
        The cache.
    model : callable
        Program without arguments.
    partial : bool
        Whether the model may leave out latents of the guide.
    vectorize : bool or "auto"
        Whether to map the model over particles: True refuses what cannot be mapped, False never maps.
    progressbar : bool
        Whether to show progress of a model that runs one particle at a time.
    spare : Spare
        Where the memory comes from.
    """
    program = Program(model, "model", particles.params)
    n = particles.num_particles
    elsewhere: Mapping[str, Tensor] = {}
    log_p: dict[str, Tensor] = {}
    room = total = offset = _NOTHING
    first = True
    tops: list[float] = []
    own: dict[str, list[Column]] = {}
    notes: dict[str, Invalid] = {}
    new = spare.is_new(model)
    if new and vectorize is not False:
        look(program, particles.columns)
    early = spare.early(program, particles) if vectorize is not False else None
    for rows in _stretches(particles):
        length = rows.stop - rows.start
        lost = None if particles.failed is None else particles.failed[rows]
        score = run_score(
            program,
            particles.columns if length == n else rows_of(particles.columns, rows),
            length,
            vectorize,
            early=early,
            check=first and new,
            lost=lost,
            progressbar=progressbar,
        )
        if first:
            elsewhere = particles.elsewhere(score, partial=partial)
            offset = spare.offset(particles, score.log_p.keys(), elsewhere)
            dtypes = [values.dtype for values in score.log_p.values()]
            room, *arrays = spare.take(n, [torch.float64, torch.float64, *dtypes])
            total, *arrays = (array.to(offset.device) for array in arrays)
            log_p = dict(zip(score.log_p, arrays, strict=True))
        here = total[rows].zero_() if not log_p else total[rows]
        for i, (name, values) in enumerate(score.log_p.items()):
            log_p[name][rows] = values
            here = here.copy_(values) if i == 0 else here.add_(values)
        here += offset[rows]
        # Minus infinity is a particle without weight; where it meets another infinity there is a NaN.
        tops.append(float(here.max()))
        for name, found in score.deterministic.items():
            cached = particles.columns.get(name)
            if cached is None or cached.reason == "deterministic":
                own.setdefault(name, []).append(to_column(found, length))
        for name, note in score.notes.items():
            notes[name] = note.plus(notes.get(name))
        first = False
    if score.early:
        spare.expect(model)
    if score.singly and _code(model) not in spare.said:
        spare.said.add(_code(model))
        warn(score.singly, ProgramWarning)
    known = {**elsewhere, **log_p}
    targets = {name: known[name] for name in (*particles.columns, *log_p) if name in known}
    if not (particles.comparable(log_p) and all(top < math.inf for top in tops)):
        targets = particles.settled(targets, {name: note.describe(n) for name, note in notes.items()})
        tops = [float(particles.add_up(targets, total).max())]
    return Weighed(
        Weights.from_sum(
            _BySite(particles, targets),
            total.cpu().numpy(),
            max(tops),
            densities_normalized=score.densities_normalized,
            failed=None if particles.failed is None else particles.failed.numpy(),
            out=room.numpy(),
        ),
        {name: targets[name] for name in log_p},
        tuple(score.observed),
        particles,
        own,
    )


class _BySite(Mapping[str, Floats]):
    """Log ratios by site, on the CPU, each made when it is first asked for: draws need their sum alone."""

    def __init__(self, particles: Particles, targets: Mapping[str, Tensor]) -> None:
        self._particles, self._targets = particles, targets
        self._made: dict[str, Floats] = {}

    @functools.cached_property
    def _labels(self) -> Mapping[str, list[str]]:
        return self._particles.labels(self._targets)

    def __getitem__(self, label: str) -> Floats:
        if label not in self._made:
            parts = {name: self._targets[name] for name in self._labels[label]}
            device = next(iter(parts.values())).device
            room = torch.empty(self._particles.num_particles, dtype=torch.float64, device=device)
            self._made[label] = self._particles.add_up(parts, room).cpu().numpy()
            self._made[label].flags.writeable = False
        return self._made[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __repr__(self) -> str:
        return repr(dict(self))


def _stretches(particles: Particles) -> Iterator[slice]:
    """Rows to be scored together: as few stretches of about one length as will do."""
    n, widths = particles.num_particles, particles.widths
    length = max(min(_LONGEST, _WIDEST // max(widths), _TOGETHER // sum(widths)), 1)
    count = -(-n // length)
    return (slice(i * n // count, (i + 1) * n // count) for i in range(count))
