"""The verdict on weights: rules in order of gravity, and the sentences that they give.

A rule takes weights and a number of draws, and gives a judgement or none. The first that gives one
decides. Knows the numbers of weights; nothing of how they are computed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from arviz_resampler.weights.normalize import log_means

if TYPE_CHECKING:
    from arviz_resampler.weights.weights import Weights

Verdict = Literal["good", "low", "unreliable"]

FEW = 100  # ESS below which the Monte Carlo error of a mean exceeds a tenth of the spread
# ESS below which draws of a posterior tell errors that are too small (benchmarks/posteriors.py).
FEW_OF_POSTERIOR = 400
_MISSING = 5.0  # standard errors
_UNSEEN = 15.0  # particles: the chance that none falls where that many are expected is less than 1 in 10**6
_OPEN = 0.01  # share of a model's mass without a simulation from which the verdict says what that means
_ROUNDING = 1e-3  # densities in float32 that are added up over many sites are off by less than that


class Judgement(NamedTuple):
    """A verdict and a sentence that says what to do."""

    verdict: Verdict
    advice: str


def wanted_ess(num_samples: int) -> int:
    """The effective sample size that a good verdict for a number of draws takes."""
    return max(num_samples, FEW)


def judge(weights: Weights, num_samples: int) -> Judgement:
    """The judgement of the first rule that has one, else a good one."""
    of_prior = (no_support, too_few, heavy_tail, missing_mass, excess_mass, repeats)
    # The mean raw ratio of a posterior is a Bayes factor, from which nothing is missing.
    of_posterior = (no_support, too_few_of_posterior, heavy_tail, repeats)
    for rule in of_prior if weights.chains is None else of_posterior:
        judgement = rule(weights, num_samples)
        if judgement is not None:
            return judgement
    return Judgement("good", f"{_size(weights)}. {missed(weights)}{failures(weights)}")


# ---------------------------------------------------------------- rules


def no_support(weights: Weights, _num_samples: int) -> Judgement | None:
    """No particle is in the support of the model."""
    if weights.ess:
        return None
    remedy = (
        "Widen the guide so that it covers the model, or top up with particles of the model."
        if weights.chains is None
        else "Fit the model under this prior."
    )
    return Judgement(
        "unreliable",
        f"no particle has positive weight; site {_emptiest(weights)!r} leaves the fewest. {remedy}",
    )


def too_few(weights: Weights, num_samples: int) -> Judgement | None:
    """The effective sample size is too low for any number."""
    if weights.ess >= min(FEW, weights.num_particles / 2):
        return None
    fault = f"{_size(weights)}, largest weight {weights.max_weight:.2g}"
    widen = _has_uncovered_tail(weights) or _missing_mass(weights) > 0.5
    return Judgement("unreliable", _advice(fault, weights, num_samples, widen=widen))


def too_few_of_posterior(weights: Weights, num_samples: int) -> Judgement | None:
    """The effective sample size of draws of a posterior is too low for the errors to be right."""
    if weights.ess * weights.relative_efficiency >= min(FEW_OF_POSTERIOR, weights.num_particles / 2):
        return None
    fault = f"{_size(weights)}. At least {FEW_OF_POSTERIOR} are needed for errors to be right"
    return Judgement("unreliable", _advice(fault, weights, num_samples, widen=False))


def heavy_tail(weights: Weights, num_samples: int) -> Judgement | None:
    """A few particles stand for a tail that the guide hardly reaches."""
    if not _has_uncovered_tail(weights):
        return None
    by = "guide" if weights.chains is None else "posterior"
    fault = f"{_heaviness(weights)}: a few particles stand for a tail that the {by} hardly reaches"
    return Judgement("unreliable", _advice(fault, weights, num_samples, widen=True))


def missing_mass(weights: Weights, _num_samples: int) -> Judgement | None:
    """The mean raw weight is below one: part of the model lies where no particle is."""
    missing = _missing_mass(weights)
    mean = 1 - missing
    if missing <= max(_MISSING * weights.log_mean_weight_se * mean, _ROUNDING):
        return None
    return Judgement(
        "unreliable",
        f"the mean raw weight is {mean:.3g}, not 1: about {missing:.0%} of the model's mass "
        f"lies where no particle is. Widen the guide at site {_emptiest(weights)!r}.",
    )


def excess_mass(weights: Weights, _num_samples: int) -> Judgement | None:
    """The mean raw weight is above one: the draws are not of the density that they are scored with."""
    if not weights.densities_normalized:
        return None
    mean = math.exp(min(weights.log_mean_weight, 700.0))
    # Where the model is zero or nearly so, no particle may have fallen, which no standard error shows.
    relative_error = _MISSING * weights.log_mean_weight_se + _UNSEEN / weights.num_particles
    if mean - 1 <= relative_error * mean + _ROUNDING:
        return None
    return Judgement(
        "unreliable",
        f"the mean raw weight is {exp_text(weights.log_mean_weight, 3)}, not 1: values of site "
        f"{_fullest(weights)!r} are not drawn from the density that they are scored with, as where they "
        f"underflow, or that density is not normalized. Draw the site from another distribution.",
    )


def repeats(weights: Weights, num_samples: int) -> Judgement | None:
    """Draws repeat, as there are more of them than effective particles, or a few have much weight."""
    if weights.ess >= num_samples and not _is_heavy(weights):
        return None
    heavy = weights.ess >= num_samples
    fault = f"{_size(weights)}, about {weights.expected_distinct(num_samples):.0f} of {num_samples} draws "
    fault += "are distinct"
    if heavy:
        fault += f". {_heaviness(weights)}, so few particles have much of the weight"
    return Judgement("low", _advice(fault, weights, num_samples, widen=heavy))


# ---------------------------------------------------------------- what rules ask


def _is_heavy(weights: Weights) -> bool:
    return weights.pareto.k >= weights.pareto.threshold  # no where there is no k-hat


def _has_uncovered_tail(weights: Weights) -> bool:
    """Whether the tail is heavy for want of particles.

    Where the tail holds most of the weight because the model is much narrower than the guide, k-hat is
    noise; most particles then have next to no weight.
    """
    return _is_heavy(weights) and not _tail_has_most(weights)


def _tail_has_most(weights: Weights) -> bool:
    """Whether the tail that k-hat is fitted to holds most of the weight, as of a much narrower model."""
    n = weights.num_particles
    few = weights.ess < weights.pareto.tail
    return bool(few and int(torch.count_nonzero(weights.tensor > 0.01 / n)) <= n / 2)


def k_hat_unused(weights: Weights, num_samples: int) -> str:
    """Why the verdict for a number of draws did not ask for k-hat, or nothing."""
    decided = weights.ess < max(num_samples, min(FEW, weights.num_particles / 2))
    if math.isnan(weights.pareto.k) or not (decided and _tail_has_most(weights)):
        return ""
    return f"the {weights.pareto.tail} weights that it is fitted to are most of the weight"


def _missing_mass(weights: Weights) -> float:
    """Fraction of the model's mass that the particles do not see; unknown, so none, for other densities."""
    known = weights.densities_normalized and weights.chains is None
    return -math.expm1(min(weights.log_mean_weight, 0.0)) if known else 0.0


def _emptiest(weights: Weights) -> str:
    """The site that most lowers the mean raw weight."""
    means = _log_means(weights)
    return min(means, key=lambda name: means[name])


def _fullest(weights: Weights) -> str:
    """The site that most raises the mean raw weight."""
    means = _log_means(weights)
    return max(means, key=lambda name: means[name])


def _log_means(weights: Weights) -> dict[str, float]:
    ratios = weights.tensors_by_site
    return dict(zip(ratios, log_means(ratios.values()), strict=True))


# ---------------------------------------------------------------- sentences


def exp_text(log: float, digits: int) -> str:
    """A number of which the log is known, also where no float holds it."""
    return f"{math.exp(log):.{digits}g}" if log < 700 else f"exp({log:.{digits}g})"


def _heaviness(weights: Weights) -> str:
    fit = weights.pareto
    return f"Pareto k-hat {fit.k:.2f} is above {fit.threshold:.2f}"


def missed(weights: Weights) -> str:
    """How much of the model may lie where no particle is."""
    if weights.chains is not None:
        return _beyond_posterior(weights)
    if weights.densities_normalized:
        return f"Up to {weights.missed_mass:.2%} of the model may lie where no particle is."
    known = weights.normalized_part
    if known is None:
        return "The model has no known normalizing constant, so it may lie where no particle is."
    sites = ", ".join(map(repr, weights.unnormalized))
    missing = _missing_mass(known)
    much = missing > max(_MISSING * known.log_mean_weight_se * (1 - missing), _ROUNDING)
    part = f"about {missing:.0%} lies" if much else f"up to {known.missed_mass:.2%} may lie"
    return (
        f"The model has no known normalizing constant; without {sites} it has one, and {part} where no "
        f"particle is."
    )


def _beyond_posterior(weights: Weights) -> str:
    """Where the posterior under the model goes beyond the draws."""
    assert weights.chains is not None
    changed = [name for name, ratio in weights.log_ratio_by_site.items() if ratio.any()]
    changed = [name for name in changed if name in weights.chains.latents]
    widened = weights.chains.widened(weights.normalized, changed) if weights.ess else None
    if widened is None:
        return "No latent with another prior has a wider posterior than the draws."
    return (
        f"The posterior under the model is wider at site {widened.name!r} (standard deviation "
        f"{widened.before:.3g} of the draws, {widened.after:.3g} with weights), where the draws do not reach "
        f"its tails, and errors may be larger than they are said to be."
    )


def _size(weights: Weights) -> str:
    size = f"effective sample size {weights.ess:.3g} of {weights.num_particles} particles"
    if weights.chains is None:
        return size
    dependent = weights.ess * weights.relative_efficiency
    return f"{size}, which counts as {dependent:.3g} since draws of a chain depend on each other"


def _advice(fault: str, weights: Weights, num_samples: int, *, widen: bool) -> str:
    return f"{fault}. {remedy(weights, num_samples, widen=widen)} {missed(weights)}{failures(weights)}"


def remedy(weights: Weights, num_samples: int, *, widen: bool) -> str:
    """Which site costs most, and what to do: more guide samples, unless a wider guide is called for."""
    if weights.chains is not None:
        return (
            f"Site {weights.costliest_site!r} costs most: draw more from the posterior, or fit the model "
            f"under this prior or one closer to it."
        )
    n, ess = weights.num_particles, weights.ess
    if ess > n * (1 - 1e-9):
        return f"{num_samples} guide samples or more would give as many effective ones."
    site = weights.costliest_site
    wanted = wanted_ess(num_samples)
    needed = n * wanted / ess
    more = math.ceil(wanted - ess)
    if widen or needed <= n:
        what = f"widen the guide there, bring it closer to the model, or top up by {more:,}"
        what = what if more > 0 else "widen the guide there, or bring it closer to the model"
        return f"Site {site!r} costs most: {what}."
    digits = 10 ** (int(math.log10(needed)) - 1)  # all but two
    return (
        f"Site {site!r} costs most. About {math.ceil(needed / digits) * digits:,} guide samples, a guide "
        f"closer to the model, or a top-up of {more:,} would give {wanted} effective ones."
    )


def failures(weights: Weights) -> str:
    """What fraction of the model's mass has no simulation, where there is any."""
    fraction, mcse = weights.failed_mass
    if not fraction:
        return ""
    meaning = " What is predicted there is not known." if fraction > _OPEN else ""
    return f" {fraction:.2%} of the model's mass (± {mcse:.2%}) could not be simulated.{meaning}"
