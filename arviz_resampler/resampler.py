"""The front door: owns the particles and hands them down to the rooms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arviz_resampler import container as containers
from arviz_resampler.errors import (
    ArgumentError,
    ProgramWarning,
    WeightError,
    WeightWarning,
    quoted,
    suggestion,
    warn,
)
from arviz_resampler.program import Program
from arviz_resampler.race import Ints, Race
from arviz_resampler.records import Column
from arviz_resampler.schemes import SCHEMES
from arviz_resampler.simulation import simulate
from arviz_resampler.sites import Site
from arviz_resampler.tuner import Tuner
from arviz_resampler.weighing import Weighed, weigh
from arviz_resampler.weights import Weights


def _integer(name: str, value: Any, low: int, what: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or not low <= int(value) < 2**63:
        raise ArgumentError(f"{name} must be {what}, got {value!r}")
    return int(value)


def _count(name: str, value: Any) -> int:
    return _integer(name, value, 1, "a positive integer")


def _optional(name: str, value: Any) -> int | None:
    return None if value is None else _integer(name, value, 0, "a non-negative integer or None")


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ArgumentError(f"{name} must be a mapping from names to values, got {value!r}")
    return dict(value)


class Resampler:
    """Particles from a guide, simulated once, that show any prior by importance resampling.

    Parameters
    ----------
    guide : callable
        Pyro program without arguments that draws the particles. It should be diffuse, covering
        every model to be looked at, and vectorisable.
    simulator : callable, optional
        Larger program, run on the guide's draws, that adds sites downstream. Runs once over the
        particles, after a probe of one or two. What carries ``obs=`` is sampled, and its data kept.
    num_guide_samples : int
        How many particles to draw; much larger than the draws that will be asked for.
    max_plate_nesting : int, optional
        Number of axes to the left of events that the plates of guide and simulator use. Found by
        the probe if absent.
    seed : int, optional
        With a seed the particles depend on the seed, the programs, their number and the batch size
        alone, and no global generator is touched. Without one, a seed is drawn from torch's global
        generator.
    batch_size : int, optional
        How many particles to simulate at a time; bounds the memory. 1 runs programs that are not
        vectorised.
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
    >>> resampler = Resampler(prior(10.0), simulator, num_guide_samples=20_000, seed=0)
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
        seed: int | None = None,
        batch_size: int | None = None,
        observed: Mapping[str, Any] | None = None,
        predictive: Sequence[str] | None = None,
        constant_data: Mapping[str, Any] | None = None,
        coords: Mapping[str, Any] | None = None,
        dims: Mapping[str, Sequence[str]] | None = None,
        partial: bool = False,
        progressbar: bool = True,
    ) -> None:
        num_guide_samples = _count("num_guide_samples", num_guide_samples)
        if batch_size is not None:
            batch_size = _count("batch_size", batch_size)
        max_plate_nesting = _optional("max_plate_nesting", max_plate_nesting)
        programs = (
            Program(guide, "guide"),
            None if simulator is None else Program(simulator, "simulator"),
        )
        self._given_seed = _optional("seed", seed)
        self._partial = partial
        self._coords, self._dims = _mapping("coords", coords), _mapping("dims", dims)
        if not isinstance(predictive, str | Iterable | None):
            raise ArgumentError(f"predictive must be a name or several names, got {predictive!r}")
        observed, constant_data = _mapping("observed", observed), _mapping("constant_data", constant_data)
        names = [predictive] if isinstance(predictive, str) else list(predictive or ())
        self._seed = self._given_seed if self._given_seed is not None else _global_seed()
        self._calls = np.random.default_rng((self._seed, 1))
        # Observed data without any predictive site has nothing to be compared with; it is kept as it is.
        self._particles = simulate(
            *programs,
            num_guide_samples,
            seed=self._seed,
            nesting=max_plate_nesting,
            batch_size=batch_size,
            predictive=frozenset(names),
            data_names=frozenset(observed),
            progressbar=progressbar,
        )
        self._race = Race(self._seed, num_guide_samples)
        self._checked: set[Any] = set()
        sites = self._particles.sites
        self._observed = {
            name: containers.as_observed(name, value, sites.get(name))
            for name, value in {**self._particles.data, **observed}.items()
        }
        self._constant = {name: containers.plain(name, value, False) for name, value in constant_data.items()}
        for name in self._observed.keys() & self._constant.keys():
            shapes = self._observed[name].shape, self._constant[name].shape
            if shapes[0] != shapes[1]:
                raise ArgumentError(
                    f"{name!r} has shape {shapes[0]} in observed, but {shapes[1]} in constant_data; give one "
                    f"of them another name"
                )
        self._labels(sites)

    def _labels(self, sites: Mapping[str, Site]) -> containers.Labels:
        extra = {**self._observed, **self._constant}
        return containers.Labels(sites, self._coords, self._dims, extra)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_checked": set()}  # code does not pickle

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

    def _weigh(self, model: Callable[[], Any]) -> Weighed:
        particles = self._particles
        code = getattr(getattr(model, "func", model), "__code__", None)
        # A look at one particle alone costs little, but not nothing: at programs whose code was looked
        # at before, as when a slider moves, it is not done again.
        check = particles.num_particles <= 1024 or code is None or code not in self._checked
        weighed = weigh(particles, model, partial=self._partial, check=check)
        self._checked.add(code)
        if weighed.observed:
            warn(
                f"site {quoted(weighed.observed)} of the model carries obs= and is left out of the weights",
                ProgramWarning,
            )
        return weighed

    def _choose(self, weights: Weights, num_samples: int, scheme: str, random_seed: int | None) -> Ints:
        """Particle of each draw, with a warning where the weights do not carry that many."""
        if scheme not in SCHEMES:
            raise ArgumentError(
                f"scheme must be one of {quoted(SCHEMES)}, got {scheme!r}.{suggestion(str(scheme), SCHEMES)}"
            )
        verdict, advice = weights.judge(num_samples)
        if not weights.ess:
            raise WeightError(f"no draw can be made: {advice}")
        if verdict != "good":
            warn(f"weights are {verdict}: {advice}", WeightWarning)
        race, rng = self._race, self._calls
        if random_seed is not None:
            race, rng = Race(random_seed, self._particles.num_particles), np.random.default_rng(random_seed)
        elif scheme != "stable" and self._given_seed is None:
            rng = np.random.default_rng(_global_seed())
        return SCHEMES[scheme](weights.normalized, num_samples, race=race, rng=rng)

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
        num_samples = _count("num_samples", num_samples)
        weighed = self._weigh(model)
        chosen = self._choose(weighed.weights, num_samples, "stable" if stable else "multinomial", None)
        return _take(weighed.columns, chosen)

    def sample_prior_predictive(
        self,
        model: Callable[[], Any],
        num_samples: int = 1000,
        *,
        scheme: str = "stable",
        name: str | None = None,
        container: str = "auto",
        random_seed: int | None = None,
    ) -> Any:
        """Draws from a model in an ArviZ container, with the diagnostics of its weights.

        Parameters
        ----------
        model : callable
            Pyro program without arguments.
        num_samples : int, default 1000
            How many draws, S.
        scheme : {"stable", "multinomial", "stratified", "systematic", "residual"}
            How particles are chosen: see :mod:`arviz_resampler.schemes`.
        name : str, optional
            Name of the variant; the name of the program if absent.
        container : {"auto", "inferencedata", "datatree"}
            What to build; "auto" is ``InferenceData`` with ArviZ 0.x, ``DataTree`` with ArviZ 1.x.
        random_seed : int, optional
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
        num_samples = _count("num_samples", num_samples)
        random_seed = _optional("random_seed", random_seed)
        kind = containers.resolve(container)
        weighed = self._weigh(model)
        weights, columns = weighed.weights, weighed.columns
        chosen = self._choose(weights, num_samples, scheme, random_seed)
        sites = {n: c.site for n, c in columns.items()}
        draws = _take(columns, chosen)
        index = torch.as_tensor(chosen)
        stats = {
            "lp": weighed.log_density(index).numpy(),
            "log_importance_ratio": weights.log_ratio[chosen],
            "particle": chosen,
        }
        seed = self._seed if random_seed is None else random_seed
        return containers.build(
            self._labels(sites),
            sites,
            draws,
            stats,
            observed=self._observed,
            constant=self._constant,
            attrs={
                "name": name or getattr(model, "__name__", type(model).__name__),
                "seed": seed,
                "scheme": scheme,
            },
            stats_attrs=_diagnostics(weights, chosen),
            container=kind,
        )

    # ---------------------------------------------------------------- tuning

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
            _count("num_samples", num_samples),
            ranges,
            particles=self._particles,
            weigh=self.weigh,
            draw=self.sample_prior_predictive,
        )


def _global_seed() -> int:
    """A seed from torch's global generator."""
    return int(torch.randint(2**62, ()).item())


def _take(columns: Mapping[str, Column], chosen: Ints) -> dict[str, Tensor]:
    index = torch.as_tensor(chosen)
    return {name: c.value[index.to(c.value.device)] for name, c in columns.items()}


def _diagnostics(weights: Weights, chosen: Ints) -> dict[str, Any]:
    """Numbers and strings that go with the draws."""
    verdict, advice = weights.judge(len(chosen))
    fit = weights.pareto
    return {
        "verdict": verdict,
        "advice": advice,
        "ess": weights.ess,
        "ess_fraction": weights.ess / weights.num_particles,
        "ess_entropy": weights.ess_entropy,
        "max_weight": weights.max_weight,
        "num_guide_samples": weights.num_particles,
        "num_supported": weights.num_supported,
        "n_unique": len(np.unique(chosen)),
        "expected_distinct": weights.expected_distinct(len(chosen)),
        "pareto_k": fit.k,
        "pareto_k_reason": fit.reason,
        "good_k": fit.threshold,
        "tail_length": fit.tail,
        "log_mean_weight": weights.log_mean_weight,
        "log_mean_weight_se": weights.log_mean_weight_se,
    }
