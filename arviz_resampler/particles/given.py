"""Particles that nobody has drawn here: values, and the density that they were drawn with.

Knows programs and records; nothing of containers, models or weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arviz_resampler.errors import ArgumentError, MismatchError, ProgramError, quoted, suggestion
from arviz_resampler.particles.guides import Blocks, Evaluate, Guide, Part
from arviz_resampler.particles.log_q import evaluator
from arviz_resampler.particles.structure import Structure, structure_of
from arviz_resampler.programs.axes import Axes, describe_axes, match_axes
from arviz_resampler.programs.columns import CachedSite, example, select
from arviz_resampler.programs.model_runner import run_model
from arviz_resampler.programs.program import plain_tensors, untouched_params
from arviz_resampler.sites import Role, Site

Array = NDArray[Any]

_ELSEWHERE = "simulated elsewhere, with no density"  # why there is none of what came along
_ROUNDED = 1e-3  # of a standard deviation, by which values may be rounded


class Placed(NamedTuple):
    """A site of all particles, and the names that its axes had, in their order."""

    column: CachedSite
    dims: tuple[str, ...]


@dataclass(frozen=True)
class Described:
    """A guide that has not drawn the particles, but has their density."""

    guide: Guide

    def parts(self, num_particles: int, seed: int) -> list[Part]:
        """Those of the guide."""
        return self.guide.parts(num_particles, seed)

    def blocks(self, evaluate: Evaluate, num_particles: int) -> Blocks:
        """Those of the guide."""
        return self.guide.blocks(evaluate, num_particles)


def drawn_by(guide: Guide, num_particles: int) -> Structure:
    """The sites of a guide, without what it is given for each particle."""
    part = guide.parts(num_particles, 0)[0]
    found = structure_of(part.program)
    columns = {name: column for name, column in found.columns.items() if name not in part.hyper}
    return found._replace(columns=columns)


def latents_of(structure: Structure, whose: str) -> dict[str, CachedSite]:
    """The latents of a program, each of one particle.

    Raises
    ------
    ProgramError
        If it has a factor: then its sites alone are not what draws come from.
    """
    if structure.factors:
        raise ProgramError(
            f"{whose} has pyro.factor site {quoted(structure.factors)}: pass the program without it, since "
            f"the density of the draws is taken from its latents alone"
        )
    return {
        name: column
        for name, column in structure.columns.items()
        if name not in structure.observed and column.reason is None and column.site.role == "latent"
    }


def check_names(wanted: Sequence[str], known: Sequence[str], whose: str, remedy: str = "") -> None:
    """Refuse draws that lack latents."""
    missing = [name for name in wanted if name not in known]
    if missing:
        raise ArgumentError(
            f"the draws lack {quoted(missing)}, which {whose} has; they have {quoted(known)}."
            f"{suggestion(missing[0], known)}{remedy}"
        )


def free_latent(name: str, values: Array, dims: tuple[str, ...]) -> Placed:
    """A latent whose program is not known: axes as they are."""
    value = torch.from_numpy(np.array(values, order="C"))
    _check_finite(name, value)
    if value.is_floating_point():
        value = as_dtype(f"latent {name!r}", value, torch.get_default_dtype())
    column = CachedSite(site_of(name, "latent", value, dims), value, from_guide=True)
    return Placed(column, dims)


def latent(known: CachedSite, values: Array, dims: tuple[str, ...], whose: str) -> Placed:
    """A latent in the axes and dtype of the program that has it."""
    site = known.site
    wanted: Axes = [
        (None if dim.startswith(f"{site.name}_dim_") else dim, size)
        for dim, size in zip(site.dims, site.shape, strict=True)
    ]
    shape = values.shape[1:]
    order = match_axes(dims, shape, wanted)
    if order is None:
        raise MismatchError(
            f"site {site.name!r} has axes {describe_axes(dims, shape)} in the draws, but "
            f"{describe_axes([plate for plate, _ in wanted], site.shape)} in {whose}"
        )
    array = values.transpose(0, *(1 + i for i in order)).reshape(len(values), *site.shape)
    value = torch.from_numpy(np.array(array, order="C"))
    dtype: torch.dtype = known.value.dtype
    _check_finite(site.name, value)
    if site.discrete and value.is_floating_point() and bool((value != value.round()).any()):
        odd = (value != value.round()).reshape(len(value), -1).any(1)
        raise MismatchError(
            f"site {site.name!r} is discrete in {whose}, but {int(odd.sum())} of {len(value)} draws are not "
            f"whole numbers, {example(value, odd)}"
        )
    names = tuple(dims[i] for i in order) if len(order) == len(site.dims) else site.dims
    value = as_dtype(f"latent {site.name!r}", value, dtype)
    column = replace(known, value=value, log_q=None, from_guide=True, masked=False)
    return Placed(column, names)


def carried(name: str, role: Role, values: Array, dims: tuple[str, ...]) -> Placed:
    """What comes along with the latents: predictions, and computed values."""
    value = torch.from_numpy(np.array(values, order="C"))
    reason = "deterministic" if role == "deterministic" else _ELSEWHERE
    return Placed(CachedSite(site_of(name, role, value, dims), value, reason=reason), dims)


def simulated_elsewhere(known: CachedSite, value: Tensor) -> CachedSite:
    """Values of a site whose other particles a program has drawn: their density is not known."""
    reason = known.reason or _ELSEWHERE
    return replace(known, value=value, log_q=None, log_conditional=None, from_guide=False, reason=reason)


def site_of(name: str, role: Role, value: Tensor, dims: tuple[str, ...]) -> Site:
    """Description of values, particles first."""
    return Site(
        name=name,
        role=role,
        dims=dims,
        shape=tuple(value.shape[1:]),
        num_plates=sum(not dim.startswith(f"{name}_dim_") for dim in dims),
        dtype=str(value.dtype).removeprefix("torch."),
        discrete=not value.is_floating_point(),
    )


def _check_finite(name: str, value: Tensor) -> None:
    bad = ~torch.isfinite(value.double()).reshape(len(value), -1).all(1)
    if bad.any():
        raise ArgumentError(
            f"latent {name!r} is NaN or infinite in {int(bad.sum())} of {len(value)} draws, the first of "
            f"which is draw {int(bad.nonzero()[0])}: leave these draws out"
        )


def as_dtype(what: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    """Values in the dtype of the programs, which has to hold them.

    Raises
    ------
    ArgumentError
        If a value leaves the range of the dtype, or is rounded by a thousandth of a standard deviation.
    """
    found = value.to(dtype)
    before, after = value.double(), found.double()
    varies = before.amax(0) > before.amin(0)
    blurred = ((after - before).abs() > _ROUNDED * before.std(0, correction=0)) & varies
    lost = ~torch.isfinite(after) | ((after == 0) & (before != 0)) | blurred
    if dtype.is_floating_point and lost.any():
        raise ArgumentError(
            f"{what} loses digits in the {str(dtype).removeprefix('torch.')} of the programs: "
            f"{float(before[lost][0])!r} becomes {float(after[lost][0])!r}. Call "
            f"torch.set_default_dtype(torch.float64) first, or store it less its mean, or in other units"
        )
    return found


def as_results(name: str, value: Tensor, column: CachedSite) -> Tensor:
    """Results as values of a site; those of whole numbers have NaN for runs that failed.

    Raises
    ------
    ArgumentError
        If the dtype of the site does not hold one.
    """
    found, before = value.to(column.value), value.double()
    after, lost = found.double(), before.isnan()
    if column.site.discrete and not (whole := lost | (before == before.round())).all():
        wrong = float(before[~whole][0])
        raise ArgumentError(f"the results have {wrong:g} at {name!r}, which holds whole numbers")
    exact = not found.is_floating_point()
    held = lost | (before == after) if exact else after.isfinite() | ~before.isfinite()
    if not held.all():
        dtype = str(found.dtype).removeprefix("torch.")
        raise ArgumentError(
            f"the results have {float(before[~held][0]):g} at {name!r}, which its dtype {dtype} does not "
            f"hold: simulate the particles anew with a wider dtype, or pass NaN where a run has failed"
        )
    return before if column.site.discrete and lost.any() else found


def failed_in(columns: Mapping[str, CachedSite], num_particles: int) -> Tensor | None:
    """Which particles have predictions that are NaN where others have some; None where none has."""
    lost = torch.zeros(num_particles, dtype=torch.bool, device="cpu")
    for column in columns.values():
        if column.site.role == "predictive" and column.value.is_floating_point():
            missing = column.value.isnan().reshape(num_particles, -1)
            lost |= (missing & ~missing.all(0)).any(1)
    return lost if lost.any() else None


@plain_tensors()
def density_of_program(
    guide: Guide, columns: Mapping[str, CachedSite], num_particles: int, vectorize: bool | str, whose: str
) -> Blocks:
    """Log density of all latents under a guide, by block.

    Raises
    ------
    MismatchError
        If a particle is where the guide draws none.
    """
    # Where they lie is what is asked: no support is known before.
    latents = {n: replace(column, support=None) for n, column in columns.items() if column.from_guide}
    blocks = guide.blocks(evaluator(latents, num_particles, vectorize), num_particles)
    for sites, log_q in blocks.items():
        outside = ~torch.isfinite(log_q)
        if outside.any():
            raise MismatchError(
                f"{int(outside.sum())} of {num_particles} draws have no density at {quoted(sites)} under "
                f"{whose}, {example(columns[sites[0]].value, outside)}: they were drawn from something else, "
                f"or are stored transformed"
            )
    return blocks


@plain_tensors()
@untouched_params()
def without_constant(
    guide: Guide, columns: Mapping[str, CachedSite], num_particles: int, vectorize: bool | str
) -> frozenset[str]:
    """Latents whose density under a guide is not normalized: under a scale, or a mask."""
    one = {n: c for n, c in select(columns, slice(0, 1)).items() if c.from_guide}
    programs = {id(part.program): part.program for part in guide.parts(num_particles, 0) if not part.hyper}
    runs = (run_model(program, one, 1, vectorize, drawn=list(one)) for program in programs.values())
    return frozenset(name for run in runs for name in run.unnormalized if name in one)


def density_of_arrays(log_q: Mapping[tuple[str, ...], Array], num_particles: int) -> Blocks:
    """Log densities that were given, by block.

    Raises
    ------
    ArgumentError
        If one is of another shape, or not finite.
    """
    blocks: Blocks = {}
    for sites, values in log_q.items():
        if values.shape != (num_particles,):
            raise ArgumentError(
                f"the log density at {quoted(sites)} has shape {values.shape}, but must have shape "
                f"({num_particles},), a number for each draw"
            )
        bad = ~np.isfinite(values)
        if bad.any():
            raise ArgumentError(
                f"the log density at {quoted(sites)} is {values[bad][0]} for {int(bad.sum())} of "
                f"{num_particles} draws, the first of which is draw {int(bad.argmax())}"
            )
        blocks[sites] = torch.from_numpy(np.array(values, np.float64))
    return blocks
