"""How many particles a family guide leaves at the worst position of its box, beside a guide by hand.

``make bench`` runs it after the benchmark of speed, and writes ``docs/_figures/covering.md``.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyro
import pyro.distributions as dist
from scipy.stats import qmc

from arviz_resampler import FamilyGuide, Resampler, ResamplerWarning, family

Program = Callable[[], Any]
_POSITIONS = 160


def readme(location: float, spread: float) -> Program:
    """A location and a spread."""

    def model() -> None:
        pyro.sample("mu", dist.Normal(0.0, location))
        pyro.sample("tau", dist.HalfNormal(spread))

    return model


def plate(a: float, b: float, df: float) -> Program:
    """A plate of 50 whose conditional changes."""

    def model() -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, a))
        tau = pyro.sample("tau", dist.HalfNormal(b))
        with pyro.plate("group", 50):
            pyro.sample("theta", dist.StudentT(df, mu, tau))

    return model


def shared(location: float, scale: float) -> Program:
    """Ten sites that share their hyper-parameters."""

    def model() -> None:
        for i in range(10):
            pyro.sample(f"x{i}", dist.Normal(location, scale))

    return model


def sir(b0: float, b1: float, g0: float, g1: float) -> Program:
    """Rates of infection and recovery."""

    def model() -> None:
        pyro.sample("beta", dist.LogNormal(b0, b1))
        pyro.sample("gamma", dist.LogNormal(g0, g1))

    return model


def tutorial(  # noqa: PLR0917 - its hyper-parameters
    df0: float, df1: float, p0: float, p1: float, m0: float, m1: float
) -> Program:
    """The three priors of Pyro's tutorial on prior predictive checks."""

    def model() -> None:
        pyro.sample("df", dist.LogNormal(df0, df1))
        pyro.sample("p_scale", dist.LogNormal(p0, p1))
        pyro.sample("m_scale", dist.LogNormal(m0, m1))

    return model


class Box(NamedTuple):
    """A family, its box, a guide by hand, and what is asked of the worst position."""

    make_model: Callable[..., Program]
    ranges: Mapping[str, tuple[float, float]]
    hand: Mapping[str, float]
    ask: float
    num_particles: int = 10_000


_LOCATIONS, _SCALES = ("df0", "p0", "m0"), ("df1", "p1", "m1")


def _tutorial(low: float, ask: float) -> Box:
    ranges = {**dict.fromkeys(_LOCATIONS, (-5.0, 5.0)), **dict.fromkeys(_SCALES, (low, 10.0))}
    return Box(tutorial, ranges, {**dict.fromkeys(_LOCATIONS, 0.0), **dict.fromkeys(_SCALES, 10.0)}, ask)


BOXES = {
    "sliders of the README": Box(
        readme,
        {"location": (0.05, 40.0), "spread": (1.0, 40.0)},
        {"location": 25.0, "spread": 30.0},
        5000,
        50_000,
    ),
    "eight schools": Box(
        readme, {"location": (1.0, 40.0), "spread": (1.0, 40.0)}, {"location": 40.0, "spread": 40.0}, 1500
    ),
    "plate of 50, StudentT": Box(
        plate,
        {"a": (1.0, 10.0), "b": (1.0, 10.0), "df": (2.0, 100.0)},
        {"a": 10.0, "b": 10.0, "df": 2.0},
        1000,
    ),
    "ten sites that share": Box(
        shared, {"location": (-2.0, 2.0), "scale": (0.3, 3.0)}, {"location": 0.0, "scale": 3.0}, 240
    ),
    "SIR": Box(
        sir,
        {"b0": (-2.0, 0.5), "b1": (0.1, 1.0), "g0": (-3.0, -0.5), "g1": (0.1, 1.0)},
        {"b0": -0.75, "b1": 1.4, "g0": -1.75, "g1": 1.4},
        90,
    ),
    "tutorial, scales in [0.5, 10]": _tutorial(0.5, 9),
    "tutorial": _tutorial(0.1, 0),
}
TOP_UPS = {
    "start": (0.0, 1.0, 0.0, 1.0, 0.0, 1.0),
    "better": (4.0, 1.0, 1.0, 1.0, 0.0, 1.0),
    "narrow": (0.0, 0.1, 0.0, 0.1, 0.0, 0.1),
    "corner": (5.0, 0.1, -5.0, 0.1, 5.0, 10.0),
    "outside the box": (8.0, 0.5, 8.0, 0.5, 8.0, 0.5),
}


def positions(box: Box, *, linear: bool = False) -> Iterator[dict[str, float]]:
    """Positions that fill a box, by ratios where it is positive; its corners, unless sliders move evenly."""
    d = len(box.ranges)
    shares = qmc.Sobol(d, seed=21).random(_POSITIONS).tolist()
    if not linear:
        shares += list(itertools.product([0.0, 1.0], repeat=d))
    for row in shares:
        yield {
            name: low * (high / low) ** u if low > 0 and not linear else low + (high - low) * u
            for (name, (low, high)), u in zip(box.ranges.items(), row, strict=True)
        }


def ess(resampler: Resampler, box: Box, **options: Any) -> np.ndarray:
    """Effective sample size at positions of a box."""
    return np.array([resampler.weigh(box.make_model(**hyper)).ess for hyper in positions(box, **options)])


def build(guide: Any, n: int) -> Resampler:
    """A Resampler without a simulator."""
    return Resampler(guide, num_guide_samples=n, random_seed=0, progressbar=False)


def time_ratio(first: Callable[[], Any], second: Callable[[], Any], repeats: int = 41) -> float:
    """Median time of one call over that of another; in turns, so that both meet the same load."""
    times = np.empty((repeats, 2))
    for turn in range(-1, repeats):  # the first one does not count
        for i, work in enumerate((first, second)):
            start = time.perf_counter()
            work()
            times[turn, i] = time.perf_counter() - start
    return float(np.divide(*np.median(times, axis=0)))


def row(name: str, box: Box) -> tuple[list[str], bool]:
    """A line of the table of boxes, and whether what is asked was reached."""
    n = box.num_particles
    hand = build(box.make_model(**box.hand), n)
    start = time.process_time()
    guide: FamilyGuide = family(box.make_model, **box.ranges)
    covering = build(guide, n)
    seconds = time.process_time() - start
    model = box.make_model(**box.hand)
    cost = time_ratio(lambda: covering.weigh(model), lambda: hand.weigh(model))
    found, before = ess(covering, box), ess(hand, box)
    print(guide, flush=True)
    cells = [
        *(
            name,
            f"{n:,}",
            f"{before.min():.3g}",
            f"{found.min():.4g}",
            f"{box.ask:g}",
            f"{n * guide.promise:.3g}",
        ),
        *(f"{found.min() / (n * guide.promise):.2f}", f"{np.median(before):.4g}", f"{np.median(found):.4g}"),
        *(str(sum(len(block.points) for block in guide.design)), f"{seconds:.2f}", f"{cost:.2f}"),
    ]
    return cells, bool(found.min() >= box.ask)


def table(header: str, rows: list[list[str]]) -> list[str]:
    """Lines of a table in Markdown."""
    columns = header.split("|")
    return [
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(cells)} |" for cells in rows),
    ]


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path)
    page = parser.parse_args().page
    warnings.simplefilter("ignore", ResamplerWarning)
    warnings.filterwarnings("ignore", "The balance properties of Sobol")
    rows = []
    for name, box in BOXES.items():
        cells, reached = row(name, box)
        rows.append([*cells, "yes" if reached else "no"])
        print(cells, flush=True)
    lines = table(
        "box|N|worst ESS by hand|worst ESS|asked|promised|over promise|median by hand|median|points|"
        "CPU s to build|weighing, over a single guide|reached",
        rows,
    )
    box = BOXES["tutorial"]
    guide = family(box.make_model, **box.ranges)
    caches = [
        Resampler(guide, num_guide_samples=10_000, random_seed=seed, progressbar=False) for seed in range(8)
    ]
    moved = [ess(cache, box, linear=True) for cache in caches]
    lines += [
        "",
        f"The tutorial's box at positions as linear sliders move, N = 10,000, mean of eight caches: the "
        f"lowest 1 % of ESS is {np.mean([np.quantile(e, 0.01) for e in moved]):.3g} (asked 45), the median "
        f"{np.mean([np.median(e) for e in moved]):,.0f} (asked 1,200).",
        "",
    ]
    resampler = build(tutorial(0.0, 10.0, 0.0, 10.0, 0.0, 10.0), 10_000)
    rows = []
    for name, hyper in TOP_UPS.items():
        done = resampler.top_up(tutorial(*hyper), ess=1000)
        ess_of = f"{done.ess_before:,.1f}", f"{done.ess_after:,.0f}"
        rows.append([name, f"{done.num_added:,}", *ess_of, f"{done.seconds:.2f}"])
    lines += table("top-up to an ESS of 1,000|particles added|ESS before|ESS after|seconds", rows)
    print("\n".join(lines))
    if page is not None:
        page.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
