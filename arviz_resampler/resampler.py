"""`Resampler`, the public entry point: signatures, documentation and checks of arguments."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from torch import Tensor

from arviz_resampler import containers
from arviz_resampler.analysis.compare import compare
from arviz_resampler.analysis.comparison import Comparison
from arviz_resampler.analysis.quantities import Statistic
from arviz_resampler.analysis.sensitivity import power_scaling
from arviz_resampler.arguments import (
    as_count,
    as_name,
    as_path,
    as_probability,
    as_seed,
    as_variants,
)
from arviz_resampler.calls import Call
from arviz_resampler.errors import WeightWarning, warn
from arviz_resampler.markup import page
from arviz_resampler.opening import opened
from arviz_resampler.pipeline import Model
from arviz_resampler.simulations import SimulationReport, fill, simulated, simulated_into
from arviz_resampler.sites import Site
from arviz_resampler.targeting import Targeting
from arviz_resampler.tuning.tuner import Tuner
from arviz_resampler.weights.weights import Weights
from arviz_resampler.workers import Executors


class Resampler(Targeting):
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
        one particle at a time, with a warning; True refuses it instead. False never maps the simulator;
        without one, neither guide nor models.
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
        Whether to show progress of what takes more than two seconds.
    store : path_like, optional
        Directory that keeps the particles, with each batch as soon as it is finished. The same call goes on
        with one that is there. ``num_guide_samples`` is a multiple of ``batch_size`` then, and what is
        predicted stays on disk.
    executor : concurrent.futures.Executor, callable or int, optional
        What runs the batches: an executor of processes, a callable that makes one, also in place of one that
        broke, or how many processes to start. The particles are the same for any.
    top_ups : sequence of callable, optional
        Models of the top-ups that the store has had, in their order, for further ones.

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
    StoreError
        If the store is one of other particles, or cannot be written.
    WorkerError
        If the programs cannot be sent to other processes, or one of these has died.

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
        store: str | os.PathLike[str] | None = None,
        executor: Executors | None = None,
        top_ups: Sequence[Model] = (),
    ) -> None:
        call = Call.checked(
            guide,
            simulator,
            num_guide_samples=num_guide_samples,
            max_plate_nesting=max_plate_nesting,
            random_seed=random_seed,
            batch_size=batch_size,
            vectorize=vectorize,
            on_error=on_error,
            observed=observed,
            predictive=predictive,
            constant_data=constant_data,
            coords=coords,
            dims=dims,
            partial=partial,
            progressbar=progressbar,
            executor=executor,
        )
        self._keeps, self._wanted, self._call = keep_programs, None, call.here()
        if store is None:
            self.pipeline, self._cache = simulated(call)
        else:
            self.pipeline, self._cache = simulated_into(call, as_path("store", store), top_ups)

    @classmethod
    def open(
        cls,
        store: str | os.PathLike[str],
        *,
        incomplete: bool = False,
        check: bool = False,
        progressbar: bool = True,
    ) -> Resampler:
        """The particles of a store, without the programs that they come from.

        Parameters
        ----------
        store : path_like
            The directory.
        incomplete : bool, default False
            Whether to take what is there where batches are missing.
        check : bool, default False
            Whether to read everything, and compare it with its checksums.
        progressbar : bool, default True
            Whether to show progress of models that run one particle at a time.

        Returns
        -------
        Resampler
            All that it does without simulating; what is predicted stays on disk.

        Raises
        ------
        ArgumentError
            If it is no path.
        StoreError
            If there is no store, batches are missing, or what is there is not as it was written.

        Warns
        -----
        StoreWarning
            If batches are missing with ``incomplete=True``.

        Examples
        --------
        >>> import os, tempfile
        >>> import pyro, pyro.distributions as dist
        >>> def prior(scale):
        ...     return lambda: pyro.sample("mu", dist.Normal(0.0, scale))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "particles.zarr")
        ...     made = Resampler(prior(10.0), num_guide_samples=4096, random_seed=0, store=path)
        ...     float(Resampler.open(path).weigh(prior(3.0)).ess) == float(made.weigh(prior(3.0)).ess)
        True
        """
        found = cls.__new__(cls)
        pipeline = opened(
            as_path("store", store), incomplete=incomplete, check=check, progressbar=progressbar
        )
        vars(found).update(pipeline=pipeline, _keeps=False, _wanted=None, _cache=None, _call=None)
        return found

    @staticmethod
    def simulate(
        guide: Any,
        simulator: Callable[[], Any] | None = None,
        *,
        store: str | os.PathLike[str],
        shard: str | None = None,
        **options: Any,
    ) -> SimulationReport:
        """Fill a store, or a share of it, as one of several tasks that know nothing of each other.

        Parameters
        ----------
        guide, simulator
            As of a Resampler.
        store : path_like
            The directory; the first task makes it.
        shard : str, optional
            Which batches: "3/100" are those whose number leaves 3 when divided by 100. All if absent.
        **options
            All others of a Resampler, ``num_guide_samples`` among them; a shard needs ``random_seed``.

        Returns
        -------
        SimulationReport
            What is done and what is missing. Once nothing is, :meth:`open` gives a Resampler.

        Raises
        ------
        ArgumentError
            If an argument is not usable, or a shard has no seed.
        ProgramError
            If a program cannot be run.
        StoreError
            If the store is one of other particles, cannot be written, or its shard is being written.

        Examples
        --------
        >>> import os, tempfile
        >>> import pyro, pyro.distributions as dist
        >>> def guide():
        ...     pyro.sample("mu", dist.Normal(0.0, 10.0))
        >>> options = {"num_guide_samples": 400, "batch_size": 100, "random_seed": 0, "progressbar": False}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "particles.zarr")
        ...     for shard in ("0/2", "1/2"):
        ...         print(Resampler.simulate(guide, store=path, shard=shard, **options).missing)
        (1, 3)
        ()
        """
        return fill(Call.of(guide, simulator, **options), as_path("store", store), shard=shard)[2]

    @property
    def sites(self) -> dict[str, Site]:
        """Sites of guide and simulator, by name, which print themselves: role, dims, shape and dtype."""
        return self.pipeline.particles.sites

    @property
    def _title(self) -> str:
        return f"Resampler of {self.pipeline.particles.num_particles} particles, seed {self.pipeline.seed}"

    def __repr__(self) -> str:
        return f"{self._title}\n{self.sites!r}"

    def _repr_html_(self) -> str:
        return page(self._title, self.pipeline.particles.sites.html_table())

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
        var_names: str | Sequence[str] | None = None,
        group: str | Sequence[str] | None = None,
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
        var_names : str or sequence of str, optional
            Variables of the container; all if absent. Others are not read, which matters where a predictive
            is large.
        group : str or sequence of str, optional
            Groups of draws of the container, "prior" and "prior_predictive"; both if absent. Of a posterior
            "posterior" and "posterior_predictive".

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
            scored,
            num_samples,
            name,
            scheme=scheme,
            seed=seed,
            container=kind,
            selection=containers.Selection(var_names, group),
        )
        return drawn.container

    def posterior(self, samples: Any, *, container: str = "auto") -> Any:
        """Posterior of Pyro in an ArviZ container, with the names, labels and data of the priors' containers.

        See :func:`posterior`, which has the same from a model, and says what samples may be.

        Parameters
        ----------
        samples : MCMC or mapping of str to array_like
            Draws by site: of all latents of the guide, and of any site of the simulator. Plates are in the
            order of guide and simulator.
        container : {"auto", "inferencedata", "datatree"}
            What to build.

        Returns
        -------
        InferenceData or DataTree
            Groups ``posterior``, ``posterior_predictive``, ``sample_stats``, ``observed_data`` and
            ``constant_data``, as far as there is something in them.

        Raises
        ------
        ArgumentError
            If the samples do not fit the sites of the Resampler, or there are none.

        Examples
        --------
        >>> import numpy as np, pyro, pyro.distributions as dist, torch
        >>> def prior():
        ...     pyro.sample("b", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        >>> names = {"dims": {"b": ["term"]}, "coords": {"term": ["bmi", "bp"]}}
        >>> resampler = Resampler(prior, num_guide_samples=1000, random_seed=0, **names)
        >>> made = resampler.posterior({"b": np.zeros((4, 500, 2))})
        >>> made.posterior["b"].dims, made.posterior["term"].values.tolist()
        (('chain', 'draw', 'term'), ['bmi', 'bp'])
        """
        return self.pipeline.posterior(samples, containers.resolve(container))

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
        return Tuner(make_model, as_count("num_samples", num_samples), ranges or self._box(), self)

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

        Of a posterior with the group ``log_likelihood`` also to all priors together and to the likelihood,
        with a diagnosis in words.

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
        known = self.pipeline.particles.log_likelihood
        log_likelihood = None if known is None else known.numpy()
        return power_scaling(*scored, var_names, statistics, ci_prob=ci_prob, log_likelihood=log_likelihood)

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
