"""Pyro's posterior in an ArviZ container, from the samples and the model.

Knows a run of the model, and containers; nothing of particles or weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from arviz_resampler import containers
from arviz_resampler.arguments import as_dims, as_mapping
from arviz_resampler.particles.structure import structure_of
from arviz_resampler.programs.program import Program


def posterior(
    samples: Any,
    model: Callable[[], Any],
    *,
    coords: Mapping[str, Any] | None = None,
    dims: Mapping[str, str | Sequence[str | None] | None] | None = None,
    constant_data: Mapping[str, Any] | None = None,
    container: str = "auto",
) -> Any:
    """Posterior of Pyro in an ArviZ container, with the names of the model's plates.

    Parameters
    ----------
    samples : MCMC or mapping of str to array_like
        An ``MCMC`` that has run, with its chains; or arrays by site, of shape ``(draw, *plates, *event)``
        or ``(chain, draw, *plates, *event)``, told apart by the axes of the site. A ``DataArray`` goes by its
        labels of chains and draws.
    model : callable
        Pyro program without arguments that the samples are of; it runs once, for one draw.
    coords : mapping of str to array_like, optional
        Labels by dim.
    dims : mapping of str to str or sequence of str, optional
        Names of axes by site, as for :class:`Resampler`.
    constant_data : mapping of str to array_like, optional
        Covariates and the like, for the group ``constant_data``.
    container : {"auto", "inferencedata", "datatree"}
        What to build; "auto" is ``InferenceData`` with ArviZ 0.x, ``DataTree`` with ArviZ 1.x.

    Returns
    -------
    InferenceData or DataTree
        Groups ``posterior``; ``posterior_predictive`` with those of the samples that have ``obs=`` in the
        model; ``sample_stats`` with ``diverging``, of NUTS and HMC; ``observed_data`` and ``constant_data``.

    Raises
    ------
    ArgumentError
        If the samples are none of this model: of other sites, shapes or numbers of draws, or none at all.
    ProgramError
        If the model cannot be run.

    Warns
    -----
    DrawWarning
        If draws are not finite, or predictions are the data.
    NameWarning
        If names were changed, as for a prior.
    ProgramWarning
        If the samples lack a discrete site, over which Pyro's MCMC sums.

    See Also
    --------
    Resampler.posterior : The same with the names, labels and data of a prior.

    Notes
    -----
    Axes of size one that Pyro's ``MCMC`` and ``Predictive`` put where a site is in no plate are left out.

    ``MCMC`` has the latents alone. Deterministic and predictive sites come from ``Predictive``; both together
    are a mapping: ``{**mcmc.get_samples(), **Predictive(program, mcmc.get_samples())()}``, with a program in
    which ``obs=None``.

    Examples
    --------
    >>> import numpy as np, pyro, pyro.distributions as dist, torch
    >>> def model():
    ...     mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    ...     with pyro.plate("school", 3):
    ...         theta = pyro.sample("theta", dist.Normal(mu, 1.0))
    ...         pyro.sample("y", dist.Normal(theta, 1.0), obs=torch.tensor([1.0, 2.0, 3.0]))
    >>> samples = {"mu": np.zeros((4, 500)), "theta": np.zeros((4, 500, 3))}
    >>> made = posterior(samples, model, coords={"school": ["oak", "elm", "ash"]})
    >>> made.posterior["theta"].dims, made.posterior["school"].values.tolist()
    (('chain', 'draw', 'school'), ['oak', 'elm', 'ash'])
    """
    kind = containers.resolve(container)
    named, labels_by_dim = as_dims(dims), as_mapping("coords", coords)
    constants = as_mapping("constant_data", constant_data)
    found = structure_of(Program(model, "model"))
    sites = {
        name: replace(column.site, role="predictive") if name in found.observed else column.site
        for name, column in found.columns.items()
    }
    exported = {name: site for name, site in sites.items() if site.role != "auxiliary"}
    data = containers.read_data(found.data, constants, exported, named, labels_by_dim)
    return containers.build_posterior(
        containers.Labels(exported, data.coords, data.dims, {**data.observed, **data.constant}),
        sites,
        samples,
        latents=[name for name, site in exported.items() if site.role == "latent"],
        owner="the model",
        observed=data.observed,
        constant=data.constant,
        container=kind,
    )
