"""Log densities that particles were drawn with: under any program, and those of a mixture.

Knows programs and records; nothing of batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from arviz_resampler.devices import all_finite
from arviz_resampler.errors import ProgramError
from arviz_resampler.particles.guides import Blocks, Evaluate, Sites
from arviz_resampler.particles.particles import chunks, widths
from arviz_resampler.programs.alike import check_sites, numbered
from arviz_resampler.programs.columns import CachedSite, Columns, example, select
from arviz_resampler.programs.model_runner import run_model
from arviz_resampler.programs.program import Program, untouched_params


def evaluator(
    columns: Columns,
    num_particles: int,
    vectorize: bool | str,
    params: Mapping[int, Mapping[str, Tensor]] | None = None,
    lost: Tensor | None = None,
) -> Evaluate:
    """Log density of a program at all particles, by site of the guide.

    ``params`` are the parameters that programs have made, by the identity of each; ``lost`` are particles
    whose run failed, which need have no density.
    """
    drawn = {name: c for name, c in columns.items() if c.reason != "deterministic"}
    from_guide = [name for name, c in drawn.items() if c.from_guide]
    known = [c.log_q for name, c in drawn.items() if c.from_guide and c.log_q is not None and not c.finite]
    # What underflows, or overflows, as it is drawn has no density to be evaluated.
    undefined = torch.stack([~torch.isfinite(log_q) for log_q in known]).any(0) if known else None
    first = next(iter(drawn.values())).value
    rows_of = list(chunks(widths(drawn), num_particles, first.device))

    @untouched_params()
    def evaluate(program: Program) -> dict[str, Tensor]:
        own = Program(program.fn, program.role, (params or {}).get(id(program), program.params))
        whose = program.role if " " in program.role else f"the {program.role}"
        parts: list[dict[str, Tensor]] = []
        for rows in rows_of:
            few, n = select(drawn, rows), rows.stop - rows.start
            parts.append(run_model(own, few, n, vectorize, drawn=from_guide, first=rows.start).log_p)
            check_sites(whose, parts[-1], parts[0], (numbered(rows), numbered(rows_of[0])))
        found = {name: torch.cat([part[name] for part in parts]) for name in from_guide if name in parts[0]}
        nowhere = torch.stack([log_p == -torch.inf for log_p in found.values()]).any(0)
        nowhere = nowhere if undefined is None else nowhere | undefined
        for name, log_p in found.items():
            bad = torch.isnan(log_p)
            # What is outside the support of one site need have no density at another.
            found[name] = torch.where(bad & nowhere, -torch.inf, log_p) if bad.any() else log_p
            bad &= ~nowhere if lost is None else ~(nowhere | lost.to(nowhere.device))
            if bad.any():
                raise ProgramError(
                    f"the density of {whose} is NaN at site {name!r} for {int(bad.sum())} of "
                    f"{num_particles} particles, {example(columns[name].value, bad)}"
                )
        return found

    return evaluate


def with_blocks(
    columns: Mapping[str, CachedSite], blocks: Blocks
) -> tuple[dict[str, CachedSite], tuple[Sites, ...]]:
    """Columns with the densities of a mixture: that of a block is at the first of its sites."""
    changed, joint = dict(columns), []
    for sites, log_q in blocks.items():
        name, *others = sites
        # Data at which guides differ have a density that models change, as in a block of several sites.
        if others or (columns[name].site.role == "predictive" and _differs(columns[name], log_q)):
            joint.append(sites)
        finite = all_finite(log_q)
        changed[name] = replace(columns[name], log_q=log_q, finite=finite)
        for other in others:
            changed[other] = replace(columns[other], log_q=log_q.new_zeros(()).expand_as(log_q), finite=True)
    return changed, tuple(joint)


def _differs(column: CachedSite, log_q: Tensor) -> bool:
    return column.log_q is not None and not torch.equal(column.log_q.double(), log_q)
