"""Two priors for the eight schools, looked at before any inference.

Eight schools coached their pupils for a test; each reported an effect and its standard error
(Rubin 1981). The particles are simulated once, from a diffuse guide; each prior then reuses them.
The pictures go to ``demo/``.
"""

from functools import partial
from importlib.metadata import version
from pathlib import Path
from timeit import repeat

import arviz as az
import matplotlib
import pyro
import pyro.distributions as dist
import torch
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from arviz_resampler import Resampler

EFFECTS = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
SCHOOLS = ["Choate", "Deerfield", "Phillips Andover", "Phillips Exeter"]
SCHOOLS += ["Hotchkiss", "Lawrenceville", "St. Paul's", "Mt. Hermon"]
PARTICLES, DRAWS = 100_000, 2_000
ARVIZ = int(version("arviz").split(".")[0])  # 0: InferenceData and its plots; 1: DataTree and its plots


def prior(mu, tau):
    """A program that draws the mean effect and its spread over schools."""
    return lambda: (pyro.sample("mu", mu), pyro.sample("tau", tau))


guide = prior(dist.Normal(0.0, 25.0), dist.HalfNormal(30.0))  # wider than any prior to be looked at
variants = {
    "vague": prior(dist.Normal(0.0, 20.0), dist.HalfNormal(20.0)),
    "informed": prior(dist.Normal(5.0, 5.0), dist.HalfNormal(5.0)),
}


def simulator():
    """The whole model. Its mu and tau are those of the particles; y is sampled, its data are kept."""
    mu, tau = guide()
    with pyro.plate("school", len(SCHOOLS)):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("y", dist.Normal(theta, ERRORS), obs=EFFECTS)


def simulate(program):
    """Particles of a program, extended by the simulator."""
    return Resampler(
        program,
        simulator,
        num_guide_samples=PARTICLES,
        random_seed=0,
        coords={"school": SCHOOLS},
        progressbar=False,
    )


def milliseconds(function):
    """Time of the fastest of five calls."""
    return 1e3 * min(repeat(function, number=1, repeat=5))


def plot_predictive(draws, name):
    """A panel per prior: fifty replications of the eight effects, and the effects that were reported."""
    size = (5 * len(draws), 3.5)
    if ARVIZ == 0:
        _, panels = plt.subplots(1, len(draws), figsize=size, sharey=True, squeeze=False)
        how = {"kind": "cumulative", "observed": True, "mean": False, "legend": False, "textsize": 10}
        for ax, (title, drawn) in zip(panels[0], draws.items(), strict=True):
            az.plot_ppc(drawn, group="prior", num_pp_samples=50, random_seed=0, ax=ax, **how)
            ax.set_title(title)
    else:
        how = {"kind": "ecdf", "cols": ["model"], "visuals": {"observed_dist": {}}}
        how["figure_kwargs"] = {"figsize": size}
        az.plot_ppc_dist(draws, group="prior_predictive", num_samples=50, **how)
    axes = plt.gcf().axes
    for ax in axes:
        ax.set(xlim=(-80, 80), xlabel="effect")
    axes[0].set_ylabel("share of schools below")
    colors = {"prior predictive": "C0", "observed": "k"}
    lines = [Line2D([], [], color=color, label=label) for label, color in colors.items()]
    axes[-1].legend(handles=lines, loc="upper left")
    plt.savefig(f"demo/{name}.png", dpi=90, bbox_inches="tight")


def plot_priors(draws):
    """The densities of the priors, one over the other."""
    how = {"group": "prior", "var_names": ["mu", "tau"]}
    if ARVIZ == 0:
        az.plot_density(list(draws.values()), data_labels=list(draws), hdi_prob=0.99, **how)
    else:
        az.plot_dist(draws, visuals={"point_estimate_text": False}, **how).add_legend("model")
    plt.savefig("demo/priors.png", dpi=90, bbox_inches="tight")


def main():
    """Simulate once, then look at each prior."""
    resampler = simulate(guide)
    draws = {}
    for name, model in variants.items():
        resample = partial(resampler.sample_prior_predictive, model, DRAWS, name=name)
        draws[name] = resample()
        fresh = partial(simulate, model)
        print(f"{name}: {DRAWS:,} draws resampled in {milliseconds(resample):.0f} ms;", end=" ")
        print(f"{PARTICLES:,} particles simulated afresh in {milliseconds(fresh):.0f} ms")
        print(resampler.weigh(model))

    matplotlib.use("Agg")
    Path("demo").mkdir(exist_ok=True)
    for name, drawn in draws.items():
        plot_predictive({name: drawn}, f"prior_predictive_{name}")
    plot_predictive(draws, "prior_predictive")
    plot_priors(draws)
    print("Pictures:", *sorted(str(path) for path in Path("demo").glob("pri*.png")))


if __name__ == "__main__":
    main()
