"""Priors that meet targets: fits on the particles, and fresh simulations that check them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import xarray as xr

from arviz_resampler.arguments import as_count, as_positive
from arviz_resampler.errors import ArgumentError
from arviz_resampler.fitting.answer import fit
from arviz_resampler.fitting.fit import Fit
from arviz_resampler.particles.guides import untouched
from arviz_resampler.pipeline import Model
from arviz_resampler.programs.program import Program
from arviz_resampler.receiving import Receiving
from arviz_resampler.tuning.family_guide import FamilyGuide
from arviz_resampler.workers import Executors, as_workers


class Targeting(Receiving):
    """Particles on which priors are found that show what is expected."""

    def fit(
        self,
        make_model: Callable[..., Any],
        targets: Mapping[str, Any],
        *,
        ess: float = 1000,
        starts: int = 4,
        simulator: Callable[[], Any] | None = None,
        at_most: int | None = None,
        **ranges: Any,
    ) -> Fit:
        """Hyper-parameters at which a family of priors predicts what is expected.

        Positions are weighed on the particles, which takes milliseconds; only where fewer than ``ess`` of
        them are effective are more particles simulated, from the position itself, and added to the others.

        Parameters
        ----------
        make_model : callable
            Takes hyper-parameters by name and returns a Pyro program without arguments.
        targets : mapping of str to tuple, Target or Targets
            What is expected, by name. ``(statistic, value)`` is a probability where the statistic is an
            event, as ``(lambda ds: ds.y > 50, 0.05)``, else a mean; with a third entry, its tolerance. Others
            are made by :func:`quantile`, :func:`quantiles`, :func:`sd`, :func:`between`, :func:`mean`,
            :func:`probability` and :func:`pooled`. Statistics are functions of the particle dataset that keep
            the dim ``particle``; all scalars that they have of a particle are taken together.
        ess : float, default 1000
            Effective sample size that the answer is to have, of particles that have a value of each target.
        starts : int, default 4
            How many positions to begin at.
        simulator : callable, optional
            What extends new particles; that of the Resampler if absent.
        at_most : int, optional
            How many particles may be simulated. With 0 nothing is, and the answer is not checked by a fresh
            simulation either.
        **ranges : tuple of number
            The lowest and highest value of each hyper-parameter, as of :meth:`tune`; those that are whole
            numbers at both ends are enumerated. Without any, those of the guide, if that is of a family.

        Returns
        -------
        Fit
            Hyper-parameters with errors, the region that does as well, what the targets leave open, and what
            each target reaches, also by a fresh simulation.

        Raises
        ------
        ArgumentError
            If an argument is not usable, a statistic cannot be used, or a target is out of reach of the
            particles: no particle shows the event.
        ProgramError
            If a model of the family cannot be made or run where the fit starts.
        WeightError
            If the particles reach no position that the fit could start from.

        Warns
        -----
        WeightWarning
            If the answer has fewer effective particles than ``ess``.

        Notes
        -----
        A quantile is the equation of the fraction below it, so that what is reached is a weighted mean, and
        its derivative the covariance with the score of the log density. Levenberg-Marquardt then minimizes
        the squares of what is missed, each in units of its standard deviation or its tolerance.

        Examples
        --------
        >>> import pyro, pyro.distributions as dist
        >>> from arviz_resampler import Resampler, family, quantile
        >>> def prior(mean, sd):
        ...     return lambda: pyro.sample("mu", dist.Normal(mean, sd))
        >>> guide = family(prior, mean=(-10.0, 10.0), sd=(0.5, 10.0))
        >>> resampler = Resampler(guide, num_guide_samples=10_000, random_seed=0)
        >>> median = quantile(lambda ds: ds.mu, 0.5, 2.0)
        >>> fit = resampler.fit(prior, {"P(mu > 5)": (lambda ds: ds.mu > 5, 0.05), "median": median})
        >>> abs(fit.hyper["mean"] - 2.0) < 4 * fit.mcse["mean"]
        True
        >>> abs(fit.hyper["sd"] - 3.0 / 1.645) < 4 * fit.mcse["sd"]
        True
        """
        _refuse_ranges(ess=ess, starts=starts, simulator=simulator, at_most=at_most)
        return fit(
            self,
            make_model,
            targets,
            ranges or self._box(),
            ess=as_positive("ess", ess),
            starts=as_count("starts", starts),
            simulator=simulator,
            at_most=None if at_most is None or at_most == 0 else as_count("at_most", at_most),
            may_grow=at_most != 0 and self._can_grow(simulator),
        )

    def fresh(
        self,
        model: Model,
        num_samples: int = 1000,
        *,
        simulator: Callable[[], Any] | None = None,
        executor: Executors | None = None,
    ) -> xr.Dataset:
        """New draws of a model, extended by the simulator: what weighted particles stand for.

        Parameters
        ----------
        model : callable
            Pyro program without arguments that draws the guide's latents.
        num_samples : int, default 1000
            How many draws.
        simulator : callable, optional
            What extends them; that of the Resampler if absent.
        executor : concurrent.futures.Executor, callable or int, optional
            What runs the batches, as of a Resampler; this process if absent.

        Returns
        -------
        Dataset
            Every site under the names of the container, with the dim ``particle``. Nothing is added to the
            particles.

        Raises
        ------
        ArgumentError
            If an argument is not usable, or the Resampler was pickled and has no programs.
        ProgramError
            If the model cannot be drawn from, as one with a ``pyro.factor``.
        MismatchError
            If it does not draw what the particles have, or changes the simulator.

        Examples
        --------
        >>> import pyro, pyro.distributions as dist
        >>> from arviz_resampler import Resampler
        >>> def prior(scale):
        ...     return lambda: pyro.sample("mu", dist.Normal(0.0, scale))
        >>> resampler = Resampler(prior(10.0), num_guide_samples=2000, random_seed=0)
        >>> resampler.fresh(prior(3.0), 500).sizes["particle"]
        500
        """
        count, workers = as_count("num_samples", num_samples), as_workers(executor)
        cache = self._programs()
        if simulator is not None:
            cache = replace(cache, simulator=Program(simulator, "simulator"))
        elif cache.lacks_simulator:
            raise ArgumentError("these particles were simulated elsewhere: pass simulator= for new ones")
        self.pipeline.drawable(model)
        drawn = cache.fresh(Program(model, "model", cache.particles.params), count, workers)
        new = self.pipeline.with_particles(drawn)
        return new.dataset(new.score(model))

    def _box(self) -> dict[str, Any]:
        """Ranges of the guide, if that is of a family; else none."""
        guide = None if self._cache is None else untouched(self._cache.guide)
        if not isinstance(guide, FamilyGuide):
            return {}
        return {name: (range_.low, range_.high) for name, range_ in guide.ranges.items()}

    def _can_grow(self, simulator: Any) -> bool:
        """Whether more particles can be simulated."""
        return self._cache is not None and (simulator is not None or not self._cache.lacks_simulator)


def _refuse_ranges(**options: Any) -> None:
    """Refuse the range of a hyper-parameter that is called like an option."""
    for name, value in options.items():
        if isinstance(value, tuple | list):
            raise ArgumentError(
                f"{name!r} is an option of fit, got a range, {value!r}: rename the hyper-parameter"
            )
