"""Several variants on the same particles: their draws side by side, and what is known of them from weights.

Knows weights, datasets of particles and containers as they are; nothing of programs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from arviz_resampler.analysis import estimates
from arviz_resampler.analysis.quantities import Statistic, each_quantity, split, usable, warn_unusable
from arviz_resampler.containers.container import Labels, groups_of
from arviz_resampler.errors import (
    ArgumentError,
    WeightError,
    WeightWarning,
    about,
    quoted,
    suggestion,
    warn,
)
from arviz_resampler.pipeline import particle_dataset
from arviz_resampler.scoring.scored import ScoredModel
from arviz_resampler.weights.weights import Weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Priors(dict[str, Any]):
    """Containers by variant: a dict, as ArviZ wants it, that says why a variant is not there."""

    def __init__(self, containers: Mapping[str, Any], weights: Mapping[str, Weights]) -> None:
        super().__init__(containers)
        self._weights = dict(weights)

    def __missing__(self, name: str) -> Any:
        if name in self._weights:
            raise WeightError(
                f"no draw of variant {name!r} can be made: {self._weights[name].judge(1).advice}"
            )
        raise KeyError(name)  # plots of ArviZ ask a dict for groups, and go on without


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """Several priors on the same particles, side by side; made by :meth:`Resampler.compare`.

    Draws are for pictures: ``priors`` and :meth:`dataset`. Numbers come from the weights of all
    particles, each with its Monte Carlo standard error: :meth:`summary` and :meth:`contrast`. The
    particles are common to all variants, so a difference between two has far less error than
    separate simulations would leave it. Prints itself as :attr:`table`.

    Attributes
    ----------
    weights : mapping of str to Weights
        By variant.
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
    >>> list(comparison.priors)
    ['vague', 'informed']
    >>> comparison.dataset("prior_predictive").sizes["variant"]
    2

    A statistic is a function of the particle dataset that keeps the dim ``particle``:

    >>> statistics = {"P(y > 5)": lambda ds: (ds.y > 5).mean("school")}
    >>> table = comparison.contrast("vague", "informed", statistics)
    >>> bool(table["lower"].iloc[0] > 0)
    True
    """

    weights: Mapping[str, Weights]
    num_samples: int
    _chosen: Mapping[str, Ints]
    _containers: Mapping[str, Any]
    _particles: Mapping[str, xr.Dataset]

    # ---------------------------------------------------------------- pictures

    @property
    def priors(self) -> dict[str, Any]:
        """Draws by variant, for every plot of ArviZ that takes several.

        A dict of containers: all of the same number of draws and coupled by the same randomness.
        Variants that no particle supports are not in it; asking for one is a :class:`WeightError`.
        ArviZ 1.x takes it as it is, ``az.plot_forest(priors, group="prior")``; with ArviZ 0.x it is
        ``az.plot_density(list(priors.values()), group="prior", data_labels=list(priors))`` and
        ``az.plot_forest([p.prior for p in priors.values()], model_names=list(priors))``.
        """
        return Priors(self._containers, self.weights)

    def dataset(self, group: str = "prior") -> xr.Dataset:
        """One group of all variants that have draws, with the labelled dim ``variant``.

        Parameters
        ----------
        group : str, default "prior"
            Name of the group.

        Returns
        -------
        Dataset
            What one variant does not have is NaN there.
        """
        if not self._containers:
            raise WeightError("no draw can be made: no variant has a particle in its support")
        parts = [groups_of(container) for container in self._containers.values()]
        known = list(dict.fromkeys(name for part in parts for name in part))
        if group not in known:
            raise ArgumentError(
                f"there is no group {group!r}; there are {quoted(known)}.{suggestion(str(group), known)}"
            )
        variants = xr.Variable("variant", np.array(list(self._containers)))
        return xr.concat(
            [part[group] for part in parts],
            variants,
            data_vars="all",
            coords="minimal",
            compat="override",
            join="outer",
            combine_attrs="drop_conflicts",
        )

    # ---------------------------------------------------------------- verdicts

    @property
    def table(self) -> pd.DataFrame:
        """Whether the particles carry each variant: ESS, k-hat, largest weight, distinct draws, verdict."""
        rows = {}
        for name, weights in self.weights.items():
            verdict, advice = weights.judge(self.num_samples)
            rows[name] = {
                "ess": weights.ess,
                "ess_fraction": weights.ess / weights.num_particles,
                "pareto_k": weights.pareto_k if weights.ess else math.nan,
                "max_weight": weights.max_weight,
                "n_unique": len(np.unique(self._chosen[name])) if name in self._chosen else 0,
                "verdict": verdict,
                "advice": advice,
            }
        return _frame(rows, "variant")

    @property
    def blame(self) -> pd.DataFrame:
        """What each latent site costs each variant.

        ``ess_alone`` is the ESS that the site would leave on its own, ``ess_without`` the one that would be
        left without it, and ``cost`` the share of that which the site takes: 0.86 is 86 % of the ESS.
        """
        rows = {}
        for name, weights in self.weights.items():
            for site, alone in weights.ess_by_site.items():
                without = weights.ess_without_site[site]
                rows[name, site] = {
                    "ess_alone": alone,
                    "ess_without": without,
                    "cost": 1 - weights.ess / without if without else math.nan,
                }
        return _frame(rows, "variant", "site")

    @property
    def agreement(self) -> pd.DataFrame:
        """How far two variants go together, for each pair.

        ``expected`` is the share of stable draws that both are expected to have in common, J(p, q);
        ``observed`` is the share of draws that they have in common; ``total_variation`` is the distance
        between their weights. ``agreement["expected"].unstack()`` is a matrix for a heat map.
        """
        return _frame(self._agreements, "a", "b")

    @cached_property
    def _agreements(self) -> dict[tuple[str, str], dict[str, float]]:
        rows: dict[tuple[str, str], dict[str, float]] = {}
        for a, b in itertools.product(self.weights, repeat=2):
            rows[a, b] = rows[b, a] if (b, a) in rows else self._agree(a, b)
        return rows

    def _agree(self, a: str, b: str) -> dict[str, float]:
        if not (self.weights[a].ess and self.weights[b].ess):
            return {"expected": math.nan, "observed": math.nan, "total_variation": math.nan}
        if a == b:
            return {"expected": 1.0, "observed": 1.0, "total_variation": 0.0}
        p, q = self.weights[a].normalized, self.weights[b].normalized
        return {
            "expected": estimates.overlap(p, q),
            "observed": float(np.mean(self._chosen[a] == self._chosen[b])),
            "total_variation": float(np.abs(p - q).sum() / 2),
        }

    # ---------------------------------------------------------------- numbers

    def summary(
        self,
        var_names: str | Sequence[str] | None = None,
        statistics: Mapping[str, Statistic] | None = None,
        *,
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
    ) -> pd.DataFrame:
        """Weighted mean, standard deviation and quantiles of each number by variant, with their errors.

        Parameters
        ----------
        var_names : str or sequence of str, optional
            Variables of prior and prior predictive; all if absent, none if empty.
        statistics : mapping of str to callable, optional
            Functions of the particle dataset that keep the dim ``particle``, as in
            ``{"share": lambda ds: (ds.y > 80).mean("student")}``. Evaluated once, on the particles.
        quantiles : sequence of float, default (0.05, 0.5, 0.95)
            Probabilities of the quantiles.

        Returns
        -------
        DataFrame
            A row for each quantity and variant: ``mean``, ``sd``, ``q5`` and so on, each followed by its
            Monte Carlo standard error, ``mcse_mean`` and so on. NaN for variants without support.

        Notes
        -----
        Errors are those of self-normalised importance sampling (Owen, *Monte Carlo theory, methods and
        examples*, chapter 9), for the standard deviation by the delta method. That of a quantile is half
        of Woodruff's interval (*Journal of the American Statistical Association* 47, 1952).
        """
        self._warn(self.weights)
        q = np.asarray(quantiles, dtype=np.float64)
        if q.ndim != 1 or not ((q >= 0) & (q <= 1)).all():
            raise ArgumentError(f"quantiles must be probabilities in [0, 1], got {quantiles!r}")
        columns = ["mean", "sd", *(f"q{100 * value:.6g}" for value in q)]
        rows, unfit = {}, []
        for quantity, label, by_variant in each_quantity(self._particles, var_names, statistics):
            orders = {id(values): np.argsort(values) for values in by_variant.values()}
            for name, values in by_variant.items():
                weights = self.weights[name].normalized
                clean = usable(values, weights)
                row = [estimates.Estimate(math.nan, math.nan)] * len(columns)
                if clean is None:
                    unfit.append(quantity)
                elif self.weights[name].ess:
                    order = orders[id(values)]
                    row = [*estimates.moments(weights, clean)]
                    row += estimates.quantiles(weights[order], clean[order], q)
                pairs = zip(columns, row, strict=True)
                rows[label, name] = {k: v for c, e in pairs for k, v in ((c, e.value), (f"mcse_{c}", e.mcse))}
        warn_unusable(unfit)
        return _frame(rows, "quantity", "variant")

    def contrast(
        self,
        a: str,
        b: str | None = None,
        statistic: str | Sequence[str] | Statistic | Mapping[str, Statistic] | None = None,
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

        Returns
        -------
        DataFrame
            A row for each quantity and pair: ``mean_a``, ``mean_b``; their ``difference``, a less b, with
            its error ``mcse`` and 95 % interval from ``lower`` to ``upper``; for quantities that are
            nowhere negative also their ``ratio``, with ``mcse_ratio``, ``ratio_lower`` and ``ratio_upper``.

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
        self._warn([a, *others])
        var_names, statistics = split(statistic)
        rows, unfit = {}, []
        particles = {name: self._particles[name] for name in (a, *others)}
        for quantity, label, values in each_quantity(particles, var_names, statistics):
            for other in others:
                if a not in values or other not in values:
                    continue
                first, second = self.weights[a], self.weights[other]
                h_first = usable(values[a], first.normalized)
                h_second = usable(values[other], second.normalized)
                if h_first is None or h_second is None:
                    unfit.append(quantity)
                found = None
                if h_first is not None and h_second is not None and second.ess:
                    found = estimates.contrast(first.normalized, second.normalized, h_first, h_second)
                rows[label, a, other] = _contrast_row(found)
        warn_unusable(unfit)
        return _frame(rows, "quantity", "a", "b")

    def _check(self, name: str) -> None:
        """Whether a variant is there, and has weights to compute with."""
        if name not in self.weights:
            raise _unknown(name, self.weights)
        if not self.weights[name].ess:
            raise WeightError(f"variant {name!r} has no mean: {self.weights[name].judge(1).advice}")

    def _warn(self, names: Iterable[str]) -> None:
        """Say of which variants the numbers cannot be trusted."""
        for name in names:
            verdict, advice = self.weights[name].judge(1)
            if verdict == "unreliable":
                warn(f"numbers of variant {name!r} are unreliable: {advice}", WeightWarning)

    def __repr__(self) -> str:
        head = f"Comparison of {len(self.weights)} variants, {self.num_samples} draws each"
        shown = self.table.drop(columns="advice").to_string(
            formatters={"ess": "{:.1f}".format, "ess_fraction": "{:.1%}".format},
            float_format="{:.2g}".format,
            index_names=False,
        )
        advice = [f"  {name}: {row.advice}" for name, row in self.table.iterrows() if row.verdict != "good"]
        return "\n".join([head, shown, *advice])


def side_by_side(
    variants: Mapping[str, Any],
    num_samples: int,
    weigh: Callable[[Any], ScoredModel],
    draw: Callable[[str, ScoredModel], tuple[Ints, Any]],
    labels: Callable[[ScoredModel], Labels],
) -> Comparison:
    """Weigh each variant and draw from it.

    Parameters
    ----------
    variants : mapping of str to callable
        Programs by name.
    num_samples : int
        How many draws ``draw`` makes.
    weigh : callable
        From a program to its weighed particles.
    draw : callable
        From a variant's name and weighed particles to the particles chosen, and a container of them.
    labels : callable
        The names for what a variant has.
    """
    weights: dict[str, Weights] = {}
    chosen: dict[str, Ints] = {}
    containers: dict[str, Any] = {}
    particles: dict[str, xr.Dataset] = {}
    views: dict[str, Any] = {}
    common = None  # to those variants that compute nothing of their own
    for name, model in variants.items():
        with about(name):
            weighed = weigh(model)
            weights[name] = weighed.weights
            if weighed.weights.ess:
                chosen[name], containers[name] = draw(name, weighed)
            else:
                advice = weighed.weights.judge(num_samples).advice
                warn(f"variant {name!r} has no draws: {advice}", WeightWarning)
            if weighed.computed:
                particles[name] = particle_dataset(weighed, labels(weighed), views)
            else:
                if common is None:
                    common = particle_dataset(weighed, labels(weighed), views)
                particles[name] = common
    return Comparison(weights, num_samples, chosen, containers, particles)


def _unknown(name: object, known: Mapping[str, Any]) -> ArgumentError:
    return ArgumentError(
        f"there is no variant {name!r}; there are {quoted(known)}.{suggestion(str(name), known)}"
    )


def _contrast_row(found: estimates.Contrast | None) -> dict[str, float]:
    if found is None:
        nothing = estimates.Estimate(math.nan, math.nan)
        found = estimates.Contrast(math.nan, math.nan, nothing, nothing)
    first, second, (difference, mcse), (ratio, mcse_ratio) = found
    reach = estimates.Z95 * mcse
    factor = math.exp(min(estimates.Z95 * mcse_ratio / ratio, 700.0)) if ratio else math.nan
    return {
        "mean_a": first,
        "mean_b": second,
        "difference": difference,
        "mcse": mcse,
        "lower": difference - reach,
        "upper": difference + reach,
        "ratio": ratio,
        "mcse_ratio": mcse_ratio,
        "ratio_lower": ratio / factor,
        "ratio_upper": ratio * factor,
    }


def _frame(rows: Mapping[Any, Mapping[str, Any]], *names: str) -> pd.DataFrame:
    """A table with a row for each key."""
    keys = list(rows)
    several = len(names) > 1
    index = pd.MultiIndex.from_tuples(keys, names=names) if several else pd.Index(keys, name=names[0])
    return pd.DataFrame(list(rows.values()), index=index)
