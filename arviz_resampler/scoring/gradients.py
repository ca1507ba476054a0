"""Derivatives of log densities with respect to hyper-parameters, at all particles.

Knows programs and particles; nothing of weights or of what the derivatives are for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from arviz_resampler.mapping.random_mode import UnmappableError
from arviz_resampler.mapping.streams import Streams
from arviz_resampler.particles.particles import Particles, chunks
from arviz_resampler.programs.columns import CachedSite, Columns, select
from arviz_resampler.programs.program import HYPER, Program, untouched_params, with_hyper
from arviz_resampler.programs.score_handler import ScoreHandler


@dataclass(frozen=True)
class Scores:
    """Log density of a model at particles, and its derivatives.

    Attributes
    ----------
    log_p : Tensor
        Shape (n,), float64.
    by_hyper : Tensor
        Derivatives by hyper-parameter, shape (n, d), float64.
    """

    log_p: Tensor
    by_hyper: Tensor


@untouched_params()
def scores(
    particles: Particles,
    make_model: Callable[..., Any],
    hyper: Mapping[str, CachedSite],
    rows: slice = slice(None),
) -> Scores | None:
    """Derivatives of all particles from one backward pass a chunk, each particle with numbers of its own.

    Parameters
    ----------
    particles : Particles
        The cache.
    make_model : callable
        Takes hyper-parameters by name and returns a program.
    hyper : mapping of str to CachedSite
        Their values, floating-point numbers, one for each of the ``rows``, by the names that a program is
        given them under.
    rows : slice
        Which particles.

    Returns
    -------
    Scores or None
        None where the family does not take tensors, or its density does not depend on them.
    """
    columns = {name: replace(c, value=c.value[rows]) for name, c in particles.columns.items()}
    program = Program(
        with_hyper(make_model, [name.removeprefix(HYPER) for name in hyper]), "family", particles.params
    )
    drawn = {name for sites in particles.joint for name in sites}
    n = len(next(iter(hyper.values())).value)
    found = []
    for part in chunks(particles.widths, n, particles.device):
        own = {name: c.value[part].clone() for name, c in hyper.items()}
        leaves = {name: value.requires_grad_() for name, value in own.items()}
        given = {name: replace(c, value=leaves[name]) for name, c in hyper.items()}
        one = _of_chunk(program, {**select(columns, part), **given}, leaves, part.stop - part.start, drawn)
        if one is None:
            return None
        found.append(one)
    return Scores(torch.cat([each.log_p for each in found]), torch.cat([each.by_hyper for each in found]))


def _of_chunk(
    program: Program, columns: Columns, leaves: Mapping[str, Tensor], n: int, drawn: set[str]
) -> Scores | None:
    handler = ScoreHandler(columns, drawn=drawn)
    handler.differentiable = True
    with torch.inference_mode(False), torch.enable_grad():
        try:
            program.run_mapped(handler, n, Streams(0))
        except UnmappableError:
            return None
        each = [log_p.double() for name, log_p in handler.score.log_p.items() if name not in leaves]
        total = torch.stack(each).sum(0)
        if not total.requires_grad:
            return None
        gradients = torch.autograd.grad(total.sum(), list(leaves.values()), allow_unused=True)
    filled = [
        torch.zeros_like(leaf) if gradient is None else gradient
        for leaf, gradient in zip(leaves.values(), gradients, strict=True)
    ]
    return Scores(total.detach(), torch.stack([gradient.double() for gradient in filled], 1))
