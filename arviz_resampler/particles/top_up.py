"""More particles, drawn from a model: how many a wish takes, and the cache with them.

Knows guides and how particles are simulated; nothing of weights or draws.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arviz_resampler.errors import ArgumentError, MismatchError, ProgramError, StoreError, quoted
from arviz_resampler.mapping.streams import BLOCK
from arviz_resampler.particles.appending import append, settle
from arviz_resampler.particles.given import Described, simulated_elsewhere
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
from arviz_resampler.particles.joining import check_axes, flags_of, joined, some_of
from arviz_resampler.particles.log_q import evaluator, with_blocks
from arviz_resampler.particles.particles import Particles
from arviz_resampler.particles.reach import Reach
from arviz_resampler.particles.simulation import simulate
from arviz_resampler.programs.columns import Columns, select
from arviz_resampler.programs.program import Program, plain_tensors, untouched_params
from arviz_resampler.programs.runner import beside
from arviz_resampler.storage import Store
from arviz_resampler.workers import Workers

_LOOKED_AT = 16  # particles that show whether the guide has changed


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
    store : Store or None
        Where the particles are kept.
    """

    guide: Guide
    simulator: Program | None
    particles: Particles
    options: Mapping[str, Any]
    store: Store | None = None

    @property
    def lacks_simulator(self) -> bool:
        """Whether what predicts is known to nobody here."""
        elsewhere = isinstance(untouched(self.guide), Described)
        return elsewhere and self.simulator is None and bool(self._predictive)

    def whole_batches(self, count: int, at_most: int | None) -> int:
        """How many particles are added where so many are wanted: a store takes whole batches."""
        if self.store is None or not count:
            return count if at_most is None else min(count, at_most)
        size = self.store.batch_size
        if at_most is not None and at_most < size:
            raise ArgumentError(
                f"at_most={at_most} is less than a batch of the store, which has {size} particles: a store "
                f"takes whole batches"
            )
        most = -(-count // size) if at_most is None else min(-(-count // size), at_most // size)
        return most * size

    @plain_tensors()
    @untouched_params()
    def with_more(self, num_particles: int, workers: Workers | None) -> Cache:
        """The cache with the particles that the guide draws next, up to some number."""
        n, size = self.particles.num_particles, self.options["batch_size"] or BLOCK
        if not isinstance(self.guide, Single):
            raise ArgumentError(
                "particles of several programs, or that were topped up, cannot be extended in memory, where "
                "each program has a share of all: keep them in a store, where it has a share of each batch, "
                "or use top_up"
            )
        first = n // size * size  # a part of a block is drawn with the whole
        columns = self.particles.columns
        options = {**self.options, "workers": workers, "data_names": frozenset()}
        options["predictive"] = self._predictive
        drawn = simulate(self.guide, self.simulator, num_particles - first, first=first, **options)
        new = some_of(drawn, slice(n - first, None))
        whole_columns = {name: joined(name, c, new.columns, None) for name, c in columns.items()}
        failures = {**self.particles.failures, **{n + i: what for i, what in new.failures.items()}}
        whole = replace(
            self.particles,
            columns=whole_columns,
            num_particles=num_particles,
            failed=flags_of(self.particles, new),
            ran=(self.particles.ran[0].followed_by(drawn.ran[0]),),
            failures=failures,
        )
        return replace(self, particles=whole)

    def with_models(self, models: Sequence[tuple[Program, int]]) -> Cache:
        """The cache of a store whose particles were topped up by models before, with how many each."""
        n = self.particles.num_particles - sum(count for _, count in models)
        cache = self
        for model, count in models:
            guide = ToppedUp(cache.guide, n, self._latents_of(model), count, self._extends())
            cache, n = replace(cache, guide=guide), n + count
        return cache

    @plain_tensors()
    @untouched_params()
    def reach(self, model: Program, ess: float, num_draws: int) -> Reach:
        """How far the particles reach into a model, and how many new ones leave an effective sample size."""
        model = self._latents_of(model)
        self._check_same_guide()
        drawn = self._draw(model, None, num_draws, seed=derived_seed(self.options["seed"], "top up"))
        self._check(drawn)
        n = self.particles.num_particles
        log_p = {name: c.log_q.double() for name, c in drawn.columns.items() if c.log_q is not None}
        log_q = self.guide.blocks(self._evaluate(drawn.columns, num_draws), n)
        shared = [sites for sites in log_q if set(sites) <= drawn.columns.keys()]
        ratio = add(add(log_p[name] for name in sites) - log_q[sites] for sites in shared)
        return Reach.of(ratio, n, ess)

    @plain_tensors()
    @untouched_params()
    def topped_up(self, model: Program, count: int, workers: Workers | None = None) -> Cache:
        """The cache with new particles from a model, whose number :meth:`reach` has told."""
        model = self._latents_of(model)
        with self._alone():
            try:
                new = self._draw(model, self._extends(), count, workers=workers)
            except ArgumentError as error:  # of predictive sites, which nobody else has named
                raise MismatchError(
                    f"model and simulator do not draw what the particles have: {error}"
                ) from None
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
    def fresh(self, model: Program, count: int, workers: Workers | None = None) -> Particles:
        """Draws of a model with what extends them, which are not added to the particles."""
        seed = derived_seed(self.options["seed"], "fresh")
        return self._draw(self._latents_of(model), self._extends(), count, seed=seed, workers=workers)

    @plain_tensors()
    @untouched_params()
    def extended(self, model: Program, new: Particles, values: Mapping[str, Tensor]) -> Cache:
        """The cache with new particles, whose :meth:`latents` a model has drawn, simulated elsewhere."""
        self._check_same_guide()
        count = new.num_particles
        columns, lost = dict(new.columns), torch.zeros(count, dtype=torch.bool, device="cpu")
        for name, value in values.items():
            own = self.particles.columns[name]
            columns[name] = simulated_elsewhere(own, value)
            if own.site.role == "predictive" and value.is_floating_point():
                lost |= value.isnan().reshape(count, -1).any(1)
        failures = dict.fromkeys(
            lost.nonzero()[:, 0].tolist(), "NaN in the results of a simulation elsewhere"
        )
        new = replace(new, columns=columns, failed=lost if lost.any() else None, failures=failures)
        with self._alone():
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
        blocks, n, failed = self._blocks(), self.particles.num_particles, self.particles.failed
        sure = torch.stack([torch.isfinite(log_q) for log_q in blocks.values()]).all(0)
        sure = sure if failed is None else sure & ~failed.to(sure.device)
        index = sure.nonzero()[:, 0]
        rows = index[
            torch.linspace(0, len(index) - 1, min(len(index), _LOOKED_AT), device=index.device).long()
        ]
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
        model = Program(model.fn, model.role, {**model.params, **new.params})
        self._check(new)
        store = self._appended(new)
        columns = {name: joined(name, c, new.columns, store) for name, c in particles.columns.items()}
        failed = flags_of(particles, new)
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
            ids=None if particles.ids is None else np.concatenate([particles.ids, particles.new_ids(count)]),
        )
        if store is not None:
            name = str(getattr(model.fn, "__name__", type(model.fn).__name__))
            store = settle(store, whole, {"name": name, "num_particles": count})
        guide = ToppedUp(self.guide, n, model, count, simulator)
        return replace(self, guide=guide, particles=whole, store=store)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """The right to add to the store, if there is one, which holds the particles that these are."""
        if self.store is None:
            yield
            return
        with self.store.lock():
            if Store.open(self.store.path).layout != self.store.layout:
                raise StoreError(
                    f"{self.store.path} has other particles than this Resampler: it was extended or topped "
                    f"up since. Make the Resampler again, by the call for what the store has now"
                )
            yield

    def _appended(self, new: Particles) -> Store | None:
        """The store with new particles, if there is one."""
        if self.store is None:
            return None
        known = self.particles.columns.keys()
        ordered = {name: new.columns[name] for name in known if name in new.columns}
        masks = self.options["on_error"] == "mask"
        return append(self.store, replace(new, columns=ordered), masks=masks)

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
        return evaluator(columns, n, beside(self.options["vectorize"], self.simulator), params, lost)

    def _draw(
        self,
        model: Program,
        simulator: Program | None,
        n: int,
        *,
        seed: int | None = None,
        workers: Workers | None = None,
    ) -> Particles:
        """Draws of a model: new particles, with a seed of their own none of these."""
        predictive = self._predictive if simulator is not None else frozenset()
        options = {**self.options, "predictive": predictive, "data_names": frozenset(), "workers": workers}
        first = self.particles.num_particles if seed is None else 0
        options["seed"] = options["seed"] if seed is None else seed
        return simulate(Single(model), simulator, n, first=first, **options)

    def _check(self, drawn: Particles) -> None:
        """Refuse what a model cannot add to."""
        columns = self.particles.columns
        if any(c.site.role == "auxiliary" and c.from_guide for c in columns.values()):
            raise ProgramError(
                "particles of an automatic guide cannot be topped up: they have auxiliary sites, which a "
                "model does not draw. Build a new Resampler whose guide is wider."
            )
        for name, new in drawn.columns.items():
            if name in columns and new.reason != "deterministic":
                check_axes(name, columns[name].site, new.site)
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
