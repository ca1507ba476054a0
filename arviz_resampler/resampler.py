"""`Resampler`, the public entry point: signatures, documentation and checks of arguments."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from torch import Tensor

from arviz_resampler import containers
from arviz_resampler.analysis.compare import compare
from arviz_resampler.analysis.comparison import Comparison
from arviz_resampler.analysis.failures import failures
from arviz_resampler.analysis.quantities import Statistic
from arviz_resampler.analysis.sensitivity import power_scaling
from arviz_resampler.arguments import (
    as_count,
    as_dims,
    as_integer,
    as_mapping,
    as_name,
    as_names,
    as_optional,
    as_positive,
    as_probability,
    as_seed,
    as_variants,
)
from arviz_resampler.draws.chooser import global_seed
from arviz_resampler.errors import ArgumentError, WeightWarning, warn
from arviz_resampler.particles.guides import as_guide, untouched
from arviz_resampler.particles.reach import Reach
from arviz_resampler.particles.simulation import simulate, simulate_one
from arviz_resampler.particles.top_up import Cache, TopUp
from arviz_resampler.pipeline import Model, Pipeline
from arviz_resampler.programs.program import Program
from arviz_resampler.sites import Site
from arviz_resampler.tuning.family_guide import FamilyGuide
from arviz_resampler.tuning.tuner import Tuner
from arviz_resampler.weights.weights import Weights

_ONE_AT_A_TIME = threading.RLock()  # top-ups, of which each goes on from the particles that there are


class Resampler:
    """Particles from a guide, simulated once, that show any prior by importance resampling.

    Parameters
    ----------
    guide : callable, sequence of callable, Mixture or FamilyGuide
        Pyro program without arguments that draws the particles. It should be diffuse, covering
        every model to be looked at; several share the particles, and :func:`family` makes a guide for a
        whole box of hyper-parameters.
    simulator : callable, optional
        Larger program, run on the guide's draws, that adds sites downstream. Runs once over the
        particles, after two runs of one. What carries ``obs=`` is sampled, and its data kept.
    num_guide_samples : int
        How many particles to draw; much larger than the draws that will be asked for.
    max_plate_nesting : int, optional
        Accepted, as in the signature of Pyro's class, and not needed: programs run as they are written.
    random_seed : int or numpy.random.Generator, optional
        With a seed the particles depend on the seed and the programs alone, and no global generator is
        touched; those of one program begin with the same ones whatever their number. Without one, a seed is
        drawn from torch's global generator.
    batch_size : int, optional
        How many particles to simulate at a time at most; bounds the memory. One that is no multiple of 4096
        has random numbers of its own.
    vectorize : bool or "auto", default "auto"
        Whether programs are mapped over particles. What cannot be mapped, as a branch on a value, runs
        one particle at a time, with a warning; True refuses it instead, False never maps.
    on_error : {"raise", "mask"}
        Treatment of a particle whose run raises. "mask" keeps it and its weight, its predictive
        values NaN; the fraction of a model's mass that failed is part of the verdict.
    observed : mapping of str to array_like, optional
        Data of predictive sites, instead of or beside ``obs=``. Its sites become predictive.
    predictive : str or sequence of str, optional
        Sites that are predictive, beside those that carry ``obs=``.
    constant_data : mapping of str to array_like, optional
        Arrays to be kept in the group ``constant_data``.
    coords : mapping of str to array_like, optional
        Labels by dim.
    dims : mapping of str to sequence of str or None, optional
        Names of the axes by site: of all of them, or of those of its event. None keeps the default name.
    partial : bool, default False
        Whether a model may leave out latents of the guide, which then keep the guide's distribution.
    keep_programs : bool, default False
        Whether guide and simulator are pickled too, for :meth:`top_up` and :meth:`simulate_one` afterwards;
        they must be picklable then.
    progressbar : bool, default True
        Whether to show progress over batches.

    Attributes
    ----------
    pipeline : Pipeline
        The cache of particles and the steps from a model to draws, for extensions. Its methods may change.

    Raises
    ------
    ArgumentError
        If an argument is not usable as given.
    ProgramError
        If a program cannot be run, or holds something it may not hold.

    See Also
    --------
    pyro.infer.resampler.Resampler : The class whose contract this one keeps.

    Examples
    --------
    >>> import pyro, pyro.distributions as dist
    >>> def prior(scale):
    ...     return lambda: pyro.sample("mu", dist.Normal(0.0, scale))
    >>> def simulator():
    ...     mu = prior(10.0)()
    ...     with pyro.plate("school", 8):
    ...         pyro.sample("y", dist.Normal(mu, 1.0))
    >>> resampler = Resampler(prior(10.0), simulator, num_guide_samples=20_000, random_seed=0)
    >>> draws = resampler.sample(prior(3.0), num_samples=500)
    >>> draws["mu"].shape, draws["y"].shape
    (torch.Size([500]), torch.Size([500, 8]))
    >>> resampler.weigh(prior(3.0)).verdict
    'good'
    """

    def __init__(
        self,
        guide: Any,
        simulator: Callable[[], Any] | None = None,
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
        keep_programs: bool = False,
        progressbar: bool = True,
    ) -> None:
        num_guide_samples = as_count("num_guide_samples", num_guide_samples)
        batch_size = None if batch_size is None else as_count("batch_size", batch_size)
        max_plate_nesting = as_optional("max_plate_nesting", max_plate_nesting)
        if vectorize not in (True, False, "auto"):
            raise ArgumentError(f'vectorize must be True, False or "auto", got {vectorize!r}')
        if on_error not in ("raise", "mask"):
            raise ArgumentError(f'on_error must be "raise" or "mask", got {on_error!r}')
        drawn_by = as_guide(guide)
        extended_by = None if simulator is None else Program(simulator, "simulator")
        given = as_seed(random_seed)
        coords, dims = as_mapping("coords", coords), as_dims(dims)
        observed, constant_data = as_mapping("observed", observed), as_mapping("constant_data", constant_data)
        seed = global_seed() if given is None else given
        if isinstance(drawn_by, FamilyGuide):
            drawn_by.warn_thin(num_guide_samples)
        options: dict[str, Any] = {"seed": seed, "batch_size": batch_size, "vectorize": vectorize}
        options |= {"on_error": on_error, "progressbar": progressbar}
        # Observed data without any predictive site has nothing to be compared with; it is kept as it is.
        particles = simulate(
            drawn_by,
            extended_by,
            num_guide_samples,
            predictive=frozenset(as_names("predictive", predictive)),
            data_names=frozenset(observed),
            **options,
        )
        self._keeps = keep_programs
        self._wanted: tuple[Program, xr.Dataset] | None = None
        self._cache: Cache | None = Cache(drawn_by, extended_by, particles, options)
        self.pipeline = Pipeline(
            particles,
            seed=seed,
            seeded=given is not None,
            partial=partial,
            vectorize=vectorize,
            progressbar=progressbar,
            observed=observed,
            constant=constant_data,
            coords=coords,
            dims=dims,
        )
        if particles.data:  # a whole program: models are likely to be of its kind
            for part in drawn_by.parts(num_guide_samples, seed):
                self.pipeline.seen.expect_data(part.program.fn)
            self.pipeline.seen.expect_data(simulator)

    def __getstate__(self) -> dict[str, Any]:
        # Most programs do not pickle.
        kept = {} if self._keeps else {"_cache": None, "_wanted": None}
        return {**self.__dict__, **kept}

    def _programs(self) -> Cache:
        """The particles with the programs that they come from."""
        if self._cache is None:
            raise ArgumentError(
                "a Resampler that was pickled or copied has no programs to run: make it again, with "
                "keep_programs=True"
            )
        return self._cache

    @property
    def sites(self) -> dict[str, Site]:
        """Sites of guide and simulator: name, role, dims, shape and dtype of each."""
        return self.pipeline.particles.sites

    def __repr__(self) -> str:
        lines = [f"Resampler of {self.pipeline.particles.num_particles} particles, seed {self.pipeline.seed}"]
        for site in self.sites.values():
            axes = ", ".join(f"{d}: {s}" for d, s in zip(site.dims, site.shape, strict=True))
            lines.append(f"  {site.name:<16} {site.role:<13} ({axes}) {site.dtype}")
        return "\n".join(lines)

    # ---------------------------------------------------------------- weights

    def weigh(self, model: Model) -> Weights:
        """Importance weights of a model on the particles.

        Parameters
        ----------
        model : callable
            Pyro program without arguments: priors of the guide's latents, or a whole generative
            program.

        Returns
        -------
        Weights
            Log ratios by site, ESS, k-hat, verdict and advice.

        Raises
        ------
        ProgramError
            If the model cannot be run.
        MismatchError
            If its sites do not fit the particles.
        WeightError
            If a log ratio is NaN at a particle.
        """
        return self.pipeline.score(model).weights

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
        >>> def guide():
        ...     return pyro.sample("mu", dist.Normal(0.0, 1.0))
        >>> resampler = Resampler(guide, num_guide_samples=100, random_seed=0)
        >>> one = resampler.simulate_one(7)
        >>> one["mu"].shape
        torch.Size([])
        """
        cache = self._programs()
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

    # ---------------------------------------------------------------- draws

    def sample(self, model: Model, num_samples: int, stable: bool = True) -> dict[str, Tensor]:
        """Draws from a model, extended by the simulator.

        Parameters
        ----------
        model : callable
            Pyro program without arguments.
        num_samples : int
            How many draws, S.
        stable : bool, default True
            Whether draws are coupled across models, for plots. False gives independent draws.

        Returns
        -------
        dict of str to Tensor
            By site, shape ``(S, *plates, *event)``: plates in the order of their axes, no padding.
            On the device of the particles, in their dtype.

        Raises
        ------
        ArgumentError
            If ``num_samples`` is no positive integer.
        WeightError
            If no particle is in the support of the model.
        """
        num_samples = as_count("num_samples", num_samples)
        return self.pipeline.draw(model, num_samples, "stable" if stable else "multinomial")

    def sample_prior_predictive(
        self,
        model: Model,
        num_samples: int = 1000,
        *,
        scheme: str = "stable",
        name: str | None = None,
        container: str = "auto",
        random_seed: int | np.random.Generator | None = None,
    ) -> Any:
        """Draws from a model in an ArviZ container, with the diagnostics of its weights.

        Parameters
        ----------
        model : callable
            Pyro program without arguments.
        num_samples : int, default 1000
            How many draws, S.
        scheme : {"stable", "multinomial", "stratified", "systematic", "residual"}
            How particles are chosen: see :mod:`arviz_resampler.draws.schemes`.
        name : str, optional
            Name of the variant; the name of the program if absent.
        container : {"auto", "inferencedata", "datatree"}
            What to build; "auto" is ``InferenceData`` with ArviZ 0.x, ``DataTree`` with ArviZ 1.x.
        random_seed : int or numpy.random.Generator, optional
            Seed of the choice of particles. Stable draws of two models share it.

        Returns
        -------
        InferenceData or DataTree
            Groups ``prior``, ``prior_predictive``, ``sample_stats_prior``, and ``observed_data`` and
            ``constant_data`` where there are such data.

        Raises
        ------
        ArgumentError
            If an argument is not usable as given.
        WeightError
            If no particle is in the support of the model.

        Notes
        -----
        ``plot_ppc_dist`` of ArviZ 1.x takes each letter of ``__variable__`` for a dim: with a plate
        called ``a``, ``b``, ``i`` or the like, pass it ``cols=["__variable__"]``.
        """
        num_samples = as_count("num_samples", num_samples)
        seed, kind = as_seed(random_seed), containers.resolve(container)
        name = as_name("name", name) or str(getattr(model, "__name__", type(model).__name__))
        scored = self.pipeline.score(model)
        drawn = self.pipeline.draw_container(
            scored, num_samples, name, scheme=scheme, seed=seed, container=kind
        )
        return drawn.container

    def tune(self, make_model: Callable[..., Any], num_samples: int = 1000, /, **ranges: Any) -> Tuner:
        """Priors of a family, to be looked at one by one.

        Parameters
        ----------
        make_model : callable
            Takes hyper-parameters by name and returns a Pyro program without arguments.
        num_samples : int, default 1000
            How many draws to make of each prior. Given by place, so that no name of a hyper-parameter
            is taken.
        **ranges : tuple of number
            The lowest and highest value of each hyper-parameter. It starts at the default that
            ``make_model`` gives it, else in the middle, and is whole where both ends are ``int``. Without
            any, those of the guide, if that is of a family.

        Returns
        -------
        Tuner
            With ``update``, ``code``, ``coverage``, ``history`` and, in a notebook, ``widget``.

        Raises
        ------
        ArgumentError
            If ``make_model`` cannot be called with these hyper-parameters, or a range is none.
        """
        guide = None if self._cache is None else untouched(self._cache.guide)
        if not ranges and isinstance(guide, FamilyGuide):
            ranges = {name: (range_.low, range_.high) for name, range_ in guide.ranges.items()}
        count = as_count("num_samples", num_samples)
        return Tuner(make_model, count, ranges, self)

    # ---------------------------------------------------------------- more particles

    def top_up(
        self,
        model: Model,
        ess: float = 1000,
        *,
        at_most: int | None = None,
        simulator: Callable[[], Any] | None = None,
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
        start = time.perf_counter()
        with _ONE_AT_A_TIME:
            count, cache = self._count(model, ess, at_most), self._programs()
            before = self.pipeline.score(model).weights.ess
            if count:
                if simulator is not None:
                    cache = replace(cache, simulator=Program(simulator, "simulator"))
                self._take(cache.topped_up(Program(model, "model", cache.particles.params), count))
            after = self.pipeline.score(model).weights.ess
        return TopUp(count, before, after, time.perf_counter() - start)

    def _count(self, model: Model, ess: float, at_most: int | None) -> int:
        """How many particles a top-up adds."""
        most = None if at_most is None else as_count("at_most", at_most)
        count = self.reach(model, ess).num_needed
        return count if most is None else min(count, most)

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
            If it does not draw what the particles have, or changes the simulator.

        Examples
        --------
        >>> import pyro, pyro.distributions as dist
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
        count = self._count(model, ess, at_most)
        if not count:
            raise ArgumentError(
                f"the model has an effective sample size of {ess:g} or more: nothing is wanted"
            )
        cache = self._programs()
        program = Program(model, "model", cache.particles.params)
        latents = self.pipeline.new_latents(cache.latents(program, count))
        self._wanted = program, latents
        return latents.copy(deep=True)

    def extend(self, results: Mapping[str, Any] | xr.Dataset) -> TopUp:
        """Add the particles that ``wanted`` has named, simulated elsewhere.

        Parameters
        ----------
        results : Dataset or mapping of str to array_like
            All sites that the simulator adds, particles first or as the dim ``particle``; NaN for a run that
            failed. Latents may be among them, and are compared.

        Returns
        -------
        TopUp
            What was done.

        Raises
        ------
        ArgumentError
            If nothing was wanted, or a result is missing, of another shape, or of other particles.
        """
        start = time.perf_counter()
        if self._wanted is None:
            raise ArgumentError("nothing is wanted: call wanted first, and simulate what it returns")
        program, latents = self._wanted
        with _ONE_AT_A_TIME:
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

    # ---------------------------------------------------------------- numbers, and variants side by side

    def weighted(self, model: Model) -> tuple[xr.Dataset, xr.DataArray]:
        """All particles with the weights of a model, for the weighted statistics of xarray.

        Numbers from weights, plots from draws: a mean over weighted particles has no noise of
        resampling, so it has less error than any set of draws. Where only some particles are looked
        at, as in a plot, take draws.

        Parameters
        ----------
        model : callable
            Pyro program without arguments.

        Returns
        -------
        particles : Dataset
            Every site under the names of the container, with the dim ``particle`` in place of chain
            and draw; deterministic sites of the model are its own. Read-only, in the programs' dtype.
        weights : DataArray
            Normalized weights, dim ``particle``.

        Raises
        ------
        WeightError
            If no particle is in the support of the model.

        Examples
        --------
        >>> import pyro, pyro.distributions as dist
        >>> def prior(scale):
        ...     return lambda: pyro.sample("mu", dist.Normal(0.0, scale))
        >>> resampler = Resampler(prior(10.0), num_guide_samples=20_000, random_seed=0)
        >>> particles, weights = resampler.weighted(prior(3.0))
        >>> float(particles["mu"].weighted(weights).std("particle").round(1))
        3.0
        """
        scored, dataset = self.pipeline.score_for_numbers(model)
        verdict, advice = scored.weights.judge(1)
        if verdict == "unreliable":
            warn(f"weights are {verdict}: {advice}", WeightWarning)
        weights = xr.DataArray(
            scored.weights.normalized, coords={"particle": dataset["particle"]}, name="weight"
        )
        return dataset, weights

    def sensitivity(
        self,
        model: Model,
        *,
        var_names: str | Sequence[str] | None = None,
        statistics: Mapping[str, Statistic] | None = None,
        ci_prob: float = 0.95,
    ) -> pd.DataFrame:
        """Sensitivity of means and standard deviations to power-scaling the prior of one site.

        See :func:`arviz_resampler.analysis.power_scaling`, which has the definitions and sources.

        Parameters
        ----------
        model : callable
            Pyro program without arguments.
        var_names : str or sequence of str, optional
            Variables of prior and prior predictive; all if absent, none if empty.
        statistics : mapping of str to callable, optional
            Functions of the particle dataset that keep the dim ``particle``.
        ci_prob : float, default 0.95
            Probability of the intervals of the derivatives.

        Returns
        -------
        DataFrame
            A row for each latent site and quantity.

        Raises
        ------
        ArgumentError
            If there is no such variable, or a statistic cannot be used.
        WeightError
            If no particle is in the support of the model.

        Warns
        -----
        WeightWarning
            If a derivative is not reliable; one warning, which names the worst.
        """
        ci_prob = as_probability("ci_prob", ci_prob)
        scored = self.pipeline.score_for_numbers(model)
        return power_scaling(*scored, var_names, statistics, ci_prob=ci_prob)

    def compare(
        self,
        models: Mapping[str, Model],
        num_samples: int = 1000,
        *,
        scheme: str = "stable",
        container: str = "auto",
        random_seed: int | np.random.Generator | None = None,
    ) -> Comparison:
        """Several priors on the same particles, side by side.

        Parameters
        ----------
        models : mapping of str to callable
            Programs by the names of their variants, two or more.
        num_samples : int, default 1000
            How many draws of each.
        scheme, container, random_seed
            As in :meth:`sample_prior_predictive`. All variants share the randomness.

        Returns
        -------
        Comparison
            A dict of containers for the plots of ArviZ, with tables of diagnostics, and weighted numbers with
            their errors.

        Raises
        ------
        ArgumentError
            If there are fewer than two variants, or an argument is not usable as given.

        Warns
        -----
        WeightWarning
            For each variant whose weights are unreliable. One that no particle supports has no draws, and
            does not affect the others.

        Examples
        --------
        >>> import pyro, pyro.distributions as dist
        >>> def prior(scale):
        ...     return lambda: pyro.sample("mu", dist.Normal(0.0, scale))
        >>> resampler = Resampler(prior(10.0), num_guide_samples=20_000, random_seed=0)
        >>> comparison = resampler.compare({"vague": prior(8.0), "informed": prior(4.0)})
        >>> float(comparison.summary().loc[("mu", "informed"), "sd"].round(1))
        4.0
        """
        return compare(
            self.pipeline,
            as_variants(models, 2),
            as_count("num_samples", num_samples),
            scheme=scheme,
            container=containers.resolve(container),
            seed=as_seed(random_seed),
        )
