"""The front door: owns the particles and hands them down to the rooms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from torch import Tensor

from arviz_resampler.analysis.comparison import Comparison, side_by_side
from arviz_resampler.analysis.quantities import Statistic
from arviz_resampler.analysis.sensitivity import power_scaling
from arviz_resampler.arguments import as_count, as_mapping, as_optional, as_seed, as_variants
from arviz_resampler.containers import container as containers
from arviz_resampler.draws.chooser import Chooser, global_seed
from arviz_resampler.draws.race import Ints
from arviz_resampler.errors import ArgumentError, ProgramWarning, WeightError, WeightWarning, quoted, warn
from arviz_resampler.particles.simulation import simulate, simulate_one
from arviz_resampler.pipeline import particle_dataset, take, to_container
from arviz_resampler.programs.program import Program
from arviz_resampler.scoring.score_model import score_model
from arviz_resampler.scoring.scored import ScoredModel
from arviz_resampler.scoring.scratch import ScratchBuffers
from arviz_resampler.scoring.seen import SeenModels
from arviz_resampler.sites import Site
from arviz_resampler.tuning.tuner import Tuner
from arviz_resampler.weights.weights import Weights


class Resampler:
    """Particles from a guide, simulated once, that show any prior by importance resampling.

    Parameters
    ----------
    guide : callable
        Pyro program without arguments that draws the particles. It should be diffuse, covering
        every model to be looked at.
    simulator : callable, optional
        Larger program, run on the guide's draws, that adds sites downstream. Runs once over the
        particles, after two runs of one. What carries ``obs=`` is sampled, and its data kept.
    num_guide_samples : int
        How many particles to draw; much larger than the draws that will be asked for.
    max_plate_nesting : int, optional
        Accepted, as in the signature of Pyro's class, and not needed: programs run as they are written.
    random_seed : int or numpy.random.Generator, optional
        With a seed the particles depend on the seed and the programs alone: the first ones are the same
        whatever their number, and no global generator is touched. Without one, a seed is drawn from
        torch's global generator.
    batch_size : int, optional
        How many particles to simulate at a time at most; bounds the memory. Below 4096 a batch has
        random numbers of its own.
    vectorize : bool or "auto", default "auto"
        Whether programs are mapped over particles. What cannot be mapped, as a branch on a value, runs
        one particle at a time, with a warning; True refuses it instead, False never maps.
    on_error : {"raise", "mask"}
        What becomes of a particle whose run raises. "mask" keeps it and its weight, its predictive
        values NaN; the share of a model's mass that failed is part of the verdict.
    observed : mapping of str to array_like, optional
        Data of predictive sites, instead of or beside ``obs=``. Its sites become predictive.
    predictive : sequence of str, optional
        Sites that are predictive, beside those that carry ``obs=``.
    constant_data : mapping of str to array_like, optional
        Arrays to be kept in the group ``constant_data``.
    coords : mapping of str to array_like, optional
        Labels by dim.
    dims : mapping of str to sequence of str, optional
        Names of the axes by site: of all of them, or of those of its event.
    partial : bool, default False
        Whether a model may leave out latents of the guide, which then keep the guide's distribution.
    progressbar : bool, default True
        Whether to show progress over batches.

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
        guide: Callable[[], Any],
        simulator: Callable[[], Any] | None = None,
        *,
        num_guide_samples: int,
        max_plate_nesting: int | None = None,
        random_seed: int | np.random.Generator | None = None,
        batch_size: int | None = None,
        vectorize: bool | str = "auto",
        on_error: str = "raise",
        observed: Mapping[str, Any] | None = None,
        predictive: Sequence[str] | None = None,
        constant_data: Mapping[str, Any] | None = None,
        coords: Mapping[str, Any] | None = None,
        dims: Mapping[str, Sequence[str]] | None = None,
        partial: bool = False,
        progressbar: bool = True,
    ) -> None:
        num_guide_samples = as_count("num_guide_samples", num_guide_samples)
        if batch_size is not None:
            batch_size = as_count("batch_size", batch_size)
        max_plate_nesting = as_optional("max_plate_nesting", max_plate_nesting)
        if vectorize not in (True, False, "auto"):
            raise ArgumentError(f'vectorize must be True, False or "auto", got {vectorize!r}')
        if on_error not in ("raise", "mask"):
            raise ArgumentError(f'on_error must be "raise" or "mask", got {on_error!r}')
        programs = Program(guide, "guide"), None if simulator is None else Program(simulator, "simulator")
        seed = as_seed(random_seed)
        self._partial = partial
        self._coords, self._dims = as_mapping("coords", coords), as_mapping("dims", dims)
        if not isinstance(predictive, str | Iterable | None):
            raise ArgumentError(f"predictive must be a name or several names, got {predictive!r}")
        observed, constant_data = as_mapping("observed", observed), as_mapping("constant_data", constant_data)
        names = [predictive] if isinstance(predictive, str) else list(predictive or ())
        self._seed = global_seed() if seed is None else seed
        # Observed data without any predictive site has nothing to be compared with; it is kept as it is.
        self._particles = simulate(
            *programs,
            num_guide_samples,
            seed=self._seed,
            batch_size=batch_size,
            vectorize=vectorize,
            on_error=on_error,
            predictive=frozenset(names),
            data_names=frozenset(observed),
            progressbar=progressbar,
        )
        self._chooser = Chooser(self._seed, num_guide_samples, own=seed is not None)
        self._vectorize, self._progressbar = vectorize, progressbar
        self._programs: tuple[Program, Program | None] | None = programs
        self._said: set[str] = set()
        self._scratch, self._seen = ScratchBuffers(), SeenModels()
        if self._particles.data:  # a whole program: models are likely to be of its kind
            for program in (guide, simulator):
                self._seen.expect_data(program)
        sites = self._particles.sites
        self._observed, self._constant = containers.data_groups(
            {**self._particles.data, **observed}, constant_data, sites
        )
        self._labels = self._make_labels(sites)

    def _make_labels(self, sites: Mapping[str, Site]) -> containers.Labels:
        extra = {**self._observed, **self._constant}
        return containers.Labels(sites, self._coords, self._dims, extra)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_programs": None}  # most programs do not pickle

    @property
    def sites(self) -> dict[str, Site]:
        """What was found in the programs: name, role, dims, shape and dtype of each site."""
        return self._particles.sites

    def __repr__(self) -> str:
        lines = [f"Resampler of {self._particles.num_particles} particles, seed {self._seed}"]
        for site in self.sites.values():
            axes = ", ".join(f"{d}: {s}" for d, s in zip(site.dims, site.shape, strict=True))
            lines.append(f"  {site.name:<16} {site.role:<13} ({axes}) {site.dtype}")
        return "\n".join(lines)

    # ---------------------------------------------------------------- weights

    def weigh(self, model: Callable[[], Any]) -> Weights:
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
        """
        return self._weigh(model).weights

    def _weigh(self, model: Callable[[], Any]) -> ScoredModel:
        weighed = score_model(
            self._particles,
            model,
            partial=self._partial,
            vectorize=self._vectorize,
            progressbar=self._progressbar,
            scratch=self._scratch,
            seen=self._seen,
        )
        new = set(weighed.observed) - self._said
        if new:
            self._said |= new
            warn(
                f"site {quoted(new)} of the model carries obs= and is left out of the weights",
                ProgramWarning,
            )
        return weighed

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
        if self._programs is None:
            raise ArgumentError("a Resampler that was pickled has no programs to run: make it again")
        n = self._particles.num_particles
        if not isinstance(particle, int | np.integer) or not 0 <= particle < n:
            raise ArgumentError(f"particle must be a whole number from 0 to {n - 1}, got {particle!r}")
        return simulate_one(*self._programs, self._particles, seed=self._seed, particle=int(particle))

    # ---------------------------------------------------------------- draws

    def sample(self, model: Callable[[], Any], num_samples: int, stable: bool = True) -> dict[str, Tensor]:
        """Draws from a model, extended by the simulator.

        Parameters
        ----------
        model : callable
            Pyro program without arguments.
        num_samples : int
            How many draws, S.
        stable : bool, default True
            Whether draws are coupled across models, for pictures. False gives independent draws.

        Returns
        -------
        dict of str to Tensor
            By site, shape ``(S, *plates, *event)``: plates in the order of their axes, no padding.
            On the device of the particles, in their dtype.

        Raises
        ------
        WeightError
            If no particle is in the support of the model.
        """
        num_samples = as_count("num_samples", num_samples)
        weighed = self._weigh(model)
        chosen = self._chooser.choose(weighed.weights, num_samples, "stable" if stable else "multinomial")
        return take(weighed.columns, chosen)

    def sample_prior_predictive(
        self,
        model: Callable[[], Any],
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

        Notes
        -----
        ``plot_ppc_dist`` of ArviZ 1.x takes each letter of ``__variable__`` for a dim: with a plate
        called ``a``, ``b``, ``i`` or the like, pass it ``cols=["__variable__"]``.
        """
        num_samples = as_count("num_samples", num_samples)
        kind = containers.resolve(container)
        name = name or str(getattr(model, "__name__", type(model).__name__))
        return self._draw(self._weigh(model), num_samples, name, scheme, as_seed(random_seed), kind)[1]

    def _labels_of(self, weighed: ScoredModel) -> containers.Labels:
        sites = {name: column.site for name, column in weighed.columns.items()}
        return self._labels if sites == self.sites else self._make_labels(sites)

    def _draw(
        self,
        weighed: ScoredModel,
        num_samples: int,
        name: str,
        scheme: str = "stable",
        seed: int | None = None,
        kind: str = "auto",
        variant: str | None = None,
    ) -> tuple[Ints, Any]:
        """The particles that are drawn, and a container of them."""
        chosen = self._chooser.choose(weighed.weights, num_samples, scheme, seed, variant)
        return chosen, to_container(
            weighed,
            chosen,
            self._labels_of(weighed),
            observed=self._observed,
            constant=self._constant,
            attrs={
                "name": name,
                "scheme": scheme,
                "random_seed": _attribute(self._seed if seed is None else seed),
            },
            container=containers.resolve(kind),
        )

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
            ``make_model`` gives it, else in the middle, and is whole where both ends are ``int``.

        Returns
        -------
        Tuner
            With ``update``, ``code``, ``coverage``, ``history`` and, in a notebook, ``widget``.
        """
        return Tuner(
            make_model,
            as_count("num_samples", num_samples),
            ranges,
            particles=self._particles,
            weigh=self._weigh,
            draw=self._draw,
        )

    # ---------------------------------------------------------------- numbers, and variants side by side

    def weighted(self, model: Callable[[], Any]) -> tuple[xr.Dataset, xr.DataArray]:
        """All particles with the weights of a model, for the weighted statistics of xarray.

        Numbers from weights, pictures from draws: a mean over weighted particles has no noise of
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
            Normalised weights, dim ``particle``.

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
        weighed, dataset = self._particles_of(model)
        weights = xr.DataArray(
            weighed.weights.normalized, coords={"particle": dataset["particle"]}, name="weight"
        )
        return dataset, weights

    def _particles_of(self, model: Callable[[], Any]) -> tuple[ScoredModel, xr.Dataset]:
        """A model whose numbers are asked for, with a warning where its weights do not carry them."""
        weighed = self._weigh(model)
        verdict, advice = weighed.weights.judge(1)
        if not weighed.weights.ess:
            raise WeightError(f"there is nothing to average: {advice}")
        if verdict == "unreliable":
            warn(f"weights are {verdict}: {advice}", WeightWarning)
        labels = self._labels_of(weighed)
        labels.warn_renamed()
        return weighed, particle_dataset(weighed, labels)

    def sensitivity(
        self,
        model: Callable[[], Any],
        *,
        var_names: str | Sequence[str] | None = None,
        statistics: Mapping[str, Statistic] | None = None,
    ) -> pd.DataFrame:
        """How means and standard deviations move when the prior of one site is power-scaled.

        See :func:`arviz_resampler.analysis.sensitivity.power_scaling`, which has the definitions and sources.

        Parameters
        ----------
        model : callable
            Pyro program without arguments.
        var_names : str or sequence of str, optional
            Variables of prior and prior predictive; all if absent, none if empty.
        statistics : mapping of str to callable, optional
            Functions of the particle dataset that keep the dim ``particle``.

        Returns
        -------
        DataFrame
            A row for each latent site and quantity.
        """
        return power_scaling(*self._particles_of(model), var_names, statistics)

    def compare(
        self,
        models: Mapping[str, Callable[[], Any]],
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
            Draws by variant for the plots of ArviZ, tables of verdicts, and weighted numbers with their
            errors.

        Warns
        -----
        WeightWarning
            For each variant that the weights do not carry. One that no particle supports has no draws,
            and does not take the others down.

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
        variants = as_variants(models, 2)
        num_samples = as_count("num_samples", num_samples)
        seed = self._chooser.common_seed(scheme, as_seed(random_seed))
        kind = containers.resolve(container)

        def draw(name: str, weighed: ScoredModel) -> tuple[Ints, Any]:
            return self._draw(weighed, num_samples, name, scheme, seed, kind, name)

        return side_by_side(variants, num_samples, self._weigh, draw, self._labels_of)


def _attribute(seed: int) -> int | str:
    """A seed as an attribute: files have no integers of more than 64 bits."""
    return seed if seed < 2**63 else str(seed)
