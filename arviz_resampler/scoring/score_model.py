"""From a model to its weights: scores the particles, one chunk after the other.

A chunk is short enough for what is computed on the way to stay in the cache of the processor, so memory
holds log densities by site and their sum. Knows programs and particles; nothing of draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arviz_resampler.particles.particles import Particles, chunks
from arviz_resampler.programs.alike import Found, numbered
from arviz_resampler.programs.columns import CachedSite, select, to_column
from arviz_resampler.programs.model_runner import look, run_model
from arviz_resampler.programs.program import Program, plain_tensors, untouched_params
from arviz_resampler.programs.runs import Invalid, ScoredRun
from arviz_resampler.scoring.log_ratios import (
    SiteLogRatios,
    add_up,
    check_joint,
    check_mentioned,
    offset,
    resolve_nonfinite,
    unchanged_targets,
)
from arviz_resampler.scoring.scored import ScoredModel
from arviz_resampler.scoring.scratch import ScratchBuffers
from arviz_resampler.scoring.seen import SeenModels
from arviz_resampler.weights.chains import Chains
from arviz_resampler.weights.weights import Weights

_LONG = 1 << 15  # numbers that are worth a call of NumPy


@plain_tensors()
@untouched_params()
def score_model(
    particles: Particles,
    model: Any,
    *,
    partial: bool,
    vectorize: bool | str,
    progressbar: bool,
    scratch: ScratchBuffers,
    seen: SeenModels,
    chains: Chains | None = None,
) -> ScoredModel:
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
    scratch : ScratchBuffers
        Where the memory comes from.
    seen : SeenModels
        Models that were scored on these particles before.
    chains : Chains, optional
        Where the particles are draws of a posterior.
    """
    program, n = Program(model, "model", particles.params), particles.num_particles
    new = seen.is_new(model)
    with seen.generators_kept(model, new=new, singly=vectorize is False):
        if new and vectorize is not False:
            look(program, particles.columns)
        # Data that belong to a block of the guide have a density in it, so a model goes on to them.
        drawn = {name for sites in particles.joint for name in sites}
        early = seen.early_end(program, particles.columns) if vectorize is not False and not drawn else None
        sums: _Sums | None = None
        for rows in chunks(particles.widths, n, particles.device):
            length = rows.stop - rows.start
            run = run_model(
                program,
                particles.columns if length == n else select(particles.columns, rows),
                length,
                vectorize,
                early=early,
                drawn=drawn,
                check=new and sums is None,
                lost=None if particles.failed is None else particles.failed[rows],
                progressbar=progressbar,
                first=rows.start,
            )
            if sums is None:
                sums = _Sums(particles, run, single=length == n, partial=partial, scratch=scratch)
            sums.add(run, rows)
    assert sums is not None
    if run.early and not drawn:
        seen.expect_data(model)
    seen.warn_once(model, sums.singly)
    return sums.scored_model(run, chains)


class _Sums:
    """Log densities of a model by site, and log ratios in sum, of the chunks that have been scored.

    Parameters
    ----------
    particles : Particles
        The cache.
    run : ScoredRun
        The first chunk: the others have the same sites.
    single : bool
        Whether it is the only one.
    partial, scratch
        As for :func:`score_model`.
    """

    def __init__(
        self, particles: Particles, run: ScoredRun, *, single: bool, partial: bool, scratch: ScratchBuffers
    ) -> None:
        if not partial:
            check_mentioned(particles, run.log_p.keys() | set(run.observed))
        check_joint(particles, run.log_p)
        self._particles, self._single = particles, single
        self._found: tuple[Found, slice] | None = None  # the sites of the first chunk
        self._unchanged = unchanged = unchanged_targets(particles, run.log_p.keys())
        sites = frozenset(run.log_p)
        self._offset = scratch.offset(sites, lambda: offset(particles, sites, unchanged))
        n = particles.num_particles
        self._room: Tensor | None = None
        if single:  # its densities stay where they were computed
            self._log_p: dict[str, Tensor] = {}
            self._total = torch.empty(n, dtype=torch.float64, device=self._offset.device)
        else:
            dtypes = [values.dtype for values in run.log_p.values()]
            wanted = [torch.float64, torch.float64, *dtypes]
            room, whole, *arrays = scratch.take(n, wanted, self._offset.device)
            self._room, self._total = room, whole
            self._log_p = dict(zip(run.log_p, arrays, strict=True))
        self._tops: list[Tensor] = []
        self._computed: dict[str, list[CachedSite]] = {}
        self._notes: dict[str, Invalid] = {}
        self._unnormalized: set[str] = set()
        self.singly = ""  # what is to be said of chunks that ran one particle at a time

    def add(self, run: ScoredRun, rows: slice) -> None:
        """Take what a chunk has come to.

        Raises
        ------
        ProgramError
            If it has other sites than the first.
        """
        found = Found.of(run)
        like, others = self._found = self._found or (found, rows)
        found.check(like, (numbered(rows), numbered(others)))
        total, offset = self._total, self._offset
        log_p = {name: values.to(offset.device) for name, values in run.log_p.items()}
        if self._single:
            self._log_p = {name: values.contiguous() for name, values in log_p.items()}
        else:
            total, offset = total[rows], offset[rows]
            for name, values in log_p.items():
                self._log_p[name][rows] = values
        _write_sum([*log_p.values(), offset], total)
        # Minus infinity is a particle without weight; where it meets another infinity there is a NaN.
        self._tops.append(total.max())
        for name, site in run.deterministic.items():
            cached = self._particles.columns.get(name)
            if cached is None or cached.reason == "deterministic":
                self._computed.setdefault(name, []).append(to_column(site, rows.stop - rows.start))
        for name, note in run.notes.items():
            self._notes[name] = note.plus(self._notes.get(name))
        self._unnormalized |= run.unnormalized
        self.singly = self.singly or run.singly

    def scored_model(self, run: ScoredRun, chains: Chains | None) -> ScoredModel:
        """The whole; ``run`` is that of any chunk."""
        particles, n = self._particles, self._particles.num_particles
        known = {**self._unchanged, **self._log_p}
        targets = {name: known[name] for name in (*particles.columns, *self._log_p) if name in known}
        finite = particles.nonfinite_sites.isdisjoint(self._log_p)
        top = torch.stack(self._tops).max() if len(self._tops) > 1 else self._tops[0]
        if not (finite and float(top) < math.inf):
            notes = {name: note.describe(n) for name, note in self._notes.items()}
            targets = resolve_nonfinite(particles, targets, notes)
            top = add_up(particles, targets, self._total).max()
        ratios = SiteLogRatios(particles, targets)
        weights = Weights.from_sum(
            ratios,
            self._total,
            top,
            unnormalized=ratios.labels_of(self._unnormalized),
            failed=None if particles.failed is None else particles.failed.numpy(),
            densities_normalized=particles.normalized,
            chains=chains,
            out=self._room,
            ids=range(n) if particles.ids is None else particles.ids,
        )
        scored = {name: targets[name] for name in self._log_p}
        return ScoredModel(weights, scored, tuple(run.observed), particles, self._computed)


def _write_sum(parts: Sequence[Tensor], out: Tensor) -> None:
    """Write the sum of some arrays to ``out``, in float64."""
    out.copy_(parts[0])
    if out.numel() < _LONG or not out.is_cpu:
        for part in parts[1:]:
            out += part
        return
    # NumPy widens some thousand numbers at a time; torch writes all of them to memory first.
    total = out.numpy()
    with np.errstate(invalid="ignore"):
        for part in parts[1:]:
            np.add(total, (part.float() if part.dtype == torch.bfloat16 else part).numpy(), out=total)
