"""The diagnostics of weights as one record, which containers, tables and texts are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from arviz_resampler.markup import badge, page, table
from arviz_resampler.weights.verdict import Verdict, exp_text, failures, judge, k_hat_unused, missed

if TYPE_CHECKING:
    from arviz_resampler.weights.weights import Weights


class Diagnostics(NamedTuple):
    """Diagnostics of weights for a number of draws.

    Attributes
    ----------
    verdict : {"good", "low", "unreliable"}
        The verdict for this number of draws.
    advice : str
        A sentence that says what to do.
    ess : float
        Kish's effective sample size.
    ess_fraction : float
        The same over the number of particles.
    ess_entropy : float
        Effective sample size by entropy.
    max_weight : float
        The largest weight.
    num_guide_samples : int
        How many particles there are.
    num_supported : int
        How many of them are in the support of the model.
    expected_distinct : float
        How many different particles this number of independent draws would have.
    pareto_k : float
        Pareto k-hat, NaN where there is none.
    pareto_k_reason : str
        Why there is none, or why the verdict did not ask for it, or nothing.
    good_k : float
        Below which k-hat is good.
    tail_length : int
        How many weights k-hat is fitted to.
    log_mean_weight : float
        Log of the mean raw ratio, near 0 where the guide reaches all of the model.
    log_mean_weight_se : float
        Its standard error.
    missed_mass : float
        Upper 95 % bound of the fraction of the model's mass that lies where no particle is; NaN where a
        normalizing constant is unknown.
    failed_mass : float
        Fraction of the model's mass that could not be simulated.
    failed_mass_se : float
        Its standard error.
    """

    verdict: Verdict
    advice: str
    ess: float
    ess_fraction: float
    ess_entropy: float
    max_weight: float
    num_guide_samples: int
    num_supported: int
    expected_distinct: float
    pareto_k: float
    pareto_k_reason: str
    good_k: float
    tail_length: int
    log_mean_weight: float
    log_mean_weight_se: float
    missed_mass: float
    failed_mass: float
    failed_mass_se: float


def diagnose(weights: Weights, num_samples: int) -> Diagnostics:
    """The diagnostics of weights for a number of draws."""
    verdict, advice = judge(weights, num_samples)
    failed_mass, failed_mass_se = weights.failed_mass
    return Diagnostics(
        verdict=verdict,
        advice=advice,
        ess=weights.ess,
        ess_fraction=weights.ess / weights.num_particles,
        ess_entropy=weights.ess_entropy,
        max_weight=weights.max_weight,
        num_guide_samples=weights.num_particles,
        num_supported=weights.num_supported,
        expected_distinct=weights.expected_distinct(num_samples),
        pareto_k=weights.pareto.k,
        pareto_k_reason=weights.pareto.reason or k_hat_unused(weights, num_samples),
        good_k=weights.pareto.threshold,
        tail_length=weights.pareto.tail,
        log_mean_weight=weights.log_mean_weight,
        log_mean_weight_se=weights.log_mean_weight_se,
        missed_mass=weights.missed_mass,
        failed_mass=failed_mass,
        failed_mass_se=failed_mass_se,
    )


def of_posterior(weights: Weights) -> dict[str, float]:
    """What weights have beside that where the particles are draws of a posterior; else nothing."""
    if weights.chains is None:
        return {}
    return {
        "bayes_factor": weights.bayes_factor,
        "bayes_factor_se": weights.bayes_factor_se,
        "relative_efficiency": weights.relative_efficiency,
    }


def k_hat_text(found: Diagnostics) -> str:
    """Pareto k-hat and what is good, or why it says nothing."""
    if found.pareto_k_reason:
        return f"{'none' if math.isnan(found.pareto_k) else 'not used'}: {found.pareto_k_reason}"
    return f"{found.pareto_k:.2f} (good below {found.good_k:.2f})"


def _facts(weights: Weights, found: Diagnostics) -> Iterator[tuple[str, str]]:
    """What weights print, by name."""
    yield "ESS", f"{found.ess:.1f} of {found.num_guide_samples} ({found.ess_fraction:.1%})"
    yield "largest weight", f"{found.max_weight:.3g}"
    yield "in support", f"{found.num_supported}"
    yield "Pareto k-hat", k_hat_text(found)
    # The mean raw ratio: 1 is expected of particles of a guide, of a posterior it is a Bayes factor.
    ratio, error = exp_text(found.log_mean_weight, 4), found.log_mean_weight_se
    if weights.chains is None:
        expected = f" (1 expected, relative error {error:.2g})" if weights.densities_normalized else ""
        yield "mean ratio", f"{ratio}{expected}"
        yield "missed mass", missed(weights)
    else:
        if not math.isnan(weights.bayes_factor):
            of_prior = "over the prior of the posterior"
            yield "Bayes factor", f"{ratio}, {of_prior} (relative error {error:.2g})"
        yield "efficiency", f"{weights.relative_efficiency:.2f} of draws of a chain"
        yield "reach", missed(weights)
    if found.failed_mass:
        yield "failed mass", failures(weights).strip()


def as_text(weights: Weights, num_samples: int) -> str:
    """Weights in a few lines."""
    found = diagnose(weights, num_samples)
    facts = dict(_facts(weights, found))
    if found.verdict != "good":
        facts["advice"] = found.advice
    return "\n".join([f"Weights: {found.verdict}", *(f"  {name:<14} {fact}" for name, fact in facts.items())])


def as_html(weights: Weights, num_samples: int) -> str:
    """The same for a notebook."""
    found = diagnose(weights, num_samples)
    return page("Weights", badge(found.verdict, found.advice), table([], _facts(weights, found)))
