"""More particles for a Resampler: of a model, or simulated elsewhere, and how far those it has reach.

Knows the pipeline and the programs that the particles come from; nothing of draws, variants or
hyper-parameters.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, overload

import pandas as pd
import xarray as xr
from torch import Tensor

from arviz_resampler.analysis.failures import failures
from arviz_resampler.arguments import as_count, as_integer, as_positive, integer_or_none
from arviz_resampler.calls import Call
from arviz_resampler.errors import ArgumentError, MismatchError, quoted
from arviz_resampler.particles.given import Described
from arviz_resampler.particles.guides import untouched
from arviz_resampler.particles.reach import Reach, TopUp
from arviz_resampler.particles.simulation import simulate_one
from arviz_resampler.particles.top_up import Cache
from arviz_resampler.pipeline import Model, Pipeline
from arviz_resampler.programs.program import Program
from arviz_resampler.simulations import extended
from arviz_resampler.workers import Executors, Workers, as_workers

_ONE_AT_A_TIME = threading.RLock()  # top-ups, of which each goes on from the particles that there are


class Growing:
    """Particles with the programs that they come from, to which others can be added."""

    _why_not = (
        "a Resampler that was pickled, copied or opened has no programs to run: make it again, with "
        "keep_programs=True, or with the call that made its store, and top_ups= where models have topped "
        "it up"
    )
    pipeline: Pipeline
    _cache: Cache | None
    _wanted: tuple[Program, xr.Dataset] | None
    _call: Call | None
    _keeps: bool

    def __getstate__(self) -> dict[str, Any]:
        # Most programs do not pickle.
        kept = {} if self._keeps else {"_cache": None, "_wanted": None, "_call": None}
        return {**self.__dict__, **kept}

    def _programs(self) -> Cache:
        """The particles with the programs that they come from."""
        if self._cache is None:
            raise ArgumentError(self._why_not)
        return self._cache

    def _own_programs(self) -> Cache:
        """The same where the programs have simulated the particles, too."""
        cache = self._programs()
        if isinstance(untouched(cache.guide), Described):
            raise ArgumentError(
                "these particles were simulated elsewhere: nothing here can simulate one of them again, or "
                "more of them. wanted says what to simulate for a model, and extend takes the results"
            )
        return cache

    def simulate_one(self, particle: int) -> dict[str, Tensor]:
        """Run guide and simulator once more for one particle, to look into them with a debugger.

        Parameters
        ----------
        particle : int
            Its number, from 0 to N - 1.

        Returns
        -------
        dict of str to Tensor
            The values of all sites, shape ``(*plates, *event)``. What ran one particle at a time runs from
            the stream of this particle; what was drawn for all at once keeps its values.

        Raises
        ------
        ArgumentError
            If there is no such particle, or the Resampler was pickled and has no programs.
        ProgramError
            If the run of this particle fails, as it did for a Resampler with ``on_error="mask"``.

        Examples
        --------
        >>> import pyro, pyro.distributions as dist
        >>> from arviz_resampler import Resampler
        >>> def guide():
        ...     return pyro.sample("mu", dist.Normal(0.0, 1.0))
        >>> resampler = Resampler(guide, num_guide_samples=100, random_seed=0)
        >>> one = resampler.simulate_one(7)
        >>> one["mu"].shape
        torch.Size([])
        """
        cache = self._own_programs()
        particles = self.pipeline.particles
        n = particles.num_particles
        number = as_integer("particle", particle, 0, n - 1, f"an integer from 0 to {n - 1}")
        programs = cache.guide, cache.simulator
        return simulate_one(*programs, particles, seed=self.pipeline.seed, particle=number)

    @property
    def failures(self) -> pd.DataFrame:
        """Particles whose run failed, kept by ``on_error="mask"``.

        A row for each, by its number: ``error``, what it raised, then each scalar that the guide drew for it.
        """
        return failures(self.pipeline)

    def top_up(
        self,
        model: Model,
        ess: float = 1000,
        *,
        at_most: int | None = None,
        simulator: Callable[[], Any] | None = None,
        executor: Executors | None = None,
    ) -> TopUp:
        """Simulate more particles where a model is, until it has an effective sample size.

        As many particles as that takes are drawn from the model itself, simulated, and added to the others;
        all are weighted by the mixture of guide and model. No model loses effective particles by it. Draws
        of a model move as far as its weights do. Tuners see the new particles.

        Parameters
        ----------
        model : callable
            Pyro program without arguments that draws the guide's latents.
        ess : float, default 1000
            The effective sample size that the model is to have.
        at_most : int, optional
            How many particles may be added.
        simulator : callable, optional
            What extends the new particles; that of the Resampler if absent.
        executor : concurrent.futures.Executor, callable or int, optional
            What runs the batches, as of a Resampler; this process if absent.

        Returns
        -------
        TopUp
            What was done: particles added, ESS before and after, seconds.

        Raises
        ------
        ArgumentError
            If an argument is not usable, or the Resampler was pickled and has no programs.
        ProgramError
            If the model cannot be drawn from, as one with a ``pyro.factor``.
        MismatchError
            If it does not draw what the particles have, or changes the simulator.

        Notes
        -----
        n new particles beside N leave the effective sample size ``1 / E_p[1 / (n + N * q / p)]``, which draws
        of the model tell before anything is simulated; at most ``ess`` less the one that there is are needed.

        Examples
        --------
        >>> import pyro, pyro.distributions as dist
        >>> from arviz_resampler import Resampler
        >>> def prior(mean, sd):
        ...     return lambda: pyro.sample("mu", dist.Normal(mean, sd))
        >>> resampler = Resampler(prior(0.0, 1.0), num_guide_samples=10_000, random_seed=0)
        >>> bool(resampler.weigh(prior(8.0, 0.5)).ess < 10)
        True
        >>> resampler.top_up(prior(8.0, 0.5), ess=500).num_added
        500
        >>> bool(resampler.weigh(prior(8.0, 0.5)).ess > 475)
        True
        """
        start, workers = time.perf_counter(), as_workers(executor)
        with _ONE_AT_A_TIME:
            count, cache = self._count(model, ess, at_most), self._programs()
            before = self.pipeline.score(model).weights.ess
            if count:
                if simulator is None and cache.lacks_simulator:
                    raise ArgumentError(
                        "these particles were simulated elsewhere: pass simulator=, or simulate what wanted "
                        "returns, and pass the results to extend"
                    )
                if simulator is not None:
                    cache = replace(cache, simulator=Program(simulator, "simulator"))
                program = Program(model, "model", cache.particles.params)
                self._take(cache.topped_up(program, count, workers))
            after = self.pipeline.score(model).weights.ess
        return TopUp(count, before, after, time.perf_counter() - start)

    def _count(self, model: Model, ess: float, at_most: int | None) -> int:
        """How many particles a top-up adds."""
        most = None if at_most is None else as_count("at_most", at_most)
        return self._programs().whole_batches(self.reach(model, ess).num_needed, most)

    def _take(self, cache: Cache) -> None:
        """Go on with more particles."""
        self._cache = replace(cache, simulator=self._programs().simulator)
        self.pipeline = self.pipeline.with_particles(cache.particles)
        self._wanted = None

    def wanted(self, model: Model, ess: float = 1000, *, at_most: int | None = None) -> xr.Dataset:
        """Latents of the particles that a top-up would add, to be simulated elsewhere.

        Parameters
        ----------
        model, ess, at_most
            As of :meth:`top_up`.

        Returns
        -------
        Dataset
            What the model draws, with the dim ``particle``, numbered after the particles that there are.
            :meth:`extend` takes what a simulation makes of it.

        Raises
        ------
        ArgumentError
            If an argument is not usable, the Resampler was pickled and has no programs, or the model has
            enough effective particles.
        ProgramError
            If the model cannot be drawn from.
        MismatchError
            If it does not draw what the particles have, or has a density at what is simulated.

        Examples
        --------
        >>> import pyro, pyro.distributions as dist
        >>> from arviz_resampler import Resampler
        >>> def prior(mean):
        ...     return lambda: pyro.sample("mu", dist.Normal(mean, 1.0))
        >>> def simulator():
        ...     pyro.sample("y", dist.Normal(prior(0.0)(), 0.1))
        >>> resampler = Resampler(prior(0.0), simulator, num_guide_samples=2000, random_seed=0)
        >>> latents = resampler.wanted(prior(9.0), ess=200)
        >>> results = latents.assign(y=latents["mu"] + 0.1)  # of a simulator that is no Pyro program
        >>> resampler.extend(results).num_added
        200
        """
        with _ONE_AT_A_TIME:
            count = self._count(model, ess, at_most)
            if not count:
                raise ArgumentError(
                    f"the model has an effective sample size of {ess:g} or more: nothing is wanted"
                )
            cache = self._programs()
            program = Program(model, "model", cache.particles.params)
            new = cache.latents(program, count)
            unknown = self.pipeline.score(model).scored.keys() & set(cache.missing(new))
            if unknown:
                raise MismatchError(
                    f"the model has a density at {quoted(unknown)}, but results of a simulation elsewhere "
                    f"have none: leave it out of the model"
                )
            latents = self.pipeline.new_latents(new)
            self._wanted = program, latents
        return latents.copy(deep=True)

    @overload
    def extend(self, results: int, *, executor: Executors | None = None) -> None: ...

    @overload
    def extend(self, results: Mapping[str, Any] | xr.Dataset) -> TopUp: ...

    def extend(
        self, results: int | Mapping[str, Any] | xr.Dataset, *, executor: Executors | None = None
    ) -> TopUp | None:
        """Add particles: those that the guide draws next, or those that ``wanted`` has named.

        Parameters
        ----------
        results : int, Dataset or mapping of str to array_like
            How many particles there are to be, which are then those of a Resampler that had as many from the
            start. Or results of a simulation elsewhere: all sites that the simulator adds, particles first or
            as the dim ``particle``; NaN for a run that failed. Latents may be among them, and are compared.
        executor : concurrent.futures.Executor, callable or int, optional
            What runs the batches of the guide, as of a Resampler; this process if absent.

        Returns
        -------
        TopUp or None
            What was done with results.

        Raises
        ------
        ArgumentError
            If nothing was wanted, a result is missing, of another shape, or of other particles, or there
            are more particles than the number says.
        StoreError
            If the store cannot be written.

        Examples
        --------
        >>> import pyro, pyro.distributions as dist
        >>> from arviz_resampler import Resampler
        >>> def guide():
        ...     pyro.sample("mu", dist.Normal(0.0, 1.0))
        >>> resampler = Resampler(guide, num_guide_samples=1000, random_seed=0)
        >>> resampler.extend(5000)
        >>> resampler.weigh(guide).ess
        5000.0
        """
        if (number := integer_or_none(results)) is not None:
            self._extend_to(as_count("num_guide_samples", number), as_workers(executor))
            return None
        if not isinstance(results, Mapping):
            raise ArgumentError(
                f"extend takes a number of particles, or results by the names of sites, got {results!r}"
            )
        return self._extend_by(results)

    def _extend_to(self, num_particles: int, workers: Workers | None) -> None:
        """Add the particles that the guide draws next."""
        with _ONE_AT_A_TIME:
            cache, call = self._own_programs(), self._call
            assert call is not None
            here = self.pipeline.particles.num_particles
            if num_particles < here:
                raise ArgumentError(
                    f"num_guide_samples must be at least {here}, which there are, got {num_particles}"
                )
            if num_particles == here and cache.store is None:
                return
            call = replace(call, num_particles=num_particles, seed=self.pipeline.seed)
            self._take(extended(call, cache, workers))
            self._call = call

    def _extend_by(self, results: Any) -> TopUp:
        """Add the particles that were wanted."""
        start = time.perf_counter()
        with _ONE_AT_A_TIME:
            if self._wanted is None:
                raise ArgumentError("nothing is wanted: call wanted first, and simulate what it returns")
            program, latents = self._wanted
            cache, count = self._programs(), latents.sizes["particle"]
            drawn = cache.latents(program, count)
            if not self.pipeline.new_latents(drawn).equals(latents):
                raise ArgumentError(
                    "the model draws other values than when they were wanted: a value that it reads has "
                    "changed since. Call wanted again, and simulate what it returns."
                )
            names = cache.missing(drawn)
            values = self.pipeline.simulated(latents, results, names)
            before = self.pipeline.score(program.fn).weights.ess
            self._take(cache.extended(program, drawn, values))
            after = self.pipeline.score(program.fn).weights.ess
        return TopUp(count, before, after, time.perf_counter() - start)

    def reach(self, model: Model, ess: float = 1000, *, num_draws: int = 1000) -> Reach:
        """How far the particles reach into a model, by draws of the model; runs no simulator.

        Parameters
        ----------
        model : callable
            Pyro program without arguments that draws the guide's latents.
        ess : float, default 1000
            The effective sample size that the model is to have.
        num_draws : int, default 1000
            How many draws of the model tell it.

        Returns
        -------
        Reach
            ``ess``, the effective sample size that is expected, and ``num_needed``, how many particles a
            top-up would simulate: at most what is missing.

        Raises
        ------
        ArgumentError
            If ``ess`` is no positive number, or the Resampler was pickled and has no programs.
        ProgramError
            If the model cannot be drawn from, as one with a ``pyro.factor``.
        MismatchError
            If it does not draw what the particles have, or changes the simulator.
        """
        cache, wish = self._programs(), as_positive("ess", ess)
        num_draws = as_count("num_draws", num_draws)
        self.pipeline.drawable(model)
        return cache.reach(Program(model, "model", cache.particles.params), wish, num_draws)
