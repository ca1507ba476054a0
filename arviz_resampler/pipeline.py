"""One cache of particles, and what is made of it: from a model to weights, draws and a container.

Knows the rooms that do each step; nothing of the calls of users, of variants or of hyper-parameters.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from arviz_resampler import containers
from arviz_resampler.devices import together
from arviz_resampler.draws.chooser import Chooser
from arviz_resampler.draws.race import Ints
from arviz_resampler.errors import (
    MismatchError,
    ProgramError,
    ProgramWarning,
    WeightError,
    quoted,
    warn,
)
from arviz_resampler.particles.disk import StoredTensor
from arviz_resampler.particles.given import as_results
from arviz_resampler.particles.particles import Particles
from arviz_resampler.programs.columns import take
from arviz_resampler.scoring.score_model import score_model
from arviz_resampler.scoring.scored import ScoredModel
from arviz_resampler.scoring.scratch import ScratchBuffers
from arviz_resampler.scoring.seen import SeenModels
from arviz_resampler.sites import Site
from arviz_resampler.weights.chains import Chains
from arviz_resampler.weights.diagnostics import of_posterior

Model = Callable[[], Any]


class Drawn(NamedTuple):
    """Draws from a model.

    Attributes
    ----------
    particles : ndarray of int
        Which particle each draw is, shape (S,).
    container : InferenceData or DataTree
        The draws.
    """

    particles: Ints
    container: Any


class Pipeline:
    """The way from a model to its weights, draws and container, on one cache of particles.

    Parameters
    ----------
    particles : Particles
        The cache.
    seed : int
        Of the choice of particles.
    seeded : bool
        Whether the seed was given. Otherwise what is not stable follows torch's global generator.
    partial : bool
        Whether a model may leave out latents of the guide.
    vectorize : bool or "auto"
        Whether models are mapped over particles.
    progressbar : bool
        Whether to show progress of models that run one particle at a time.
    observed, constant : mapping of str to array_like
        Data of the groups ``observed_data`` and ``constant_data``.
    coords : mapping of str to array_like
        Labels by dim.
    dims : mapping of str to sequence of str
        Names of axes by site.
    """

    def __init__(
        self,
        particles: Particles,
        *,
        seed: int,
        seeded: bool,
        partial: bool,
        vectorize: bool | str,
        progressbar: bool,
        observed: Mapping[str, Any],
        constant: Mapping[str, Any],
        coords: Mapping[str, Any],
        dims: Mapping[str, Sequence[str | None]],
    ) -> None:
        self.particles = particles
        self.seed, self._seeded = seed, seeded
        self.chooser = Chooser(seed, particles.num_particles, seeded=seeded)
        self.scratch, self.seen = ScratchBuffers(), SeenModels()
        self.chains = _chains_of(particles)
        self.partial, self.vectorize, self.progressbar = partial, vectorize, progressbar
        data = containers.read_data({**particles.data, **observed}, constant, particles.sites, dims, coords)
        self.observed, self.constant = data.observed, data.constant
        self.coords, self.dims = data.coords, data.dims
        self._labels = self._make_labels(particles.sites)
        self._said: set[str] = set()

    def new_latents(self, new: Particles) -> xr.Dataset:
        """What new particles have that are still to be simulated, under the names of the container."""
        kept = {n: c for n, c in new.columns.items() if n in self.particles.sites and c.reason is None}
        found = self._labels.particles({n: containers.view(c.value) for n, c in kept.items()})
        return found.assign_coords(particle=self.particles.new_ids(new.num_particles))

    def latents(self, numbers: Sequence[int]) -> xr.Dataset:
        """What the guide has drawn for some particles, under the names of the container."""
        particles = self.particles
        kept = {
            n: particles.columns[n].value[list(numbers)]
            for n in particles.sites
            if n in particles.guide_latents
        }
        found = self._labels.particles({name: containers.view(value) for name, value in kept.items()})
        return found.assign_coords(particle=np.array(numbers, int))

    def simulated(self, wanted: xr.Dataset, results: Any, names: Sequence[str]) -> dict[str, Tensor]:
        """Results of simulations elsewhere, by site, checked to be those that were wanted.

        Raises
        ------
        ArgumentError
            If one is missing, of another shape, of other particles, or not held by the dtype of its site.
        """
        arrays = containers.read_results(self._labels, wanted, results, names)
        columns = self.particles.columns
        return {n: as_results(n, torch.from_numpy(a), columns[n]) for n, a in arrays.items()}

    def with_particles(self, particles: Particles) -> Pipeline:
        """The same way on more particles."""
        other = copy.copy(self)
        other.particles = particles
        other.chooser = Chooser(self.seed, particles.num_particles, seeded=self._seeded)
        other.scratch, other.seen = ScratchBuffers(), SeenModels()
        return other

    def _make_labels(self, sites: Mapping[str, Site]) -> containers.Labels:
        return containers.Labels(sites, self.coords, self.dims, {**self.observed, **self.constant})

    # ---------------------------------------------------------------- weights

    def score(self, model: Model) -> ScoredModel:
        """The particles under a model; what carries ``obs=`` and is left out is said once."""
        scored = score_model(
            self.particles,
            model,
            partial=self.partial,
            vectorize=self.vectorize,
            progressbar=self.progressbar,
            scratch=self.scratch,
            seen=self.seen,
            chains=self.chains,
        )
        if new := set(scored.observed) - self._said:
            self._said |= new
            warn(
                f"site {quoted(new)} of the model carries obs= and is left out of the weights",
                ProgramWarning,
            )
        return scored

    def drawable(self, model: Model) -> ScoredModel:
        """A model whose draws could be particles.

        Raises
        ------
        ProgramError
            If it has a factor, a scale or a mask.
        MismatchError
            If it changes what the simulator draws.
        """
        scored = self.score(model)
        if scored.weights.unnormalized:
            raise ProgramError(
                f"the model cannot be drawn from: site {quoted(scored.weights.unnormalized)} changes its "
                f"density by a factor, a scale or a mask"
            )
        for name, ratio in scored.weights.log_ratio_by_site.items():
            column = self.particles.columns.get(name)
            if column is not None and not column.from_guide and ratio.any():
                raise MismatchError(
                    f"the model changes site {name!r}, which the simulator draws: new particles would not be "
                    f"of one density there. Top up with a model that changes the guide's latents alone."
                )
        return scored

    def score_for_numbers(self, model: Model) -> tuple[ScoredModel, xr.Dataset]:
        """A model that has weights, and all particles.

        Raises
        ------
        WeightError
            If no particle is in the support of the model.
        """
        scored = self.score(model)
        if not scored.weights.ess:
            raise WeightError(f"there is nothing to average: {scored.weights.judge(1).advice}")
        self.labels(scored).warn_renamed()
        return scored, self.dataset(scored)

    # ---------------------------------------------------------------- draws

    def draw(self, model: Model, num_samples: int, scheme: str) -> dict[str, Tensor]:
        """Draws from a model by site, shape ``(S, *plates, *event)``."""
        scored = self.score(model)
        return take(scored.columns, self.chooser.choose(scored.weights, num_samples, scheme))

    def draw_container(
        self,
        scored: ScoredModel,
        num_samples: int,
        name: str,
        *,
        scheme: str = "stable",
        seed: int | None = None,
        container: str | None = None,
        variant: str | None = None,
        selection: containers.Selection = containers.ALL,
    ) -> Drawn:
        """Draws from a scored model in a container, with the diagnostics of its weights.

        Parameters
        ----------
        scored : ScoredModel
            The model on the particles.
        num_samples : int
            S.
        name : str
            Of the container.
        scheme : str
            How particles are chosen.
        seed : int, optional
            Of the choice; that of the pipeline if absent.
        container : {"inferencedata", "datatree"}, optional
            What to build; that of the installed ArviZ if absent.
        variant : str, optional
            Name in the warning about weights.
        selection : Selection
            Which sites the container has; others are not gathered.
        """
        groups = containers.OF_POSTERIOR if self.chains else containers.OF_PRIOR
        labels = self.labels(scored)
        sites = {name: column.site for name, column in scored.columns.items()}
        kept = {name: scored.columns[name] for name in selection.of(labels, sites, groups)}
        chosen = self.chooser.choose(scored.weights, num_samples, scheme, seed, variant)
        index = torch.from_numpy(chosen).to(self.particles.device)
        lp, log_ratio = together(scored.log_density(index), scored.weights.log_ratio_tensor[index])
        stats = {"lp": lp, "log_importance_ratio": log_ratio, "particle": chosen}
        used = self.seed if seed is None else seed
        built = containers.build(
            labels,
            sites,
            take(kept, chosen),
            stats,
            stats_attrs={
                **scored.weights.diagnostics(len(chosen))._asdict(),
                **of_posterior(scored.weights),
                "n_unique": len(np.unique(chosen)),
            },
            observed=self.observed,
            constant=self.constant,
            # Files have no integers of more than 64 bits.
            attrs={"name": name, "scheme": scheme, "random_seed": used if used < 2**63 else str(used)},
            container=container or containers.resolve("auto"),
            groups_of_draws=groups,
        )
        return Drawn(chosen, built)

    def posterior(self, samples: Any, container: str) -> Any:
        """Samples of a posterior in a container, under the names of those of priors.

        Parameters
        ----------
        samples : MCMC or mapping of str to array_like
            Draws by site. All that the guide draws must be there, unless models are partial.
        container : {"inferencedata", "datatree"}
            What to build.
        """
        particles = self.particles
        return containers.build_posterior(
            self._labels,
            {name: column.site for name, column in particles.columns.items()},
            samples,
            latents=() if self.partial else sorted(particles.guide_latents),
            owner="the particles",
            observed=self.observed,
            constant=self.constant,
            container=container,
        )

    # ---------------------------------------------------------------- all particles

    def labels(self, scored: ScoredModel | None = None) -> containers.Labels:
        """Names, dims and coords for the sites of the particles, and of a scored model."""
        columns = self.particles.columns if scored is None else scored.columns
        sites = {name: column.site for name, column in columns.items()}
        return self._labels if sites == self.particles.sites else self._make_labels(sites)

    def dataset(self, scored: ScoredModel, views: dict[str, containers.Array] | None = None) -> xr.Dataset:
        """All particles under the names of the container.

        Parameters
        ----------
        scored : ScoredModel
            A model, which may have deterministic sites of its own.
        views : dict of str to ndarray, optional
            Arrays that several models share; filled here.
        """
        shared = {} if views is None else views
        arrays = {}
        for name, column in scored.columns.items():
            if name in scored.computed:
                arrays[name] = containers.view(column.value)
            else:
                if name not in shared:
                    stays = isinstance(column.value, StoredTensor)
                    shared[name] = (containers.lazy if stays else containers.view)(column.value)
                arrays[name] = shared[name]
        found = self.labels(scored).particles(arrays)
        ids = self.particles.ids
        return found if ids is None else found.assign_coords(particle=ids)


def _chains_of(particles: Particles) -> Chains | None:
    """What draws of a posterior tell of their errors."""
    if particles.num_chains is None:
        return None
    values = {name: particles.columns[name].value.double().cpu() for name in particles.guide_latents}
    return Chains(particles.num_chains, {n: v.reshape(len(v), -1).numpy() for n, v in values.items()})
