"""What a program draws: its sites, from a run of one particle.

Knows programs and records; nothing of batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from arviz_resampler.mapping.streams import generators_kept
from arviz_resampler.programs.columns import CachedSite, to_column
from arviz_resampler.programs.program import Program, plain_tensors, untouched_params
from arviz_resampler.programs.runner import Runner
from arviz_resampler.programs.runs import merge_masked


class Structure(NamedTuple):
    """Sites of a program.

    Attributes
    ----------
    columns : mapping of str to CachedSite
        Each site of one particle, by name, in the order of the program; no factors.
    observed : frozenset of str
        Those that carry ``obs=``.
    data : mapping of str to Tensor
        Their data, in the shape of one particle.
    factors : frozenset of str
        Sites of ``pyro.factor``.
    """

    columns: Mapping[str, CachedSite]
    observed: frozenset[str]
    data: Mapping[str, Tensor]
    factors: frozenset[str]


@plain_tensors()
@untouched_params()
def structure_of(program: Program) -> Structure:
    """Run one particle of a program, and say what its sites are.

    Raises
    ------
    ProgramError
        If it cannot be run.
    """
    runner = Runner(program, 1, frozenset(), vectorize="auto", on_error="raise", progressbar=False)
    with generators_kept():
        found = merge_masked(runner.first(0, {}))
    sites = {name: site for name, site in found.items() if site.kind != "factor"}
    columns = {name: to_column(site, 1) for name, site in sites.items()}
    return Structure(
        columns,
        frozenset(name for name, site in sites.items() if site.kind == "observed"),
        {n: s.data.reshape(columns[n].site.shape) for n, s in sites.items() if s.data is not None},
        frozenset(found.keys() - sites.keys()),
    )
