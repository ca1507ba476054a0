"""Importance weights and an honest verdict on them.

Knows arrays of log ratios by site; nothing of programs, particles or draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from arviz_resampler.errors import ArgumentError, WeightError
from arviz_resampler.weights.pareto import ParetoFit, fit_pareto

Floats = NDArray[np.float64]
Verdict = Literal["good", "low", "unreliable"]

_DEFAULT_DRAWS = 1000
_FEW = 100  # ESS below which the Monte Carlo error of a mean exceeds a tenth of the spread
_MISSING = 5.0  # standard errors


class Judgement(NamedTuple):
    """A verdict and a sentence that says what to do."""

    verdict: Verdict
    advice: str


class _Scaled(NamedTuple):
    """Normalized weights, and what their scale was: the sum of ratios over the largest one."""

    weights: Floats
    total: float
    top: float  # log of the largest ratio
    ess: float


@dataclass(frozen=True, repr=False, eq=False)
class Weights:
    """Self-normalized importance weights of one model on N particles.

    Immutable; prints itself. Numbers come from weights, pictures from draws: :meth:`mean` and
    :meth:`quantile` use all particles and have less error than any set of draws.

    Parameters
    ----------
    log_ratio_by_site : mapping of str to array_like
        log p - log q by site, each of shape (N,), float64.
    densities_normalized : bool
        Whether the densities of guide and model are both normalized, so that the raw ratios have
        mean one.
    failed : array_like of bool, optional
        Which particles could not be simulated, shape (N,). They keep their weight.

    Attributes
    ----------
    log_ratio : ndarray
        Sum over sites, shape (N,), float64.
    normalized : ndarray
        Weights that sum to one, shape (N,), float64.

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

    def __post_init__(self) -> None:
        sites: dict[str, Floats] = {}
        for name, values in self.log_ratio_by_site.items():
            array = np.asarray(values, dtype=np.float64).view()
            array.flags.writeable = False
            sites[name] = array
        shapes = {array.shape for array in sites.values()}
        if len(shapes) != 1 or any(len(shape) != 1 or shape[0] == 0 for shape in shapes):
            raise ArgumentError(
                f"log ratios must be one-dimensional and of one length, got shapes {sorted(shapes)}"
            )
        for name, array in sites.items():
            if not array.max() < np.inf:  # NaN too
                raise WeightError(f"the log ratio of site {name!r} holds NaN or +infinity")
        object.__setattr__(self, "log_ratio_by_site", MappingProxyType(sites))

    @classmethod
    def trusted(
        cls,
        by_site: Mapping[str, Floats],
        total: Floats,
        top: float,
        *,
        densities_normalized: bool,
        failed: NDArray[np.bool_] | None,
        room: Floats,
    ) -> Weights:
        """Weights from arrays that were checked already, their sum, its maximum, and room for weights."""
        weights = object.__new__(cls)
        object.__setattr__(weights, "log_ratio_by_site", by_site)
        object.__setattr__(weights, "densities_normalized", densities_normalized)
        object.__setattr__(weights, "failed", failed)
        weights.__dict__.update(log_ratio=_frozen(total), _top=top, _room=room)
        return weights

    def __getstate__(self) -> dict[str, Any]:
        sites = dict(self.log_ratio_by_site)
        return {"sites": sites, "densities_normalized": self.densities_normalized, "failed": self.failed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        object.__setattr__(self, "log_ratio_by_site", state["sites"])
        object.__setattr__(self, "densities_normalized", state["densities_normalized"])
        object.__setattr__(self, "failed", state["failed"])
        self.__post_init__()

    # ---------------------------------------------------------------- arrays

    @cached_property
    def log_ratio(self) -> Floats:
        """Sum of the log ratios over sites, shape (N,)."""
        parts = list(self.log_ratio_by_site.values())
        total = parts[0] if len(parts) == 1 else _add(parts)
        return _frozen(total)

    @cached_property
    def _top(self) -> float:
        return float(self.log_ratio.max())

    @cached_property
    def _scaled(self) -> _Scaled:
        top = self._top
        if top == -math.inf:
            return _Scaled(np.zeros(self.num_particles), 0.0, top, 0.0)
        values = np.subtract(self.log_ratio, top, out=self.__dict__.pop("_room", None))
        np.exp(values, out=values)
        total = float(values.sum())
        ess = total**2 / _squares(values)
        values *= 1 / total  # three times as fast as a division
        return _Scaled(values, total, top, ess)

    @cached_property
    def normalized(self) -> Floats:
        """Weights that sum to one, shape (N,); all zero where no particle has weight."""
        return _frozen(self._scaled.weights)

    # ---------------------------------------------------------------- numbers

    @property
    def num_particles(self) -> int:
        """N, the number of particles."""
        return len(self.log_ratio)

    @cached_property
    def num_supported(self) -> int:
        """How many particles are in the support of the model."""
        return int(np.count_nonzero(self.log_ratio > -np.inf))

    @property
    def ess(self) -> float:
        """Kish's effective sample size, 1 / sum(W**2); 0 where no particle has weight."""
        return self._scaled.ess

    @cached_property
    def ess_entropy(self) -> float:
        """Effective sample size by entropy, exp(-sum(W * log W))."""
        weights, total, top, ess = self._scaled
        if not ess:
            return 0.0
        logs = self.log_ratio - (top + math.log(total))
        if not weights.all():
            weights, logs = weights[weights > 0], logs[weights > 0]
        return math.exp(-float(np.einsum("i,i", weights, logs)))

    @cached_property
    def max_weight(self) -> float:
        """The largest weight."""
        total = self._scaled.total
        return 1.0 / total if total else 0.0

    @cached_property
    def log_mean_weight(self) -> float:
        """Log of the mean raw ratio. Its expectation is 1 where both densities are normalized.

        Well below, part of the model's mass lies where no particle is: a missing mode.
        """
        total, top = self._scaled.total, self._scaled.top
        return top + math.log(total / self.num_particles) if total else -math.inf

    @cached_property
    def log_mean_weight_se(self) -> float:
        """Standard error of :attr:`log_mean_weight`, by the delta method."""
        if not self.ess:
            return math.nan
        return math.sqrt(max(1 / self.ess - 1 / self.num_particles, 0.0))

    @cached_property
    def failed_mass(self) -> tuple[float, float]:
        """Share of the model's mass that could not be simulated, and its Monte Carlo standard error."""
        if self.failed is None or not self.ess:
            return 0.0, 0.0
        return float(self.mean(self.failed)), float(self.mcse(self.failed))

    @cached_property
    def pareto(self) -> ParetoFit:
        """Generalized Pareto fit to the largest weights."""
        return fit_pareto(self.normalized)

    @property
    def pareto_k(self) -> float:
        """Pareto k-hat, the shape of the upper tail; NaN where it cannot be fitted."""
        return self.pareto.k

    def expected_distinct(self, num_samples: int) -> float:
        """How many different particles are expected among ``num_samples`` independent draws."""
        # Not log1p and expm1, which are ten times slower and say no more of a sum.
        with np.errstate(divide="ignore"):
            missed = np.log(1.0 - np.minimum(self.normalized, 1.0))
        missed *= num_samples
        return self.num_particles - float(np.exp(missed, out=missed).sum())

    @cached_property
    def ess_by_site(self) -> Mapping[str, float]:
        """ESS that each site would leave on its own."""
        return MappingProxyType({n: _ess(r) for n, r in self.log_ratio_by_site.items()})

    @cached_property
    def ess_without_site(self) -> Mapping[str, float]:
        """ESS that would be left without each site."""
        result = {}
        for name in self.log_ratio_by_site:
            others = [r for n, r in self.log_ratio_by_site.items() if n != name]
            result[name] = _ess(_add(others)) if others else float(self.num_particles)
        return MappingProxyType(result)

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
        n, ess = self.num_particles, self.ess
        if not ess:
            return Judgement(
                "unreliable",
                f"no particle has positive weight; site {self._emptiest()!r} leaves the fewest. Widen "
                f"the guide so that it covers the model.",
            )
        fit = self.pareto
        heavy = fit.k >= fit.threshold
        # Where the tail is most of the weight, because the model is narrow, k-hat is noise.
        beyond = heavy and (ess >= fit.tail or self._reaches_all_over())
        missing = -math.expm1(self.log_mean_weight)
        if ess < min(_FEW, n / 2):
            text = f"effective sample size {ess:.3g} of {n} particles, largest weight {self.max_weight:.2g}"
        elif beyond:
            text = (
                f"Pareto k-hat {fit.k:.2f} is above {fit.threshold:.2f}: a few particles stand for a tail "
                f"that the guide hardly reaches"
            )
        elif (
            self.densities_normalized and missing > _MISSING * self.log_mean_weight_se * (1 - missing) + 1e-6
        ):
            return Judgement(
                "unreliable",
                f"the mean raw weight is {1 - missing:.3g}, not 1: about {missing:.0%} of the model's mass "
                f"lies where no particle is. Widen the guide at site {self._emptiest()!r}.",
            )
        elif ess < num_samples or heavy:
            text = (
                f"effective sample size {ess:.3g} of {n} particles, about "
                f"{self.expected_distinct(num_samples):.0f} of {num_samples} draws are distinct"
            )
            advice = f"{text}. {self._remedy(num_samples, heavy=False)}{self._failures()}"
            return Judgement("low", advice)
        else:
            return Judgement("good", f"effective sample size {ess:.3g} of {n} particles.{self._failures()}")
        far = self.densities_normalized and missing > 0.5
        advice = f"{text}. {self._remedy(num_samples, beyond or far)}{self._failures()}"
        return Judgement("unreliable", advice)

    @property
    def verdict(self) -> Verdict:
        """The verdict for 1,000 draws, the default number."""
        return self.judge(_DEFAULT_DRAWS).verdict

    @property
    def advice(self) -> str:
        """What to do, for 1,000 draws."""
        return self.judge(_DEFAULT_DRAWS).advice

    def _failures(self) -> str:
        """What share of the model's mass has no simulation."""
        share, mcse = self.failed_mass
        return f" {share:.2%} of the model's mass (± {mcse:.2%}) could not be simulated." if share else ""

    def _remedy(self, num_samples: int, heavy: bool) -> str:
        """Which site costs most, and what to do about it."""
        if self.ess > self.num_particles * (1 - 1e-9):
            return f"{num_samples} guide samples or more would give as many effective ones."
        site = self.costliest_site
        needed = self.num_particles * max(num_samples, _FEW) / self.ess
        if heavy or needed <= self.num_particles:
            return f"Site {site!r} costs most: widen the guide there, or bring it closer to the model."
        digits = 10 ** max(int(math.log10(needed)) - 1, 0)
        return (
            f"Site {site!r} costs most. About {math.ceil(needed / digits) * digits:,} guide samples, or a "
            f"guide closer to the model, would give {max(num_samples, _FEW)} effective ones."
        )

    def _reaches_all_over(self) -> bool:
        """Whether most particles have some weight: not so where the model is much narrower than the guide."""
        n = self.num_particles
        return bool(np.count_nonzero(self.normalized > 0.01 / n) > n / 2)

    def _emptiest(self) -> str:
        """The site that most lowers the mean raw weight."""
        return min(self.log_ratio_by_site, key=lambda n: _log_mean(self.log_ratio_by_site[n]))

    def __repr__(self) -> str:
        verdict, advice = self.judge(_DEFAULT_DRAWS)
        fit = self.pareto
        k = f"{fit.k:.2f} (good below {fit.threshold:.2f})" if not fit.reason else f"none: {fit.reason}"
        lines = [
            f"Weights: {verdict}",
            f"  ESS            {self.ess:.1f} of {self.num_particles} ({self.ess / self.num_particles:.1%})",
            f"  largest weight {self.max_weight:.3g}",
            f"  in support     {self.num_supported}",
            f"  Pareto k-hat   {k}",
            f"  mean ratio     {math.exp(min(self.log_mean_weight, 700)):.4g}"
            + (
                f" (1 expected, relative error {self.log_mean_weight_se:.2g})"
                if self.densities_normalized
                else ""
            ),
        ]
        if verdict != "good":
            lines.append(f"  advice         {advice}")
        return "\n".join(lines)

    # ---------------------------------------------------------------- weighted answers

    def _values(self, values: ArrayLike) -> Floats:
        if not self.ess:
            raise WeightError("no particle has positive weight, so there is nothing to average: see advice")
        array = np.asarray(values, dtype=np.float64)
        if array.ndim == 0 or array.shape[0] != self.num_particles:
            raise ArgumentError(
                f"values must have the {self.num_particles} particles as their first axis, got shape "
                f"{array.shape}"
            )
        return array

    def mean(self, values: ArrayLike) -> Any:
        """Weighted mean over particles.

        Parameters
        ----------
        values : array_like
            Shape (N, ...).

        Returns
        -------
        float or ndarray
            Shape (...), float64.
        """
        array = self._values(values)
        return np.tensordot(self.normalized, array, axes=1)[()]

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
        """
        array = self._values(values)
        if not ((np.asarray(q) >= 0) & (np.asarray(q) <= 1)).all():
            raise ArgumentError(f"q must be probabilities in [0, 1], got {q!r}")
        weights = self.normalized
        if not weights.all():  # NumPy may take one without weight for the quantile of q = 0
            array, weights = array[weights > 0], weights[weights > 0]
        return np.quantile(array, np.asarray(q, np.float64), axis=0, weights=weights, method="inverted_cdf")

    def mcse(self, values: ArrayLike) -> Any:
        """Monte Carlo standard error of :meth:`Weights.mean`.

        Parameters
        ----------
        values : array_like
            Shape (N, ...).

        Returns
        -------
        float or ndarray
            Shape (...), float64: the root of ``sum(W**2 * (values - mean)**2)``.
        """
        array = self._values(values)
        return np.sqrt(np.tensordot(self.normalized**2, (array - self.mean(array)) ** 2, axes=1))[()]


def _frozen(array: Floats) -> Floats:
    array = array.view()
    array.flags.writeable = False
    return array


def _add(parts: list[Floats]) -> Floats:
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


def _squares(values: Floats) -> float:
    # Not values @ values: threads of NumPy and those of torch wait for each other, for milliseconds.
    shared = torch.from_numpy(values)
    return float(shared.dot(shared))


def _ess(log_ratio: Floats) -> float:
    top = log_ratio.max()
    if top == -np.inf:
        return 0.0
    raw = np.exp(log_ratio - top)
    return float(raw.sum() ** 2 / _squares(raw))


def _log_mean(log_ratio: Floats) -> float:
    top = log_ratio.max()
    return float(top + np.log(np.exp(log_ratio - top).mean())) if top > -np.inf else -math.inf
