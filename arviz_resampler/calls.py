"""A call that simulates: its arguments, checked, and what is made of them.

Knows guides, programs and how particles are simulated; nothing of models or stores.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from arviz_resampler.arguments import (
    as_count,
    as_dims,
    as_mapping,
    as_names,
    as_optional,
    as_seed,
    check_way,
)
from arviz_resampler.errors import ArgumentError, quoted, suggestion
from arviz_resampler.particles.guides import Guide, as_guide
from arviz_resampler.particles.particles import Particles
from arviz_resampler.pipeline import Pipeline
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.runner import beside
from arviz_resampler.tuning.family_guide import FamilyGuide
from arviz_resampler.workers import as_workers


@dataclass(frozen=True)
class Call:
    """Arguments of a call that simulates, checked.

    Attributes
    ----------
    guide, simulator : Guide, Program or None
        What draws particles, and what extends them.
    num_particles : int
        N.
    seed : int or None
        That was given.
    batch_size : int or None
        Number of particles at a time.
    options : dict
        How programs are run: ``vectorize``, ``on_error``, ``progressbar``, ``workers``.
    predictive : frozenset of str
        Sites that were named as predictive.
    observed, constant, coords, dims : dict
        Data, labels and names of axes.
    partial : bool
        Whether models may leave out latents.
    """

    guide: Guide
    simulator: Program | None
    num_particles: int
    seed: int | None
    batch_size: int | None
    options: Mapping[str, Any]
    predictive: frozenset[str]
    observed: Mapping[str, Any]
    constant: Mapping[str, Any]
    coords: Mapping[str, Any]
    dims: Mapping[str, Sequence[str | None]]
    partial: bool

    @classmethod
    def checked(
        cls,
        guide: Any,
        simulator: Callable[[], Any] | None,
        *,
        num_guide_samples: int,
        max_plate_nesting: int | None = None,
        random_seed: int | np.random.Generator | None = None,
        batch_size: int | None = None,
        vectorize: bool | str = "auto",
        on_error: str = "raise",
        observed: Mapping[str, Any] | None = None,
        predictive: str | Sequence[str] | None = None,
        constant_data: Mapping[str, Any] | None = None,
        coords: Mapping[str, Any] | None = None,
        dims: Mapping[str, str | Sequence[str | None] | None] | None = None,
        partial: bool = False,
        progressbar: bool = True,
        executor: Any = None,
    ) -> Call:
        """The arguments of a call.

        Raises
        ------
        ArgumentError
            If one is not usable as given.
        """
        num_particles = as_count("num_guide_samples", num_guide_samples)
        as_optional("max_plate_nesting", max_plate_nesting)
        check_way(vectorize, on_error)
        return cls(
            guide=as_guide(guide),
            simulator=None if simulator is None else Program(simulator, "simulator"),
            num_particles=num_particles,
            seed=as_seed(random_seed),
            batch_size=None if batch_size is None else as_count("batch_size", batch_size),
            options={
                "vectorize": vectorize,
                "on_error": on_error,
                "progressbar": progressbar,
                "workers": as_workers(executor),
            },
            predictive=frozenset(as_names("predictive", predictive)),
            observed=as_mapping("observed", observed),
            constant=as_mapping("constant_data", constant_data),
            coords=as_mapping("coords", coords),
            dims=as_dims(dims),
            partial=partial,
        )

    @classmethod
    def of(cls, guide: Any, simulator: Callable[[], Any] | None, **options: Any) -> Call:
        """The arguments of a call that takes options by name.

        Raises
        ------
        ArgumentError
            If there is no such option, or one that is needed is missing.
        """
        known = list(inspect.signature(cls.checked).parameters)[2:]
        for name in options.keys() - set(known):
            raise ArgumentError(
                f"there is no option {name!r} of a simulation; there are {quoted(known)}."
                f"{suggestion(name, known)}"
            )
        if "num_guide_samples" not in options:
            raise ArgumentError("num_guide_samples is missing: say how many particles there are to be")
        return cls.checked(guide, simulator, **options)

    def here(self) -> Call:
        """The same for this process: an executor may be gone when the call is made again."""
        return replace(self, options={**self.options, "workers": None})

    def warn_thin(self) -> None:
        """Say where the promise of a family is too low for some positions."""
        if isinstance(self.guide, FamilyGuide):
            self.guide.warn_thin(self.num_particles)

    def pipeline(self, particles: Particles, seed: int) -> Pipeline:
        """What is made of particles."""
        found = Pipeline(
            particles,
            seed=seed,
            seeded=self.seed is not None,
            partial=self.partial,
            vectorize=beside(self.options["vectorize"], self.simulator),
            progressbar=self.options["progressbar"],
            observed=self.observed,
            constant=self.constant,
            coords=self.coords,
            dims=self.dims,
        )
        if particles.data:  # a whole program: models are likely to be of its kind
            for part in self.guide.parts(self.num_particles, seed):
                found.seen.expect_data(part.program.fn)
            found.seen.expect_data(None if self.simulator is None else self.simulator.fn)
        return found
