"""An outbreak of influenza, simulated boy by boy, under priors that are not simulated again.

In January 1978 influenza went through an English boarding school of 763 boys; the data are how many were in
bed on each of fourteen days (British Medical Journal, 4 March 1978). Each boy has a threshold of exposure at
which he falls ill (Sellke 1983), looked at every two hours, so 2,000 draws take seconds. The particles are
simulated once, from a guide for a box of priors; each prior in it reuses them, and one outside it gets a few
more. The pictures go to ``demo/``.
"""

import math
import time
import warnings
from functools import partial
from importlib.metadata import version
from pathlib import Path

import arviz as az
import matplotlib
import pyro
import pyro.distributions as dist
import torch
from matplotlib import pyplot as plt

from arviz_resampler import Resampler, WeightWarning, family

IN_BED = torch.tensor([3.0, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4])
BOYS, DAYS, STEPS = 763, len(IN_BED), 12  # boys, days, steps of a day
PARTICLES, DRAWS, SHOWN = 6_000, 2_000, 40
ARVIZ = int(version("arviz").split(".")[0])  # 0: InferenceData and its plots; 1: DataTree and its plots


def prior(r0, days):
    """A program that draws how many boys one infects, and on how many days, from priors of these medians."""

    def program():
        return [
            pyro.sample(name, dist.LogNormal(torch.as_tensor(median).log(), 0.3))
            for name, median in [("r0", r0), ("days", days)]
        ]

    return program


def simulator():
    """The whole model. Its r0 and days are those of the particles; in_bed is sampled, its data are kept."""
    r0, days = prior(2.0, 2.0)()
    threshold, course = -torch.rand(2, BOYS).log()  # Exponential(1); no site, for nobody asks for them
    start = torch.where(torch.arange(BOYS) < 3, 0.0, math.inf)  # three were ill on the first day
    pressure, ill = 0.0, []
    for step in range(DAYS * STEPS):
        ill.append(((start <= step) & (step < start + course * days * STEPS)).sum())
        pressure = pressure + r0 / (days * STEPS) * ill[-1] / BOYS
        start = torch.where(threshold < pressure, start.clamp(max=step + 1), start)
    with pyro.plate("day", DAYS):
        at_noon = torch.stack(ill[STEPS // 2 :: STEPS]).float()
        pyro.sample("in_bed", dist.Binomial(at_noon, 0.9), obs=IN_BED)  # nine in ten who are ill


def timed(function, *args, repeat=1, **options):
    """What a call returns, and the seconds of the fastest of some."""
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        result = function(*args, **options)
        seconds.append(time.perf_counter() - start)
    return result, min(seconds)


def simulate(guide, num_guide_samples):
    """Particles of a guide, extended by the simulator; and the seconds that took."""
    how = {"random_seed": 0, "coords": {"day": range(1, DAYS + 1)}, "progressbar": False}
    return timed(Resampler, guide, simulator, num_guide_samples=num_guide_samples, **how)


def plot_outbreaks(draws, title, name):
    """A panel for each prior: some outbreaks, and the one that was seen."""
    size = (1 + 2.8 * len(draws), 3)
    _, axes = plt.subplots(1, len(draws), figsize=size, sharex=True, sharey=True, layout="constrained")
    days = range(1, DAYS + 1)
    for ax, (prior_name, drawn) in zip(axes, draws.items(), strict=True):
        lines = ax.plot(days, drawn.prior_predictive["in_bed"].values[0, :SHOWN].T, "C0", alpha=0.35, lw=0.8)
        (seen,) = ax.plot(days, drawn.observed_data["in_bed"].values, "ko", ms=3)
        ax.set(title=prior_name, xlabel="day")
    axes[0].set(ylabel="boys in bed", xlim=(1, DAYS), xticks=days[::3], ylim=(0, BOYS * 0.75))
    axes[0].legend([lines[0], seen], [f"{SHOWN} of {DRAWS:,} draws", "January 1978"], fontsize="small")
    plt.suptitle(title, fontsize="medium")
    plt.savefig(f"demo/{name}.png", dpi=90)


def plot_priors(draws):
    """The densities of the priors, one over the other, by ArviZ."""
    how = {"group": "prior", "var_names": ["r0", "days"]}
    if ARVIZ == 0:
        az.plot_density(list(draws.values()), data_labels=list(draws), hdi_prob=0.99, **how)
    else:
        az.plot_dist(draws, visuals={"point_estimate_text": False}, **how).add_legend("model")
    plt.savefig("demo/outbreak_priors.png", dpi=90, bbox_inches="tight")


def look_inside(resampler):
    """Three priors of the box, and one of them simulated afresh."""
    draws = {}
    for r0 in (2.0, 3.0, 4.0):
        model, name = prior(r0, 2.0), f"R0 about {r0:g}"
        draw = partial(resampler.sample_prior_predictive, model, DRAWS, name=name)
        draws[name], resampled = timed(draw, repeat=3)
        print(f"{name}: {resampler.weigh(model).verdict}")
    _, afresh = simulate(model, DRAWS)
    line = f"{DRAWS:,} draws of another prior: {1e3 * resampled:.0f} ms; simulating them: {afresh:.1f} s"
    print(line)
    plot_outbreaks(draws, line, "outbreak")
    plot_priors(draws)


def look_outside(resampler):
    """A prior outside the box, before and after a top-up."""
    model = prior(12.0, 2.0)  # as contagious as measles
    before = resampler.weigh(model)
    print(f"R0 about 12: {before}")
    with warnings.catch_warnings(action="ignore", category=WeightWarning):  # what is printed already
        draws = {f"ESS {before.ess:,.0f}": resampler.sample_prior_predictive(model, DRAWS)}
    print(f"Top-up: {resampler.top_up(model, ess=DRAWS)}")
    draws[f"ESS {resampler.weigh(model).ess:,.0f}"] = resampler.sample_prior_predictive(model, DRAWS)
    plot_outbreaks(draws, "R0 about 12, before and after a top-up", "outbreak_top_up")


def main():
    """Simulate once, look at priors of the box, then at one outside it."""
    matplotlib.use("Agg")
    Path("demo").mkdir(exist_ok=True)
    # A family looks at its program many times: at the priors alone.
    guide = family(prior, r0=(1.5, 5.0), days=(1.5, 3.0))
    print(guide)
    resampler, seconds = simulate(guide, PARTICLES)
    print(f"{PARTICLES:,} particles simulated in {seconds:.1f} s, once")
    look_inside(resampler)
    look_outside(resampler)
    print("Pictures:", *sorted(str(path) for path in Path("demo").glob("outbreak*.png")))


if __name__ == "__main__":
    main()
