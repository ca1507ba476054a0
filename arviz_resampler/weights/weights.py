"""Importance weights and an honest verdict on them.

Knows arrays of log ratios by site; nothing of programs, particles or draws.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from arviz_resampler.arguments import as_names, as_probabilities
from arviz_resampler.devices import frozen, to_host
from arviz_resampler.errors import ArgumentError, WeightError, quoted
from arviz_resampler.frozen import FrozenMapping
from arviz_resampler.weights import averages
from arviz_resampler.weights.chains import Chains
from arviz_resampler.weights.diagnostics import Diagnostics, as_html, as_text, diagnose
from arviz_resampler.weights.labeled import in_order
from arviz_resampler.weights.normalize import (
    Floats,
    Normalized,
    OnHost,
    add,
    checked,
    entropy_ess,
    expected_distinct,
    kish_ess,
    normalize,
    of_particles,
    sums_without,
)
from arviz_resampler.weights.pareto import ParetoFit, fit_pareto, smooth, unfit_to_smooth
from arviz_resampler.weights.verdict import Judgement, Verdict, judge

_DEFAULT_DRAWS = 1000
_LARGEST_LOG = 709.0  # of a float


@dataclass(frozen=True, repr=False, eq=False)
class Weights:
    """Self-normalized importance weights of one model on N particles.

    Immutable; prints itself. :meth:`mean` and :meth:`quantile` have less error than any set of draws.

    Parameters
    ----------
    log_ratio_by_site : mapping of str to array_like
        log p - log q by site, each of shape (N,), float64. What is computed of tensors is computed on their
        device; its results are of NumPy, but for ``tensor`` and its kin.
    densities_normalized : bool
        Whether the densities of guide and model are both normalized, so that the raw ratios have
        mean one.
    unnormalized : sequence of str, optional
        Sites whose densities are not, such as factors; the others still tell of missed mass.
    failed : array_like of bool, optional
        Which particles could not be simulated, shape (N,). They keep their weight.
    chains : Chains, optional
        Where the particles are draws of a posterior: their mean raw ratio is then a Bayes factor.

    Attributes
    ----------
    log_ratio : ndarray
        Sum over sites, shape (N,), float64.
    normalized : ndarray
        Weights that sum to one, shape (N,), float64.
    tensor : Tensor
        The same on the device of the log ratios. To be read only: torch cannot refuse writing, and on the
        host it shares the memory of ``normalized``. Write to a ``clone()``.
    log_ratio_tensor, tensors_by_site : Tensor, mapping of str to Tensor
        The log ratios there, in sum and by site; to be read only, too.

    Raises
    ------
    ArgumentError
        If the log ratios are not by site, not one-dimensional, ``failed`` is of another length, or
        ``unnormalized`` names a site that has no log ratio.
    WeightError
        If a log ratio is NaN or +infinity.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(0, 2, size=50_000)
    >>> log_ratio = -(x**2) / 2 + x**2 / 8 + np.log(2)  # Normal(0, 1) over Normal(0, 2)
    >>> weights = Weights({"x": log_ratio})
    >>> weights.verdict
    'good'
    >>> bool(abs(weights.mean(x**2) - 1) < 5 * weights.mcse(x**2))
    True

    Notes
    -----
    Self-normalized importance sampling and its Monte Carlo error: A. B. Owen, *Monte Carlo theory,
    methods and examples*, chapter 9. Effective sample size: Kish (1965). Pareto shape: Vehtari,
    Simpson, Gelman, Yao and Gabry, *Pareto smoothed importance sampling*, JMLR 25(72), 2024.
    """

    log_ratio_by_site: Mapping[str, Floats]
    densities_normalized: bool = True
    failed: NDArray[np.bool_] | None = None
    unnormalized: Collection[str] = ()
    chains: Chains | None = None
    tensors_by_site: Mapping[str, Tensor] = field(init=False)
    log_ratio_tensor: Tensor = field(init=False)
    _ids: Sequence[int] | NDArray[Any] | None = field(default=None, init=False)
    _top: Tensor | None = field(default=None, init=False)
    _out: Tensor | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        sites = checked(self.log_ratio_by_site)
        self._set(
            log_ratio_by_site=OnHost(sites),
            tensors_by_site=FrozenMapping(sites),
            log_ratio_tensor=add(sites.values()),
        )
        if self.failed is not None:
            self._set(failed=frozen(of_particles("failed", self.failed, self.num_particles).astype(bool)))
        unnormalized = tuple(as_names("unnormalized", self.unnormalized))
        if unknown := set(unnormalized) - sites.keys():
            raise ArgumentError(f"unnormalized holds {quoted(unknown)}; the sites are {quoted(sites)}")
        self._set(
            unnormalized=unnormalized,
            densities_normalized=bool(self.densities_normalized) and not unnormalized,
        )

    @classmethod
    def from_sum(
        cls,
        by_site: Mapping[str, Tensor],
        whole: Tensor,
        top: Tensor,
        *,
        unnormalized: tuple[str, ...],
        failed: NDArray[np.bool_] | None,
        densities_normalized: bool = True,
        chains: Chains | None = None,
        out: Tensor | None = None,
        ids: Sequence[int] | NDArray[Any] | None = None,
    ) -> Weights:
        """Weights from log ratios that were checked already, their sum, its maximum, and room for weights.

        Values with the labels ``ids`` are of the particles that these name.
        """
        weights = object.__new__(cls)
        weights._set(
            log_ratio_by_site=OnHost(by_site),
            tensors_by_site=by_site,
            densities_normalized=densities_normalized and not unnormalized,
            unnormalized=unnormalized,
            failed=failed,
            chains=chains,
            log_ratio_tensor=whole,
            _top=top,
            _out=out,
            _ids=ids,
        )
        return weights

    @cached_property
    def _normalized(self) -> Normalized:
        room = self.__dict__.pop("_out", None)  # for one, where two threads ask at once
        return normalize(self.log_ratio_tensor, self._top, room)

    def _set(self, **fields: Any) -> None:
        vars(self).update(fields)

    def __reduce__(self) -> Any:
        arguments = (
            dict(self.log_ratio_by_site),
            self.densities_normalized,
            self.failed,
            self.unnormalized,
            self.chains,
        )
        return Weights, arguments, {"_ids": self._ids}

    # ---------------------------------------------------------------- numbers

    @cached_property
    def log_ratio(self) -> Floats:
        """Log ratios in sum over sites, shape (N,)."""
        return to_host(self.log_ratio_tensor)

    @cached_property
    def normalized(self) -> Floats:
        """Weights that sum to one, shape (N,); all zero where no particle has weight."""
        return to_host(self.tensor)

    @property
    def tensor(self) -> Tensor:
        """The same on the device of the log ratios, to be read only: ``normalized`` may share it."""
        return self._normalized.weights

    @property
    def num_particles(self) -> int:
        """N, the number of particles."""
        return len(self.log_ratio_tensor)

    @cached_property
    def num_supported(self) -> int:
        """How many particles are in the support of the model."""
        return int(torch.count_nonzero(self.log_ratio_tensor > -math.inf))

    @property
    def ess(self) -> float:
        """Kish's effective sample size, 1 / sum(W**2); 0 where no particle has weight."""
        return self._normalized.ess

    @cached_property
    def ess_entropy(self) -> float:
        """Effective sample size by entropy, exp(-sum(W * log W))."""
        return entropy_ess(self._normalized, self.log_ratio_tensor)

    @cached_property
    def max_weight(self) -> float:
        """The largest weight."""
        total = self._normalized.total
        return 1.0 / total if total else 0.0

    @cached_property
    def log_mean_weight(self) -> float:
        """Log of the mean raw ratio, whose expectation is 1 where both densities are normalized.

        Near 0 then; well below, part of the model's mass lies where no particle is: a missing mode.
        """
        _, total, top, _ = self._normalized
        return top + math.log(total / self.num_particles) if total else -math.inf

    @cached_property
    def log_mean_weight_se(self) -> float:
        """Standard error of :attr:`log_mean_weight`, by the delta method."""
        if not self.ess:
            return math.nan
        return math.sqrt(max(1 / self.ess - 1 / self.num_particles, 0.0) / self._efficiency)

    @cached_property
    def _efficiency(self) -> float:
        """Effective draws over draws of a posterior, of the weights; else 1."""
        return 1.0 if self.chains is None else self.chains.efficiency(self.normalized)

    @property
    def bayes_factor(self) -> float:
        """Evidence of the model over that of the prior whose posterior the particles are: the mean raw ratio.

        NaN where the particles are no draws of a posterior, or the model has a density without a known
        normalizing constant. Its Monte Carlo standard error is ``bayes_factor_se``.
        """
        if self.chains is None or not self.densities_normalized:
            return math.nan
        return math.exp(self.log_mean_weight) if self.log_mean_weight < _LARGEST_LOG else math.inf

    @property
    def bayes_factor_se(self) -> float:
        """Monte Carlo standard error of the Bayes factor."""
        return self.bayes_factor * self.log_mean_weight_se

    @cached_property
    def relative_efficiency(self) -> float:
        """Effective draws over draws of a posterior, of the slowest latent and of the weights; else 1."""
        slowest = 1.0 if self.chains is None else self.chains.slowest
        return min(slowest, self._efficiency, 1.0)

    @cached_property
    def missed_mass(self) -> float:
        """Upper 95 % bound of the fraction of the model's mass that lies where no particle is.

        One minus the mean ratio, and 1.645 of its standard errors; NaN where the normalizing constant of a
        density is unknown.
        """
        if self.chains is not None or not self.densities_normalized:
            return math.nan
        if not self.ess:
            return 1.0
        mean = math.exp(min(self.log_mean_weight, 700.0))
        return min(max(1 - mean + 1.645 * mean * self.log_mean_weight_se, 0.0), 1.0)

    @cached_property
    def normalized_part(self) -> Weights | None:
        """Weights of the sites whose densities are normalized; None where there are no others, or none."""
        rest = {n: r for n, r in self.tensors_by_site.items() if n not in self.unnormalized}
        if not rest or not self.unnormalized:
            return None
        whole = add(rest.values())
        return Weights.from_sum(rest, whole, whole.max(), unnormalized=(), failed=None)

    @cached_property
    def failed_mass(self) -> tuple[float, float]:
        """Share of the model's mass that could not be simulated, and its Monte Carlo standard error."""
        if self.failed is None or not (self.failed.any() and self.ess):
            return 0.0, 0.0
        mean, mcse, _ = self._means(torch.tensor(self.failed, device=self.tensor.device))
        return float(mean), float(mcse)

    @cached_property
    def pareto(self) -> ParetoFit:
        """Generalized Pareto fit to the largest weights."""
        return fit_pareto(self.tensor)

    @cached_property
    def smoothed(self) -> Floats:
        """Pareto-smoothed weights that sum to one, shape (N,), for numbers, not for draws.

        The weights of the tail become the quantiles of the distribution that k-hat was fitted to. Where k-hat
        is from 0.5 to 1 and the ESS above the length of the tail, means and quantiles mostly have less error.

        Raises
        ------
        WeightError
            Elsewhere, where smoothing gains nothing or makes errors larger; the message says why.
        """
        why = unfit_to_smooth(self.pareto, self.ess)
        if why:
            raise WeightError(f"these weights cannot be smoothed: {why}")
        return frozen(smooth(self.normalized, self.pareto))

    @property
    def pareto_k(self) -> float:
        """Pareto k-hat, the shape of the upper tail; NaN where it cannot be fitted."""
        return self.pareto.k

    def expected_distinct(self, num_samples: int) -> float:
        """How many different particles are expected among ``num_samples`` independent draws."""
        return expected_distinct(self.tensor, num_samples)

    @cached_property
    def ess_by_site(self) -> Mapping[str, float]:
        """ESS that each site would leave on its own."""
        return FrozenMapping({n: kish_ess(r) for n, r in self.tensors_by_site.items()})

    @cached_property
    def ess_without_site(self) -> Mapping[str, float]:
        """ESS that would be left without each site."""
        if len(self.tensors_by_site) == 1:
            return FrozenMapping(dict.fromkeys(self.log_ratio_by_site, float(self.num_particles)))
        return FrozenMapping({n: kish_ess(r) for n, r in sums_without(self.tensors_by_site)})

    @cached_property
    def costliest_site(self) -> str:
        """The site without which the ESS would be largest."""
        without = self.ess_without_site
        return max(without, key=lambda name: (without[name], -self.ess_by_site[name]))

    # ---------------------------------------------------------------- verdict

    def judge(self, num_samples: int) -> Judgement:
        """Verdict on the weights for a number of draws, and what to do about it.

        Parameters
        ----------
        num_samples : int
            How many draws are to be made.

        Returns
        -------
        Judgement
            ``verdict`` is "unreliable" where the weights cannot be trusted, "low" where they can
            but draws will repeat (ESS below ``num_samples``), else "good".
        """
        return judge(self, num_samples)

    @property
    def verdict(self) -> Verdict:
        """The verdict for 1,000 draws, the default number."""
        return self.judge(_DEFAULT_DRAWS).verdict

    @property
    def advice(self) -> str:
        """What to do, for 1,000 draws."""
        return self.judge(_DEFAULT_DRAWS).advice

    def diagnostics(self, num_samples: int) -> Diagnostics:
        """All diagnostics as one record.

        Parameters
        ----------
        num_samples : int
            How many draws are to be made.

        Returns
        -------
        Diagnostics
        """
        return diagnose(self, num_samples)

    def __repr__(self) -> str:
        return as_text(self, _DEFAULT_DRAWS)

    def _repr_html_(self) -> str:
        return as_html(self, _DEFAULT_DRAWS)

    # ---------------------------------------------------------------- weighted answers

    def _means(self, values: Any) -> tuple[Floats, Floats, Floats]:
        """Weighted means, their standard errors and effective particles, computed where the values are."""
        values = in_order(values, self._ids, self.num_particles)
        away = isinstance(values, Tensor) and not values.is_cpu and values.device == self.tensor.device
        if away and self.ess and values.shape[:1] == self.tensor.shape and self.chains is None:
            return averages.means_on_device(self.tensor, values)
        return averages.means(self.normalized, values, self.chains)

    def mean(self, values: ArrayLike) -> Any:
        """Weighted mean over particles.

        Parameters
        ----------
        values : array_like
            Shape (N, ...). What is masked is missing, as NaN is: a mean of it is NaN, where it has weight.
            The dim ``particle`` of a DataArray may be any of its dims; labels of the particles, there or in
            the index of a Series, may be in any order.

        Returns
        -------
        float or ndarray
            Shape (...), float64.

        Raises
        ------
        ArgumentError
            If the first axis of the values is not that of the particles.
        WeightError
            If no particle has weight.

        Warns
        -----
        WeightWarning
            If a mean is not reliable: its error is estimated from less than 30 effective particles, or the
            weights are unreliable.
        """
        mean, _, n_effective = self._means(values)
        averages.warn_few("weighted means", n_effective, self.judge(1), self.chains)
        return mean[()]

    def quantile(self, values: ArrayLike, q: ArrayLike) -> Any:
        """Weighted quantile: the inverse of the weighted empirical distribution function.

        Parameters
        ----------
        values : array_like
            Shape (N, ...).
        q : array_like
            Probabilities in [0, 1].

        Returns
        -------
        float or ndarray
            Shape ``q.shape + (...)``, float64.

        Raises
        ------
        ArgumentError
            If the first axis of the values is not that of the particles, or q is no probability.
        WeightError
            If no particle has weight.

        Warns
        -----
        WeightWarning
            If a quantile is not reliable, as for :meth:`Weights.mean`.
        """
        values = in_order(values, self._ids, self.num_particles)
        found, n_effective = averages.quantiles(
            self.normalized, values, as_probabilities("q", q), self.chains
        )
        averages.warn_few("weighted quantiles", n_effective, self.judge(1), self.chains)
        return found

    def n_effective(self, values: ArrayLike) -> Any:
        """Effective number of particles behind :meth:`Weights.mcse`; below 30 it cannot be believed.

        Parameters
        ----------
        values : array_like
            Shape (N, ...).

        Returns
        -------
        float or ndarray
            Shape (...), float64: ``sum(I**2)**2 / sum(I**4)`` with ``I = W * (values - mean)``. Where all
            values are equal N, but 0 where they are all 0 or all 1: what they count was never hit, or never
            missed.

        Raises
        ------
        ArgumentError
            If the first axis of the values is not that of the particles.
        WeightError
            If no particle has weight.
        """
        return self._means(values)[2][()]

    def mcse(self, values: ArrayLike) -> Any:
        """Monte Carlo standard error of :meth:`Weights.mean`.

        Parameters
        ----------
        values : array_like
            Shape (N, ...).

        Returns
        -------
        float or ndarray
            Shape (...), float64: the root of ``sum(W**2 * (values - mean)**2)``; NaN where no particle tells
            what it is.

        Raises
        ------
        ArgumentError
            If the first axis of the values is not that of the particles.
        WeightError
            If no particle has weight.
        """
        return self._means(values)[1][()]
