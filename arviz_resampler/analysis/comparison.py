"""Several variants on the same particles: their draws side by side, and what their weights say.

Knows the pipeline and the tables of numbers; nothing of programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from arviz_resampler.analysis import tables
from arviz_resampler.analysis.quantities import Statistic
from arviz_resampler.arguments import as_probability
from arviz_resampler.containers import drawn_groups, groups_of
from arviz_resampler.errors import (
    ArgumentError,
    WeightError,
    quoted,
    suggestion,
)
from arviz_resampler.frozen import FrozenMapping
from arviz_resampler.markup import page
from arviz_resampler.pipeline import Drawn
from arviz_resampler.printed import html_table
from arviz_resampler.weights.diagnostics import of_posterior
from arviz_resampler.weights.weights import Weights


class Comparison(dict[str, Any]):
    """Several priors on the same particles, side by side; made by :meth:`Resampler.compare`.

    A dict of containers by variant, all of the same number of draws and coupled by the same randomness:
    every plot of ArviZ that takes several containers takes it. Variants that no particle supports are not
    in it; asking for one is a :class:`WeightError`. Prints itself as :meth:`diagnostics`.

    Draws are for plots. Numbers come from the weights of all particles, each with its Monte Carlo standard
    error: :meth:`summary` and :meth:`contrast`. The particles are common to all variants, so a difference
    between two has far less error than separate simulations would leave it.

    Parameters
    ----------
    drawn : mapping of str to Drawn
        Draws of the variants that have some.
    weights : mapping of str to Weights
        By variant.
    particles : mapping of str to Dataset
        All particles by variant, each with the deterministic sites of its own model.
    num_samples : int
        How many draws each variant has.

    Examples
    --------
    >>> import pyro, pyro.distributions as dist
    >>> from arviz_resampler import Resampler
    >>> def prior(scale):
    ...     return lambda: pyro.sample("mu", dist.Normal(0.0, scale))
    >>> def simulator():
    ...     mu = prior(10.0)()
    ...     with pyro.plate("school", 8):
    ...         pyro.sample("y", dist.Normal(mu, 1.0))
    >>> resampler = Resampler(prior(10.0), simulator, num_guide_samples=20_000, random_seed=0)
    >>> comparison = resampler.compare({"vague": prior(6.0), "informed": prior(2.0)}, num_samples=500)
    >>> list(comparison)
    ['vague', 'informed']
    >>> comparison["vague"].prior["mu"].shape
    (1, 500)
    >>> comparison.dataset("prior_predictive").sizes["variant"]
    2

    A statistic is a function of the particle dataset that keeps the dim ``particle``:

    >>> statistics = {"P(y > 5)": lambda ds: (ds.y > 5).mean("school")}
    >>> table = comparison.contrast("vague", "informed", statistics)
    >>> bool(table["lower"].iloc[0] > 0)
    True

    With ArviZ 1.x the plots take it as it is, ``az.plot_forest(comparison, group="prior")``; with ArviZ 0.x
    they take a list, ``az.plot_density(list(comparison.values()), group="prior",
    data_labels=list(comparison))``.
    """

    def __init__(
        self,
        drawn: Mapping[str, Drawn],
        weights: Mapping[str, Weights],
        particles: Mapping[str, xr.Dataset],
        num_samples: int,
    ) -> None:
        super().__init__({name: draws.container for name, draws in drawn.items()})
        self._drawn, self._weights, self._particles = dict(drawn), dict(weights), dict(particles)
        self._num_samples = num_samples

    @property
    def weights(self) -> Mapping[str, Weights]:
        """Weights by variant, of those without draws, too."""
        return FrozenMapping(self._weights)

    @property
    def num_samples(self) -> int:
        """Number of draws of each variant."""
        return self._num_samples

    def __missing__(self, name: str) -> Any:
        if name in self.weights:
            raise WeightError(
                f"no draw of variant {name!r} can be made: {self.weights[name].judge(1).advice}"
            )
        raise KeyError(name)  # plots of ArviZ ask a dict for groups, and go on without

    def _refuse(self, *_args: Any, **_kwargs: Any) -> Any:
        raise ArgumentError("a Comparison cannot be changed; dict(comparison) can")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return Comparison, (self._drawn, self._weights, self._particles, self._num_samples)

    def dataset(self, group: str | None = None) -> xr.Dataset:
        """One group of all variants that have draws, with the labeled dim ``variant``.

        Parameters
        ----------
        group : str, optional
            Name of the group; that of the latents, ``prior`` or ``posterior``, if absent.

        Returns
        -------
        Dataset
            What one variant does not have is NaN there.

        Raises
        ------
        ArgumentError
            If there is no such group.
        WeightError
            If no variant has draws.
        """
        if not self:
            raise WeightError("no draw can be made: no variant has a particle in its support")
        parts = [groups_of(container) for container in self.values()]
        known = list(dict.fromkeys(name for part in parts for name in part))
        group = drawn_groups(next(iter(self.values()))).latents if group is None else group
        if group not in known:
            raise ArgumentError(
                f"there is no group {group!r}; there are {quoted(known)}.{suggestion(str(group), known)}"
            )
        variants = xr.Variable("variant", np.array(list(self)))
        return xr.concat(
            [part[group] for part in parts],
            variants,
            data_vars="all",
            coords="minimal",
            compat="override",
            join="outer",
            combine_attrs="drop_conflicts",
        )

    # ---------------------------------------------------------------- diagnostics

    def diagnostics(self) -> pd.DataFrame:
        """Diagnostics of the weights by variant, as :class:`Diagnostics` has them, and ``n_unique``.

        ``n_unique`` is the number of different particles among the draws. Of a posterior there are also
        ``bayes_factor``, ``bayes_factor_se`` and ``relative_efficiency``.
        """
        rows = {
            name: {
                **weights.diagnostics(self.num_samples)._asdict(),
                **of_posterior(weights),
                "n_unique": len(np.unique(self._drawn[name].particles)) if name in self else 0,
            }
            for name, weights in self.weights.items()
        }
        return tables.frame(rows, "variant")

    def ess_by_site(self) -> pd.DataFrame:
        """ESS by variant and latent site: which site costs how much of it.

        ``ess_alone`` is the ESS that the site would leave on its own, ``ess_without`` the one that would be
        left without it, and ``cost`` the fraction of that which the site takes: 0.86 is 86 % of the ESS.
        """
        return tables.ess_by_site(self._weights)

    def overlap(self) -> pd.DataFrame:
        """Overlap of each pair of variants.

        ``expected`` is the expected fraction of stable draws that both have in common, J(p, q);
        ``observed`` is the fraction that they have in common; ``total_variation`` is the distance between
        their weights. ``overlap()["expected"].unstack()`` is a matrix for a heat map.
        """
        return tables.overlap(self._weights, {name: draws.particles for name, draws in self._drawn.items()})

    # ---------------------------------------------------------------- numbers

    def summary(
        self,
        var_names: str | Sequence[str] | None = None,
        statistics: Mapping[str, Statistic] | None = None,
        *,
        quantiles: float | Sequence[float] = (0.05, 0.5, 0.95),
        ci_prob: float = 0.95,
        smooth: bool = False,
    ) -> pd.DataFrame:
        """Weighted mean, standard deviation and quantiles of each number by variant, with their errors.

        Parameters
        ----------
        var_names : str or sequence of str, optional
            Variables of prior and prior predictive; all if absent, none if empty.
        statistics : mapping of str to callable, optional
            Functions of the particle dataset that keep the dim ``particle``, as in
            ``{"share": lambda ds: (ds.y > 80).mean("student")}``. Evaluated once, on the particles.
        quantiles : float or sequence of float, default (0.05, 0.5, 0.95)
            Probabilities of the quantiles.
        ci_prob : float, default 0.95
            Probability of the intervals.
        smooth : bool, default False
            Whether to use :attr:`.Weights.smoothed`.

        Returns
        -------
        DataFrame
            A row for each quantity and variant: ``mean``, ``sd``, ``q5`` and so on, each followed by its
            Monte Carlo standard error ``mcse_mean``, interval from ``lower_mean`` to ``upper_mean``, the
            effective number of particles ``n_effective_mean`` that the error is estimated from, and
            ``reliable_mean``: True from 30 of them on, where the verdict on the weights is not
            "unreliable". NaN for variants without support. It prints each number with its error, a bound
            as ``< 0.012``, and an asterisk where a number is not reliable.

        Raises
        ------
        ArgumentError
            If there is no such variable, a statistic cannot be used, or a quantile is no probability.
        WeightError
            If weights of a variant cannot be smoothed.

        Warns
        -----
        WeightWarning
            If a number is not reliable; one warning, which names the worst.

        Notes
        -----
        Errors are those of self-normalized importance sampling (Owen, *Monte Carlo theory, methods and
        examples*, chapter 9), for the standard deviation by the delta method. Intervals are those of
        Student's t with ``n_effective - 1`` degrees of freedom; of a quantile Woodruff's (*Journal of the
        American Statistical Association* 47, 1952); of the mean of a quantity between 0 and 1 Wilson's
        (same journal 22, 1927), or, where few particles have a part in it, one from 0 to an upper bound:
        the estimate and the larger of three times the largest weight and :attr:`.Weights.missed_mass`.
        """
        return tables.summary(
            self._weights,
            self._particles,
            var_names,
            statistics,
            quantiles=quantiles,
            ci_prob=as_probability("ci_prob", ci_prob),
            smooth=smooth,
        )

    def contrast(
        self,
        a: str,
        b: str | None = None,
        statistic: str | Sequence[str] | Statistic | Mapping[str, Statistic] | None = None,
        *,
        ci_prob: float = 0.95,
        smooth: bool = False,
    ) -> pd.DataFrame:
        """Difference and ratio of means between two variants, with paired errors.

        Parameters
        ----------
        a : str
            A variant.
        b : str, optional
            The one to compare it with; each other variant if absent.
        statistic : str, callable, sequence of str or mapping of str to callable, optional
            What to compare the means of: variables by name, a function of the particle dataset that keeps
            the dim ``particle``, or several by name. Every variable if absent.
        ci_prob, smooth
            As of :meth:`summary`.

        Returns
        -------
        DataFrame
            A row for each quantity and pair: ``mean_a``, ``mean_b``; their ``difference``, a less b, with
            its error ``mcse`` and interval from ``lower`` to ``upper``, ``n_effective`` and ``reliable`` as
            in :meth:`summary`; for quantities that are nowhere negative also their ``ratio``,
            with ``mcse_ratio``, ``ratio_lower``, ``ratio_upper``, ``n_effective_ratio`` and
            ``reliable_ratio``.

        Raises
        ------
        ArgumentError
            If there is no such variant or variable, or a statistic cannot be used.
        WeightError
            If no particle is in the support of one of the variants that are named, or weights of one cannot
            be smoothed.

        Warns
        -----
        WeightWarning
            If a number is not reliable; one warning, which names the worst.

        Notes
        -----
        Both means are taken on the same particles, so what the particles have by chance cancels: the error
        is the root of ``sum((A * (h - mean_a) - B * (h - mean_b))**2)`` for weights A and B and values h. The
        interval of the ratio is symmetric on the log scale. The interval is one of Monte Carlo error: how
        much mean_a and mean_b differ in truth, not how much draws of a and b do.
        """
        self._check(a)
        others = [name for name in self.weights if name != a]
        if b is not None:
            self._check(b)
            others = [b]
        chosen = (a, *others)
        particles = {name: self._particles[name] for name in chosen}
        ci_prob = as_probability("ci_prob", ci_prob)
        return tables.contrast(
            self._weights, particles, a, others, statistic=statistic, ci_prob=ci_prob, smooth=smooth
        )

    def _check(self, name: Any) -> None:
        """Refuse a variant that is not there, or has no weights to compute with."""
        if not isinstance(name, str) or name not in self.weights:
            raise ArgumentError(
                f"there is no variant {name!r}; there are {quoted(self.weights)}."
                f"{suggestion(str(name), self.weights)}"
            )
        if not self.weights[name].ess:
            raise WeightError(f"variant {name!r} has no mean: {self.weights[name].judge(1).advice}")

    @property
    def _title(self) -> str:
        return f"Comparison of {len(self.weights)} variants, {self.num_samples} draws each"

    def __repr__(self) -> str:
        shown, advice = tables.short(self.diagnostics())
        return "\n".join([self._title, shown.to_string(index_names=False), *(f"  {a}" for a in advice)])

    def _repr_html_(self) -> str:
        shown, advice = tables.short(self.diagnostics())
        return page(self._title, html_table(shown), *advice)
