"""Hares and lynxes, simulated by two processes into a store.

Pelts of the Hudson's Bay Company, in thousands, 1900 to 1920 (Hewitt 1921; as tabulated by Mahaffy and in the
Stan case study of Carpenter 2018). The simulator is an adaptive solver of SciPy, one particle at a time. Each
batch of particles is kept as soon as it is finished: a run that is stopped, by Ctrl-C or otherwise, goes on
where it was when it is started again, and one that is complete is only opened. Store and pictures go to
``demo/``.
"""

import math
import time
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pyro
import pyro.distributions as dist
import torch
from matplotlib import pyplot as plt
from scipy.integrate import solve_ivp

from arviz_resampler import Resampler

YEARS = np.arange(1900, 1921)
HARES = [30, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22, 25.4, 27.1]
HARES += [40.3, 57, 76.6, 52.3, 19.5, 11.2, 7.6, 14.6, 16.2, 24.7]
LYNXES = [4, 6.1, 9.8, 35.2, 59.4, 41.7, 19, 13, 8.3, 9.1, 7.4]
LYNXES += [8, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7, 10.1, 8.6]
PELTS = torch.tensor([HARES, LYNXES])
SPECIES = ["hare", "lynx"]
STORE = Path("demo/hares_and_lynxes.zarr")
PARTICLES, BATCH, DRAWS, WORKERS = 20_000, 500, 1_000, 2


def prior_of(spread=0.5, noise=-1.0):
    """A prior of the rates, the populations of 1900, and the noise."""

    def prior():
        rates = [
            pyro.sample(name, dist.LogNormal(math.log(median), spread))
            for name, median in [("alpha", 1.0), ("beta", 0.05), ("gamma", 1.0), ("delta", 0.05)]
        ]
        with pyro.plate("species", 2):
            start = pyro.sample("start", dist.LogNormal(math.log(10), 1.0))
        sigma = pyro.sample("sigma", dist.LogNormal(noise, 1.0))
        return rates, start, sigma

    return prior


guide = prior_of(spread=0.8)  # wider than any prior to be looked at


def populations(rates, start):
    """Both populations at each year by the equations of Lotka and Volterra, shape (2, 21)."""
    alpha, beta, gamma, delta = rates
    calls = 0

    def equations(_, logs):
        nonlocal calls
        calls += 1
        if calls > 10_000:  # a solver that never ends would stop the whole simulation
            raise RuntimeError("more than 10,000 calls of the equations")
        return alpha - beta * math.exp(logs[1]), delta * math.exp(logs[0]) - gamma

    solution = solve_ivp(
        equations, (0, 20), np.log(start), "LSODA", t_eval=YEARS - 1900, rtol=1e-6, atol=1e-6
    )
    if not solution.success:
        raise RuntimeError(solution.message)
    return np.exp(solution.y).clip(min=1e-6)  # a thousandth of a pelt; float32 has no number for much less


def simulator():
    """The whole model. What carries ``obs=`` is sampled, and its data are kept."""
    rates, start, sigma = guide()
    path = populations([rate.item() for rate in rates], start.tolist())
    path = pyro.deterministic("population", torch.tensor(path, dtype=torch.float32))
    with pyro.plate("species", 2, dim=-2), pyro.plate("year", 21, dim=-1):
        pyro.sample("pelts", dist.LogNormal(path.log(), sigma), obs=PELTS)


def simulate():
    """Fill the store, or what it lacks."""
    report = Resampler.simulate(
        guide,
        simulator,
        num_guide_samples=PARTICLES,
        batch_size=BATCH,
        random_seed=0,
        on_error="mask",
        coords={"species": SPECIES, "year": YEARS},
        dims={"population": ["species", "year"]},
        store=STORE,
        executor=WORKERS,
    )
    print(report)


def plot_intervals(draws):
    """Median and intervals of the pelts of each year under each prior, and the data."""
    _, panels = plt.subplots(len(draws), 2, figsize=(9, 3 * len(draws)), sharex=True, sharey=True)
    for (name, drawn), row in zip(draws.items(), panels, strict=True):
        quantiles = drawn.prior_predictive["pelts"].quantile([0.05, 0.25, 0.5, 0.75, 0.95], ["chain", "draw"])
        for ax, species, data in zip(row, SPECIES, PELTS, strict=True):
            low, lower, median, upper, high = quantiles.sel(species=species).values
            ax.fill_between(YEARS, low, high, color="C0", alpha=0.25, lw=0, label="90%")
            ax.fill_between(YEARS, lower, upper, color="C0", alpha=0.5, lw=0, label="50%")
            ax.plot(YEARS, median, color="C0", label="median")
            ax.plot(YEARS, data, "o", color="black", ms=3, label="data")
            ax.set(yscale="log", title=f"{species}, {name} prior", xticks=YEARS[::4], ylim=(5e-3, 1e3))
        row[0].set_ylabel("pelts, thousands")
    panels[0, 0].legend(ncols=2, fontsize="small", loc="lower right")
    plt.savefig("demo/hares_and_lynxes_years.png", dpi=90, bbox_inches="tight")


def plot_orbits(draws, count=15):
    """Some paths of hares against lynxes under each prior, and the data."""
    _, panels = plt.subplots(1, len(draws), figsize=(9, 4), sharex=True, sharey=True)
    for (name, drawn), ax in zip(draws.items(), panels, strict=True):
        for path in drawn.prior["population"].values[0, :count]:
            ax.plot(*path, lw=0.8)
        ax.plot(HARES, LYNXES, "o-", color="black", ms=3, lw=0.8, label="data")
        ax.set(xscale="log", yscale="log", xlabel="hares, thousands", title=f"{name} prior")
    panels[0].set_ylabel("lynxes, thousands")
    panels[0].legend(loc="lower left")
    plt.savefig("demo/hares_and_lynxes_orbits.png", dpi=90, bbox_inches="tight")


def main():
    """Simulate, unless that is done; then look at two priors."""
    # That the solver runs one particle at a time is meant.
    warnings.filterwarnings("ignore", message="the simulator runs one particle at a time")
    STORE.parent.mkdir(exist_ok=True)
    simulate()

    start = time.perf_counter()
    resampler = Resampler.open(STORE)
    print(f"{resampler.pipeline.particles.num_particles:,} particles opened", end=" ")
    print(f"in {1e3 * (time.perf_counter() - start):.0f} ms, {len(resampler.failures)} of them failed")
    draws = {}
    for name, spread in [("case study", 0.5), ("narrow", 0.3)]:
        prior = prior_of(spread)
        print(f"{name}: {resampler.weigh(prior)}")
        draws[name] = resampler.sample_prior_predictive(prior, DRAWS, name=name)

    matplotlib.use("Agg")
    plot_intervals(draws)
    plot_orbits(draws)
    print("Pictures:", *sorted(str(path) for path in Path("demo").glob("hares_and_lynxes_*.png")))


if __name__ == "__main__":
    main()
