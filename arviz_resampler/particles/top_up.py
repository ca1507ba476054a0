"""More particles, drawn from a model: how many a wish takes, and the cache with them.

Knows guides and how particles are simulated; nothing of weights or draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from arviz_resampler.errors import ArgumentError, MismatchError, ProgramError, quoted
from arviz_resampler.particles.guides import (
    Blocks,
    Evaluate,
    Guide,
    Single,
    ToppedUp,
    add,
    derived_seed,
    mixed,
    regrouped,
    untouched,
)
from arviz_resampler.particles.log_q import evaluator, with_blocks
from arviz_resampler.particles.particles import Particles
from arviz_resampler.particles.reach import Reach
from arviz_resampler.particles.simulation import simulate
from arviz_resampler.programs.columns import CachedSite, Columns, select
from arviz_resampler.programs.program import Program, plain_tensors, untouched_params
from arviz_resampler.sites import Site

_LOOKED_AT = 16  # particles that show whether the guide has changed


class TopUp(NamedTuple):
    """What a top-up has done.

    Attributes
    ----------
    num_added : int
        New particles.
    ess_before, ess_after : float
        Effective sample size of the model without and with them.
    seconds : float
        How long it took.
    """

    num_added: int
    ess_before: float
    ess_after: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.num_added:,} particles added in {self.seconds:.3g} s: ESS {self.ess_before:,.0f} before, "
            f"{self.ess_after:,.0f} after"
        )


@dataclass(frozen=True)
class Cache:
    """Particles, with what they were drawn by.

    Attributes
    ----------
    guide : Guide
        Who has drawn them.
    simulator : Program or None
        What has extended them.
    particles : Particles
        They.
    options : mapping
        How programs are run: ``seed``, ``batch_size``, ``vectorize``, ``on_error``, ``progressbar``.
    """

    guide: Guide
    simulator: Program | None
    particles: Particles
    options: Mapping[str, Any]

    @plain_tensors()
    @untouched_params()
    def reach(self, model: Program, ess: float, num_draws: int) -> Reach:
        """How far the particles reach into a model, and how many new ones leave an effective sample size."""
        model = self._latents_of(model)
        self._check_same_guide()
        drawn = self._draw(model, None, num_draws, seed=derived_seed(self.options["seed"], "top up"))
        self._check(drawn)
        n = self.particles.num_particles
        log_p = self._log_densities(drawn)
        log_q = self.guide.blocks(self._evaluate(drawn.columns, num_draws), n)
        shared = [sites for sites in log_q if set(sites) <= drawn.columns.keys()]
        ratio = add(add(log_p[name] for name in sites) - log_q[sites] for sites in shared)
        return Reach.of(ratio, n, ess)

    @plain_tensors()
    @untouched_params()
    def topped_up(self, model: Program, count: int) -> Cache:
        """The cache with new particles from a model, whose number :meth:`reach` has told."""
        model = self._latents_of(model)
        try:
            new = self._draw(model, self._extends(), count)
        except ArgumentError as error:  # of predictive sites, which nobody else has named
            raise MismatchError(f"model and simulator do not draw what the particles have: {error}") from None
        return self._with(model, new, self._extends())

    @plain_tensors()
    @untouched_params()
    def latents(self, model: Program, count: int) -> Particles:
        """What new particles from a model have at the sites that it draws."""
        new = self._draw(self._latents_of(model), None, count)
        self._check(new)
        return new

    @plain_tensors()
    @untouched_params()
    def extended(self, model: Program, new: Particles, values: Mapping[str, Tensor]) -> Cache:
        """The cache with new particles, whose :meth:`latents` a model has drawn, simulated elsewhere."""
        self._check_same_guide()
        count = new.num_particles
        columns, lost = dict(new.columns), torch.zeros(count, dtype=torch.bool)
        for name, value in values.items():
            own = self.particles.columns[name]
            columns[name] = replace(own, value=value, log_q=None, log_conditional=None, from_guide=False)
            if own.site.role == "predictive" and value.is_floating_point():
                lost |= value.isnan().reshape(count, -1).any(1)
        failures = dict.fromkeys(
            lost.nonzero()[:, 0].tolist(), "NaN in the results of a simulation elsewhere"
        )
        new = replace(new, columns=columns, failed=lost if lost.any() else None, failures=failures)
        return self._with(self._latents_of(model), new, None)

    def missing(self, new: Particles) -> list[str]:
        """Sites that a simulation adds to what a model has drawn."""
        return [name for name in self.particles.columns if name not in new.columns]

    def _latents_of(self, model: Program) -> Program:
        """A model without the predictive sites that what extends the particles draws for all of them."""
        if self._extends() is None:
            return model
        columns = self.particles.columns
        own = self.simulator is None  # the guide predicts
        return model.without([name for name in self._predictive if own or not columns[name].from_guide])

    def _check_same_guide(self) -> None:
        """Refuse where programs have changed since they drew the particles: closures, globals, parameters."""
        blocks, n = self._blocks(), self.particles.num_particles
        sure = torch.stack([torch.isfinite(log_q) for log_q in blocks.values()]).all(0)
        sure = sure if self.particles.failed is None else sure & ~self.particles.failed
        index = sure.nonzero()[:, 0]
        rows = index[torch.linspace(0, len(index) - 1, min(len(index), _LOOKED_AT)).long()]
        now = self.guide.blocks(self._evaluate(select(self.particles.columns, rows), len(rows)), n)
        for sites, known in blocks.items():
            if sites in now and not torch.allclose(now[sites], known[rows], rtol=1e-4, atol=1e-3):
                raise ProgramError(
                    f"the guide, or a model of an earlier top-up, has another density at {quoted(sites)} "
                    f"than when the particles were drawn: a value that it reads has changed since. Give each "
                    f"program values of its own, as by functools.partial, or make a new Resampler."
                )

    def _with(self, model: Program, new: Particles, simulator: Program | None) -> Cache:
        particles, n, count = self.particles, self.particles.num_particles, new.num_particles
        self._check(new)
        columns = {name: _joined(name, c, new.columns) for name, c in particles.columns.items()}
        failed = _flags(particles, new)
        after = self.guide.blocks(self._evaluate(new.columns, count, new.failed), n)
        met = {name for sites in after for name in sites}
        self._check_left({name for sites in self._blocks() for name in sites} - met)
        # What the model leaves to the simulator is drawn from one density in all particles.
        before = {sites: log_q for sites, log_q in self._blocks().items() if met >= set(sites)}
        of_guide = {sites: torch.cat(parts) for sites, parts in regrouped([before, after]).items()}
        found = self._evaluate(columns, n + count, failed)(model)
        of_model: Blocks = {(name,): found[name].double() for name in met if name in found}
        columns, joint = with_blocks(columns, mixed([of_guide, of_model], (n, count)))
        whole = replace(
            particles,
            columns=columns,
            num_particles=n + count,
            failed=failed,
            ran=(*particles.ran, *new.ran),
            joint=joint,
            params={**particles.params, **new.params},
            failures={**particles.failures, **{n + i: what for i, what in new.failures.items()}},
        )
        return replace(self, guide=ToppedUp(self.guide, n, model, count, simulator), particles=whole)

    # ---------------------------------------------------------------- what there is

    def _extends(self) -> Program | None:
        """What simulates the new particles: a guide that predicts is its own simulator."""
        guide = untouched(self.guide)
        if self.simulator is None and self._predictive and isinstance(guide, Single):
            return Program(guide.program.fn, "simulator", self.particles.params)
        return self.simulator

    @property
    def _predictive(self) -> frozenset[str]:
        return frozenset(n for n, c in self.particles.columns.items() if c.site.role == "predictive")

    @staticmethod
    def _log_densities(particles: Particles) -> dict[str, Tensor]:
        return {n: c.log_q.double() for n, c in particles.columns.items() if c.log_q is not None}

    def _blocks(self) -> Blocks:
        """Log density that the particles were drawn with, by block."""
        joint = {name: sites for sites in self.particles.joint for name in sites}
        return {
            joint.get(name, (name,)): column.log_q.double()
            for name, column in self.particles.columns.items()
            if column.from_guide and column.log_q is not None and joint.get(name, (name,))[0] == name
        }

    def _evaluate(self, columns: Columns, n: int, lost: Tensor | None = None) -> Evaluate:
        particles = self.particles
        parts = self.guide.parts(particles.num_particles, self.options["seed"])
        params = {id(p.program): ran.params for p, ran in zip(parts, particles.ran, strict=True)}
        return evaluator(columns, n, self.options["vectorize"], params, lost)

    def _draw(self, model: Program, simulator: Program | None, n: int, seed: int | None = None) -> Particles:
        """Draws of a model: new particles, with a seed of their own none of these."""
        predictive = self._predictive if simulator is not None else frozenset()
        options = {**self.options, "predictive": predictive, "data_names": frozenset()}
        first = self.particles.num_particles if seed is None else 0
        options["seed"] = options["seed"] if seed is None else seed
        return simulate(Single(model), simulator, n, first=first, **options)

    def _check(self, drawn: Particles) -> None:
        """Refuse what a model cannot add to."""
        columns = self.particles.columns
        if any(c.site.role == "auxiliary" for c in columns.values()):
            raise ProgramError(
                "particles of an automatic guide cannot be topped up: they have auxiliary sites, which a "
                "model does not draw. Build a new Resampler whose guide is wider."
            )
        for name, new in drawn.columns.items():
            if name in columns and new.reason is None:
                _check_axes(name, columns[name].site, new.site)
        unknown = [n for n, c in drawn.columns.items() if n not in columns and c.reason != "deterministic"]
        if unknown:
            raise MismatchError(f"model and simulator draw {quoted(unknown)}, which no other particle has")
        missing = self.particles.guide_latents - drawn.columns.keys()
        if missing:
            raise MismatchError(f"the model does not draw {quoted(missing)}, which every particle has")

    def _check_left(self, left: set[str]) -> None:
        """Refuse what is drawn from the guide in some particles, and from something else in the new ones."""
        same = self.simulator is None and isinstance(untouched(self.guide), Single)
        left = left if not same else left & {name for sites in self.particles.joint for name in sites}
        if left:
            raise MismatchError(
                f"the model does not draw {quoted(left)}, which the guide draws: draw it in the model, too"
            )


def _check_axes(name: str, old: Site, new: Site) -> None:
    """Refuse new values whose axes are others, or in another order."""
    moved = any(dim in old.dims and old.dims.index(dim) != place for place, dim in enumerate(new.dims))
    if new.discrete != old.discrete:
        kinds = ("discrete", "continuous") if new.discrete else ("continuous", "discrete")
        raise MismatchError(
            f"site {name!r} is {kinds[0]} in what is to be added, but {kinds[1]} in the particles"
        )
    if new.shape != old.shape or moved:
        found, wanted = (f"{site.dims} of sizes {site.shape}" for site in (new, old))
        raise MismatchError(
            f"site {name!r} has dims {found} in what is to be added, but {wanted} in the particles: write it "
            f"with the same plates in the same order"
        )


def _joined(name: str, old: CachedSite, new: Columns) -> CachedSite:
    """A site of all particles."""
    if name not in new:
        raise MismatchError(f"site {name!r} of the particles is not among what model and simulator draw")
    other = new[name]

    def both(first: Tensor | None, second: Tensor | None) -> Tensor | None:
        return None if first is None or second is None else torch.cat([first, second])

    # Whole numbers have no NaN, so where runs failed they are none; torch widens what is put beside them.
    value = torch.cat([old.value, other.value])
    return replace(
        old,
        value=value,
        site=replace(old.site, dtype=str(value.dtype).removeprefix("torch.")),
        log_q=both(old.log_q, other.log_q),
        log_conditional=both(old.log_conditional, other.log_conditional),
        support=old.support if old.support == other.support else None,
        finite=old.finite and other.finite,
    )


def _flags(old: Particles, new: Particles) -> Tensor | None:
    """Which particles failed."""
    if old.failed is None and new.failed is None:
        return None
    parts = [
        p.failed if p.failed is not None else torch.zeros(p.num_particles, dtype=torch.bool)
        for p in (old, new)
    ]
    return torch.cat(parts)
