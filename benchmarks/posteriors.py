"""Posteriors under another prior: whether errors hold, and which priors the draws do not reach.

Part of ``make bench``. Draws of exact posteriors, weighted to other priors and compared with exact answers:
the conjugate normal model, and the eight schools on a grid. Prints, and writes to a page, the root mean
square of errors in units of the errors that are reported: 1 where these are right.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyro
import pyro.distributions as dist
from numpy.typing import NDArray
from scipy.stats import halfcauchy, halfnorm, norm

from arviz_resampler import Resampler, ResamplerWarning

_DRAWS = 4000
_NUM, _MEAN = 5, 1.0  # observations of unit variance, and their mean
_Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
_SD = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
_MU, _TAU = np.meshgrid(np.linspace(-40, 60, 501), np.linspace(0.02, 80, 800), indexing="ij")

Floats = NDArray[np.float64]
Program = Callable[[], Any]


class Case(NamedTuple):
    """A prior, what is exact under it, and draws of a posterior under another one."""

    name: str
    model: Program
    exact: dict[str, float]
    bayes_factor: float


def normal(mean: float, scale: float) -> Program:
    """Prior of the conjugate model."""
    return lambda: pyro.sample("mu", dist.Normal(mean, scale))


def conjugate(rng: np.random.Generator, repetitions: int) -> Iterator[tuple[Resampler, list[Case]]]:
    """The mean of five observations, fitted under Normal(0, 1)."""

    def posterior(mean: float, scale: float) -> tuple[float, float]:
        variance = 1 / (1 / scale**2 + _NUM)
        return variance * (mean / scale**2 + _NUM * _MEAN), variance**0.5

    def evidence(mean: float, scale: float) -> float:
        return float(norm.pdf(_MEAN, mean, (scale**2 + 1 / _NUM) ** 0.5))

    new = [(0.0, 0.7), (0.0, 0.3), (2.0, 1.0), (-2.0, 1.0), (0.0, 10.0), (3.0, 0.5)]
    cases = [
        Case(
            f"Normal({m:g}, {s:g})", normal(m, s), {"mu": posterior(m, s)[0]}, evidence(m, s) / evidence(0, 1)
        )
        for m, s in new
    ]
    mean, sd = posterior(0.0, 1.0)
    for _ in range(repetitions):
        draws = mean + sd * rng.standard_normal((4, _DRAWS // 4))
        yield Resampler.from_posterior({"mu": draws}, normal(0.0, 1.0), random_seed=0), cases


def schools(mu: dist.Distribution, tau: dist.Distribution) -> Program:
    """Prior of the eight schools."""

    def program() -> None:
        location, spread = pyro.sample("mu", mu), pyro.sample("tau", tau)
        with pyro.plate("school", 8):
            pyro.sample("theta", dist.Normal(location, spread))

    return program


def on_a_grid(log_prior: Floats) -> tuple[Floats, float]:
    """Posterior of location and spread with the effects integrated out, and its log evidence."""
    variance = _TAU[..., None] ** 2 + _SD**2
    log_p = log_prior + (-0.5 * (_Y - _MU[..., None]) ** 2 / variance - 0.5 * np.log(variance)).sum(-1)
    p = np.exp(log_p - log_p.max())
    return p / p.sum(), float(log_p.max() + np.log(p.sum()))


def eight_schools(rng: np.random.Generator, repetitions: int) -> Iterator[tuple[Resampler, list[Case]]]:
    """Fitted under Normal(0, 10) and HalfNormal(10)."""
    wide = norm.logpdf(_MU, 0, 10), halfnorm.logpdf(_TAU, 0, 10)
    base, log_base = on_a_grid(sum(wide))
    n, h, c = dist.Normal, dist.HalfNormal, dist.HalfCauchy
    new = [
        ("mu Normal(0, 5)", n(0.0, 5.0), h(10.0), norm.logpdf(_MU, 0, 5) + wide[1]),
        ("tau HalfNormal(5)", n(0.0, 10.0), h(5.0), wide[0] + halfnorm.logpdf(_TAU, 0, 5)),
        ("tau HalfCauchy(5)", n(0.0, 10.0), c(5.0), wide[0] + halfcauchy.logpdf(_TAU, 0, 5)),
        ("tau HalfNormal(25)", n(0.0, 10.0), h(25.0), wide[0] + halfnorm.logpdf(_TAU, 0, 25)),
        (
            "mu Normal(0, 1), tau HalfNormal(50)",
            n(0.0, 1.0),
            h(50.0),
            norm.logpdf(_MU) + halfnorm.logpdf(_TAU, 0, 50),
        ),
        ("mu Normal(20, 3)", n(20.0, 3.0), h(10.0), norm.logpdf(_MU, 20, 3) + wide[1]),
    ]
    cases = []
    for name, mu, tau, log_prior in new:
        p, log_new = on_a_grid(log_prior)
        precision = 1 / _TAU**2 + 1 / _SD[0] ** 2
        first = float((p * (_MU / _TAU**2 + _Y[0] / _SD[0] ** 2) / precision).sum())
        exact = {"mu": float((p * _MU).sum()), "tau": float((p * _TAU).sum()), "theta": first}
        cases.append(Case(name, schools(mu, tau), exact, float(np.exp(log_new - log_base))))
    for _ in range(repetitions):
        i = rng.choice(base.size, _DRAWS, p=base.ravel())
        location, spread = _MU.ravel()[i], _TAU.ravel()[i]
        variance = 1 / (1 / spread[:, None] ** 2 + 1 / _SD**2)
        theta = variance * (location[:, None] / spread[:, None] ** 2 + _Y / _SD**2)
        theta = theta + variance**0.5 * rng.standard_normal((_DRAWS, 8))
        draws = {"mu": location, "tau": spread, "theta": theta}
        shaped = {name: values.reshape(4, -1, *values.shape[1:]) for name, values in draws.items()}
        fitted = schools(dist.Normal(0.0, 10.0), dist.HalfNormal(10.0))
        yield Resampler.from_posterior(shaped, fitted, random_seed=0), cases


def measured(repetitions: Iterator[tuple[Resampler, list[Case]]]) -> list[str]:
    """A line of a table for each prior."""
    found: dict[str, list[list[float]]] = {}
    for resampler, cases in repetitions:
        columns = resampler.pipeline.particles.columns
        for case in cases:
            weights = resampler.weigh(case.model)
            row = [weights.ess * weights.relative_efficiency]
            row += [float(weights.verdict == "unreliable"), float("is wider" in weights.advice)]
            row.append((weights.bayes_factor - case.bayes_factor) / max(weights.bayes_factor_se, 1e-300))
            for name, exact in case.exact.items():
                values = columns[name].value.double().numpy().reshape(_DRAWS, -1)[:, 0]
                row.append((weights.mean(values) - exact) / weights.mcse(values))
            found.setdefault(case.name, []).append(row)
    lines = []
    for name, rows in found.items():
        ess, unreliable, wider, *z = np.array(rows).T
        errors = " / ".join(f"{np.sqrt(np.mean(one**2)):.2f}" for one in z[1:])
        lines.append(
            f"| {name} | {np.median(ess):,.0f} | {unreliable.mean():.0%} | {wider.mean():.0%} | {errors} | "
            f"{np.sqrt(np.mean(z[0] ** 2)):.2f} |"
        )
    return lines


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--repetitions", type=int, default=100)
    given = parser.parse_args()
    warnings.simplefilter("ignore", ResamplerWarning)
    rng = np.random.default_rng(0)
    lines = [
        "| new prior | effective draws | unreliable | named as wider | error of the means over that reported "
        "| of the Bayes factor |",
        "|---|---|---|---|---|---|",
        *measured(conjugate(rng, given.repetitions)),
        *measured(eight_schools(rng, given.repetitions)),
    ]
    print("\n".join(lines))
    if given.page is not None:
        given.page.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
