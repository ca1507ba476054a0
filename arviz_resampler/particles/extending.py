"""A simulator, run on particles that are there already.

Knows programs and records; nothing of where the particles come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from arviz_resampler.mapping.streams import Streams, generators_kept
from arviz_resampler.particles.checks import Batch, Piece, Run, mark_failed, warn_failed
from arviz_resampler.particles.gathering import Gathered, warn_bad, with_roles
from arviz_resampler.particles.looking import block_of
from arviz_resampler.programs.columns import CachedSite, Columns, select, to_column
from arviz_resampler.programs.program import Program, plain_tensors, untouched_params
from arviz_resampler.programs.runner import Runner
from arviz_resampler.programs.runs import SiteRun
from arviz_resampler.progress import shown

_MOST = 1 << 14  # particles at a time


class Simulated(NamedTuple):
    """What a simulator adds to particles.

    Attributes
    ----------
    columns : dict of str to CachedSite
        Its own sites.
    data : mapping of str to Tensor
        Data of ``obs=``, in the shape of one particle.
    failed : Tensor or None
        Which particles could not be simulated, shape (N,).
    failures : mapping of int to str
        What they raised, by their numbers.
    """

    columns: dict[str, CachedSite]
    data: Mapping[str, Tensor]
    failed: Tensor | None
    failures: Mapping[int, str]


@plain_tensors()
def extend(
    simulator: Program, columns: Columns, num_particles: int, *, seed: int, **options: Any
) -> Simulated:
    """Run a simulator on particles.

    Parameters
    ----------
    simulator : Program
        What adds sites to theirs.
    columns : mapping of str to CachedSite
        Their latents.
    num_particles : int
        N.
    seed : int
        Of what it draws.
    **options
        How programs are run: ``vectorize``, ``on_error`` and ``progressbar``.
    """
    runner, n = Runner(simulator, num_particles, frozenset(), **options), num_particles
    gathered = Gathered(n, 0)
    with untouched_params() as made, generators_kept():
        runner.look(seed, select(columns, slice(0, 1)), 0)
        params = made()
        simulator.params = params.values
    starts = range(0, n, _MOST)
    for start in shown(starts, "Simulating", total=len(starts), quiet=not options["progressbar"]):
        rows = slice(start, min(start + _MOST, n))
        with untouched_params(params), generators_kept():
            drawn = runner.draw(
                rows.stop - start, Streams(seed, start, block_of(None)), select(columns, rows)
            )
        run = _own(drawn.found, columns, rows.stop - start)
        piece = Piece(0, range(start, rows.stop), (False, drawn.singly))
        gathered.add(Batch.of(run, drawn.failed, piece))
    warn_bad(gathered.bad, n)
    found = with_roles(gathered.columns, gathered.observed, frozenset(), simulator=True)
    failed = mark_failed(found, gathered.failed, n)
    warn_failed(gathered.failed, n)
    return Simulated(found, gathered.data, failed, gathered.failed)


def _own(found: Mapping[str, SiteRun], columns: Columns, n: int) -> Run:
    """What a run has beside the particles that it was given."""
    own = {
        name: to_column(site, n)
        for name, site in found.items()
        if site.kind != "factor" and not (site.replayed and name in columns)
    }
    return Run({}, {name: site for name, site in found.items() if name in own}, own)
