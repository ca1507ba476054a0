"""What is asked of a run of guide and simulator before its draws are kept.

Knows records; nothing of how programs are run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from arviz_resampler.errors import (
    ArgumentError,
    DrawWarning,
    ProgramError,
    ProgramWarning,
    WeightError,
    quoted,
    suggestion,
    warn,
)
from arviz_resampler.programs.columns import CachedSite, example
from arviz_resampler.programs.runs import SiteRun


@dataclass(frozen=True)
class Run:
    """Guide and simulator over the same particles: what each found, and the columns of both."""

    guide: Mapping[str, SiteRun]
    simulator: Mapping[str, SiteRun] | None
    columns: dict[str, CachedSite]

    @property
    def found(self) -> dict[str, SiteRun]:
        """Sites of both; the simulator has the last word."""
        return {**self.guide, **(self.simulator or {})}


class Piece(NamedTuple):
    """Particles of a batch that one part of a guide has drawn.

    Attributes
    ----------
    part : int
        Which part.
    rows : range
        Their numbers.
    singly : tuple of bool
        Whether they were drawn from streams of their own, in the guide and in the simulator.
    """

    part: int
    rows: range
    singly: tuple[bool, bool]


@dataclass(frozen=True)
class Batch:
    """What is kept of a batch.

    Attributes
    ----------
    columns : dict of str to CachedSite
        By site.
    pieces : tuple of Piece
        Who has drawn which of its particles.
    failed : mapping of int to str
        Particles whose run raised, by their place in the batch, and what.
    observed : frozenset of str
        Sites that carry ``obs=``.
    factors : frozenset of str
        Those of the guide.
    data : mapping of str to Tensor
        The data of ``obs=``, in the shape of one particle.
    bad : mapping of str to tuple
        For how many particles a site has no valid value, and why.
    """

    columns: dict[str, CachedSite]
    pieces: tuple[Piece, ...]
    failed: Mapping[int, str] = field(default_factory=dict)
    observed: frozenset[str] = frozenset()
    factors: frozenset[str] = frozenset()
    data: Mapping[str, Tensor] = field(default_factory=dict)
    bad: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run, failed: Mapping[int, str], *pieces: Piece) -> Batch:
        """What is kept of runs of guide and simulator."""
        found = run.found.items()
        return cls(
            run.columns,
            pieces,
            failed,
            observed=frozenset(name for name, site in found if site.kind == "observed"),
            factors=frozenset(name for name, site in run.guide.items() if site.kind == "factor"),
            data={n: s.data.cpu().reshape(run.columns[n].site.shape) for n, s in found if s.data is not None},
            bad={n: (int(s.bad.sum()), s.bad_text) for n, s in found if s.bad is not None and s.bad.any()},
        )


def unpredicted(run: Run, chosen: frozenset[str], data_names: frozenset[str]) -> frozenset[str]:
    """Names of data that no site predicts, where the programs predict nothing at all."""
    unknown = data_names - run.columns.keys()
    predicts = (
        chosen
        or data_names - unknown
        or any(
            found.kind == "observed"
            or (run.simulator is not None and found.kind == "latent" and not found.replayed)
            for found in (run.simulator or run.guide).values()
        )
    )
    if unknown and not predicts:
        warn(
            f"observed data {quoted(unknown)} belong to no site; they are kept as they are, with "
            f"nothing to compare them with. Add a site of that name to the simulator to predict them.",
            ProgramWarning,
        )
        return unknown
    return frozenset()


def check_structure(run: Run, predictive: frozenset[str]) -> None:
    """Refuse programs without latents, densities or the named sites; warn of what does not act."""
    check_factors(run.columns, {n for n, f in run.guide.items() if f.kind == "factor"})
    if not any(f.kind == "latent" for f in run.guide.values()):
        raise ProgramError(
            "the guide has no latent sample site: there is nothing to resample. Draw in it what the "
            "models are priors of."
        )
    check_densities(run.columns, {name for name, found in run.found.items() if found.kind == "observed"})
    if run.simulator is not None:
        _check_shared(run)
        factors = [n for n, f in run.simulator.items() if f.kind == "factor"]
        if factors:
            warn(
                f"pyro.factor site {quoted(factors)} in the simulator does not act on the draws; it "
                f"counts where a model has it",
                ProgramWarning,
            )
    for name, found in run.found.items():
        why = found.kind_of.drawn_otherwise
        if why is not None and not found.replayed:
            warn(
                f"site {name!r} is not drawn as its density says: {why}. Weights of models that have the "
                f"site are off.",
                DrawWarning,
            )
    for name, found in run.found.items():
        if found.kind == "observed" and found.data is None:
            _warn_of_obs(name, found)
    for name in sorted(predictive):
        if name not in run.columns:
            raise ArgumentError(
                f"predictive or observed names {name!r}, which is no site of the programs; they have "
                f"{quoted(run.columns)}.{suggestion(name, run.columns)}"
            )


def check_densities(columns: Mapping[str, CachedSite], observed: Collection[str]) -> None:
    """Refuse a guide that draws some particles without a density."""
    for name, column in columns.items():
        if column.from_guide and column.reason not in (None, "deterministic") and name not in observed:
            raise ProgramError(f"site {name!r} of the guide: {column.reason}, so it has no weights")


def _warn_of_obs(name: str, found: SiteRun) -> None:
    """Warn of a value of ``obs=`` that is no data of its site."""
    if found.broadcast is None:
        warn(
            f"site {name!r} has obs= that depends on what was drawn, so it is not data: the site is "
            f"simulated, and observed_data does not hold it. Pass data with observed=.",
            ProgramWarning,
        )
    else:
        warn(
            f"site {name!r} has obs= of shape {found.broadcast}, but its draws have shape "
            f"{tuple(found.value.shape[1:])}: the site is simulated, and observed_data does not hold it. "
            f"Pass data with observed=.",
            ProgramWarning,
        )


def _check_shared(run: Run) -> None:
    """Warn of a simulator that does not use what the guide draws, as one with a misspelt name."""
    assert run.simulator is not None
    drawn = {name for name, found in run.guide.items() if found.kind == "latent"}
    left = drawn - run.simulator.keys()
    new = [n for n, f in run.simulator.items() if f.kind == "latent" and not f.replayed]
    close = "".join(suggestion(name, left) for name in new)
    if left == drawn or close:
        warn(
            f"the simulator does not use {quoted(left)}, which the guide draws: priors of it do not reach "
            f"the simulation.{close}",
            ProgramWarning,
        )


def check_factors(columns: dict[str, CachedSite], factors: Collection[str]) -> None:
    """A factor in a guide is the Jacobian of an auxiliary site, or the same for all particles."""
    if any(c.site.role == "auxiliary" and n not in factors for n, c in columns.items()):
        return
    for name in sorted(factors):
        if not bool((columns[name].value == columns[name].value[0]).all()):
            raise ProgramError(
                f"pyro.factor site {name!r} in the guide changes the score of its draws, not where "
                f"they are. Put it in the model, where it counts."
            )


def warn_infinite(columns: Mapping[str, CachedSite], num_particles: int) -> None:
    """Say which draws of the guide left the range of their dtype and can carry no weight."""
    for name, column in columns.items():
        if column.log_q is None or not column.from_guide or column.site.role in ("auxiliary", "predictive"):
            continue
        if not column.finite:
            lost = ~torch.isfinite(column.log_q)
            text = (
                f"site {name!r} of the guide has no finite density for {int(lost.sum())} of "
                f"{num_particles} particles, {example(column.value, lost)}"
            )
            if lost.all():
                raise WeightError(f"{text}: no weight is positive. Use a narrower guide, or float64.")
            warn(f"{text}; they get weight zero. Use a narrower guide, or float64.", DrawWarning)


def mark_failed(columns: dict[str, CachedSite], failed: Collection[int], num_particles: int) -> Tensor | None:
    """Make predictive values of particles whose run failed NaN, and the densities they were drawn with.

    Returns which particles they are, shape (N,), or None where none failed.
    """
    if not failed:
        return None
    flags = torch.zeros(num_particles, dtype=torch.bool, device="cpu")
    flags[list(failed)] = True
    for name, column in columns.items():
        if column.site.role != "predictive":
            continue
        # There is no NaN in whole numbers.
        has_nan = column.value.is_floating_point() or column.value.is_complex()
        value = column.value.clone() if has_nan else column.value.double()
        value[flags.to(value.device)] = torch.nan
        site = replace(column.site, dtype=str(value.dtype).removeprefix("torch."))
        columns[name] = replace(column, value=value, site=site)
        if column.log_q is not None:
            log_q = column.log_q.masked_fill(flags.to(column.log_q.device), torch.nan)
            columns[name] = replace(columns[name], log_q=log_q, finite=False)
    return flags


def warn_failed(
    failed: Mapping[int, str], num_particles: int, ids: NDArray[Any] | None = None, start: int = 0
) -> None:
    """Say how many particles failed, and why the first did: numbered from ``start`` on, or with ids."""
    if failed:
        first = min(failed)
        which = start + first if ids is None else ids[first]
        warn(
            f"the run of {len(failed)} of {num_particles} particles failed; their predictive values are NaN, "
            f"and they keep their weight. Particle {which}: {failed[first]}",
            DrawWarning,
        )
