"""Particles from elsewhere, as constructors of a Resampler: signatures, documentation and checks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from arviz_resampler.arguments import as_dims, as_mapping, as_name, as_path, as_seed, check_way
from arviz_resampler.growing import Growing
from arviz_resampler.received.common import Received, Settings
from arviz_resampler.received.existing import from_simulations
from arviz_resampler.received.fitted import from_posterior


class Receiving(Growing):
    """Particles that were not drawn here."""

    @classmethod
    def _of(cls, received: Received) -> Self:
        found = cls.__new__(cls)
        vars(found).update(
            pipeline=received.pipeline, _keeps=False, _wanted=None, _cache=received.cache, _call=None
        )
        if received.cache is None:
            vars(found).update(_why_not=received.why_not)
        return found

    @classmethod
    def from_simulations(
        cls,
        draws: Any,
        *,
        latents: str | Sequence[str] | None = None,
        guide: Any = None,
        box: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
        log_q: ArrayLike | Mapping[str, ArrayLike] | None = None,
        density: str | None = None,
        allow_biased: bool = False,
        observed: Mapping[str, Any] | None = None,
        constant_data: Mapping[str, Any] | None = None,
        coords: Mapping[str, Any] | None = None,
        dims: Mapping[str, str | Sequence[str | None] | None] | None = None,
        partial: bool = False,
        vectorize: bool | str = "auto",
        random_seed: int | np.random.Generator | None = None,
        progressbar: bool = True,
        store: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Particles of simulations that exist, with what their latents were drawn from.

        Say what that was by one of ``guide``, ``box``, ``log_q`` and ``density``; a container that has the
        group ``log_prior`` says it itself.

        Parameters
        ----------
        draws : InferenceData, DataTree, Dataset, DataFrame or mapping of str to array_like
            Latents and predictions, draws first: the dims ``chain`` and ``draw``, ``particle``, or the first
            axis. Of a container the groups ``prior`` and ``prior_predictive``, with ``observed_data`` and
            ``constant_data``. Variables go together by their labels; draws that say their chain stand in the
            order of chains. A prediction that is NaN in some draws is a simulation that failed there.
        latents : str or sequence of str, optional
            Which variables models are priors of; those of the guide, box or group of predictions if absent.
        guide : callable, sequence of callable, Mixture or FamilyGuide, optional
            Pyro program that the latents were drawn from. It is scored, not run.
        box : mapping of str to tuple, optional
            Lower and upper limit of each latent, numbers or arrays of its shape: the draws are uniform, or a
            Latin hypercube or Sobol design, within them.
        log_q : array_like or mapping of str to array_like, optional
            Log density of each draw, shape (N,), of all latents together or by name: in the order in which
            the draws are given, or with their labels.
        density : {"neighbors"}, optional
            Estimate the density from the draws themselves. Its error is in no number.
        allow_biased : bool, default False
            Whether to do so for latents of more than three dimensions, where the bias is not small.
        observed, constant_data, coords, dims, partial, vectorize, random_seed, progressbar
            As of :class:`Resampler`. What comes with the draws need not be repeated.
        store : path_like, optional
            Directory that is to keep the particles; predictions stay there, and :meth:`open` opens it.

        Returns
        -------
        Resampler
            All that it does. With ``guide`` or ``box``, :meth:`wanted` says which latents to simulate next,
            and :meth:`extend` takes the results.

        Raises
        ------
        ArgumentError
            If draws cannot be read, lack a latent or have weights, a latent is not finite, or nothing, or
            more than one thing, says what they were drawn from.
        MismatchError
            If latents do not fit the guide, or lie where it, or the box, has no density.
        StoreError
            If there is a store already, or it cannot be written.

        Warns
        -----
        DrawWarning
            If draws repeat others, or simulations failed.
        WeightWarning
            If the density is estimated from neighbors.

        Notes
        -----
        Designs that fill a space more evenly than independent draws have errors that are smaller than those
        that are reported, by a factor of four for a Sobol design in two dimensions.

        Examples
        --------
        >>> import numpy as np
        >>> import pyro, pyro.distributions as dist
        >>> from scipy.stats import qmc
        >>> from arviz_resampler import Resampler
        >>> design = qmc.scale(qmc.LatinHypercube(2, seed=0).random(5000), [-5, 0.1], [5, 3])
        >>> mu, sigma = design.T
        >>> runs = {"mu": mu, "sigma": sigma, "y": mu + sigma * np.random.default_rng(0).normal(size=5000)}
        >>> resampler = Resampler.from_simulations(runs, box={"mu": (-5, 5), "sigma": (0.1, 3)})
        >>> def prior():
        ...     pyro.sample("mu", dist.Normal(1.0, 1.0))
        ...     pyro.sample("sigma", dist.Gamma(4.0, 4.0))
        >>> resampler.weigh(prior).verdict
        'low'
        >>> bool(abs(resampler.weigh(prior).mean(runs["y"]) - 1.0) < 0.2)
        True
        """
        received = from_simulations(
            draws,
            _settings(observed, constant_data, coords, dims, partial, vectorize, random_seed, progressbar),
            latents=latents,
            guide=guide,
            box=box,
            log_q=log_q,
            density=density,
            allow_biased=allow_biased,
            path=None if store is None else as_path("store", store),
        )
        return cls._of(received)

    @classmethod
    def from_posterior(
        cls,
        idata: Any,
        prior: Callable[[], Any],
        *,
        group: str = "posterior",
        simulator: Callable[[], Any] | None = None,
        on_error: str = "raise",
        observed: Mapping[str, Any] | None = None,
        constant_data: Mapping[str, Any] | None = None,
        coords: Mapping[str, Any] | None = None,
        dims: Mapping[str, str | Sequence[str | None] | None] | None = None,
        partial: bool = False,
        vectorize: bool | str = "auto",
        random_seed: int | np.random.Generator | None = None,
        progressbar: bool = True,
    ) -> Self:
        """Draws of a posterior as particles, to look at the posterior under another prior without a fit.

        Weights are the density of the new prior over that of the prior that the posterior was fitted with;
        the likelihood is the same and cancels. Priors that are tighter, or shifted by a standard deviation or
        two, work; the tails of a wider one are where the draws do not reach.

        Parameters
        ----------
        idata : InferenceData, DataTree, Dataset, MCMC or mapping of str to array_like
            The posterior, chains and draws first, or the sampler of Pyro that has run. What a container has
            in ``posterior_predictive``, ``log_likelihood``, ``observed_data`` and ``constant_data`` comes
            along.
        prior : callable
            Pyro program with the prior that it was fitted with: that of its latents alone, or the whole
            model, whose ``obs=`` sites are left out.
        group : str, default "posterior"
            Group of the draws.
        simulator : callable, optional
            Program that is run on the draws, for predictions.
        on_error : {"raise", "mask"}
            Treatment of a run of the simulator that raises, as of :class:`Resampler`.
        observed, constant_data, coords, dims, partial, vectorize, random_seed, progressbar
            As of :class:`Resampler`. What comes with the draws need not be repeated.

        Returns
        -------
        Resampler
            :meth:`weigh` has the Bayes factor of the new prior over the old one. The containers of
            :meth:`sample_prior_predictive`, :meth:`compare` and :meth:`tune` have the groups ``posterior``,
            ``posterior_predictive`` and ``sample_stats``. Errors are those of draws of chains, which depend
            on each other.

        Raises
        ------
        ArgumentError
            If draws cannot be read, lack a latent of the prior, or a latent is not finite.
        MismatchError
            If latents do not fit the prior, or lie where it has no density.
        ProgramError
            If prior or simulator cannot be run.

        Notes
        -----
        The mean raw ratio estimates the evidence of the data under the new prior over that under the old one,
        ``E[p_new / p_old]`` over the posterior. The effective sample size of a mean is that of the series of
        its influence, by ``arviz.ess``. A verdict is reliable from an effective sample size of 400 on, and
        names the latent whose posterior gets wider: there errors may be larger than those reported.

        Examples
        --------
        A mean of five observations around 1, whose posterior under Normal(0, 1) is Normal(5 / 6, 6 ** -0.5):

        >>> import numpy as np
        >>> import pyro, pyro.distributions as dist
        >>> from arviz_resampler import Resampler
        >>> def prior(mean, scale):
        ...     return lambda: pyro.sample("mu", dist.Normal(mean, scale))
        >>> draws = np.random.default_rng(0).normal(5 / 6, 6**-0.5, size=(4, 1000))
        >>> resampler = Resampler.from_posterior({"mu": draws}, prior(0.0, 1.0))
        >>> weights = resampler.weigh(prior(0.0, 0.7))
        >>> bool(abs(weights.mean(draws.reshape(-1)) - 5 / (5 + 0.7**-2)) < 0.03)
        True
        >>> bool(abs(weights.bayes_factor - 0.988) < 0.02)
        True
        """
        received = from_posterior(
            idata,
            prior,
            _settings(
                observed, constant_data, coords, dims, partial, vectorize, random_seed, progressbar, on_error
            ),
            group=as_name("group", group),
            simulator=simulator,
        )
        return cls._of(received)


def _settings(  # noqa: PLR0917 - of two calls alone
    observed: Any,
    constant_data: Any,
    coords: Any,
    dims: Any,
    partial: bool,
    vectorize: bool | str,
    random_seed: Any,
    progressbar: bool,
    on_error: str = "raise",
) -> Settings:
    check_way(vectorize, on_error)
    return Settings(
        seed=as_seed(random_seed),
        vectorize=vectorize,
        on_error=on_error,
        progressbar=progressbar,
        partial=partial,
        observed=as_mapping("observed", observed),
        constant=as_mapping("constant_data", constant_data),
        coords=as_mapping("coords", coords),
        dims=as_dims(dims),
    )
