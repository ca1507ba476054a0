"""Speed and memory of the Resampler beside Pyro's own and beside a hand-written limit.

``make bench`` runs everything, prints one table, and writes ``benchmarks/results.json`` and
``docs/benchmarks.md``. Times are medians of runs that take turns in one process, so that a ratio
compares like with like; memory is the peak of a process of its own.

``python benchmarks/bench.py memory CASE`` is one such process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from pyro.infer.resampler import Resampler as PyroResampler

from arviz_resampler import Resampler, ResamplerWarning
from arviz_resampler.draws.race import Race, _blocks

HERE = Path(__file__).parent
REPEATS = 9
GRID = [(n, s) for n in (10**4, 10**5, 10**6) for s in (20, 1000)]
Program = Callable[[], Any]


# ------------------------------------------------------------------ programs


def log_normals(scale: float) -> Program:
    """The three priors of Pyro's prior predictive tutorial."""

    def program() -> None:
        for name in ("df", "p_scale", "m_scale"):
            pyro.sample(name, dist.LogNormal(0.0, scale))

    return program


def normals(scale: float) -> Program:
    """Twenty independent sites."""

    def program() -> None:
        for i in range(20):
            pyro.sample(f"x{i}", dist.Normal(0.0, scale))

    return program


def vector(scale: float) -> Program:
    """One site of a hundred dims."""
    return lambda: pyro.sample("x", dist.Normal(torch.zeros(100), scale).to_event(1))


def schools(scale: float) -> Program:
    """Eight schools: a plate, which Pyro's Resampler cannot take in a guide or model."""

    def program() -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, 5 * scale))
        tau = pyro.sample("tau", dist.LogNormal(0.0, scale))
        with pyro.plate("school", 8):
            pyro.sample("theta", dist.Normal(mu, tau))

    return program


# By name: the programs, and the scales of guide and model, chosen to leave an ESS of hundreds.
PROGRAMS: dict[str, tuple[Callable[[float], Program], float, float]] = {
    "three LogNormals": (log_normals, 2.0, 1.0),
    "twenty Normals": (normals, 1.1, 1.0),
    "vector of 100": (vector, 1.05, 1.0),
    "eight schools": (schools, 1.5, 1.0),
}


def hierarchy() -> None:
    """Groups by index, a tensor that is filled in a loop, and a loop of Gamma sites."""
    group = torch.tensor([0, 1, 2, 0, 1, 2, 3, 3])
    level = pyro.sample("level", dist.Normal(torch.zeros(4), 1.0).to_event(1))
    scale = pyro.sample("scale", dist.LogNormal(0.0, 0.5))
    walk = torch.zeros(6)
    for t in range(1, 6):
        walk[t] = walk[t - 1] + pyro.sample(f"step_{t}", dist.Normal(0.0, 0.1))
    for k in range(4):
        pyro.sample(f"rate_{k}", dist.Gamma(2.0, level[k].exp()))
    with pyro.plate("row", 8):
        pyro.sample("y", dist.Normal(level[group] + walk.sum(), scale))


def five_sites() -> None:
    """Sites one after the other."""
    x = torch.zeros(())
    for i in range(5):
        x = pyro.sample(f"x{i}", dist.Normal(x, 1.0))


class Limit:
    """What remains when Pyro is taken away: densities written out in torch, and the same race."""

    def __init__(self, name: str, guide_scale: float, cache: Resampler) -> None:
        self.values = {n: c.value for n, c in cache.pipeline.particles.columns.items()}
        self.name, self.guide_scale = name, guide_scale
        self.log_q = self._log_p(guide_scale)
        self.race = Race(0, len(self.log_q))

    def _normal(self, x: torch.Tensor, scale: float) -> torch.Tensor:
        return x.div(scale).square_().mul_(-0.5).sub_(np.log(scale) + 0.5 * np.log(2 * np.pi))

    def _log_p(self, scale: float) -> torch.Tensor:
        if self.name == "eight schools":
            v = self.values
            log_tau = v["tau"].log()
            theta = ((v["theta"] - v["mu"][:, None]) / v["tau"][:, None]).square_().sum(-1)
            schools = -0.5 * theta.double() - 8 * (log_tau + 0.5 * np.log(2 * np.pi))
            tau = self._normal(log_tau, scale) - log_tau
            return self._normal(v["mu"], 5 * scale).double() + tau + schools
        total = torch.zeros(len(next(iter(self.values.values()))), dtype=torch.float64)
        for x in self.values.values():
            if self.name == "three LogNormals":
                log = x.log()
                total += self._normal(log, scale).sub_(log)
            elif x.dim() > 1:
                total += self._normal(x, scale).sum(-1, dtype=torch.float64)
            else:
                total += self._normal(x, scale)
        return total

    def sample(self, scale: float, num_samples: int) -> dict[str, torch.Tensor]:
        """Stable draws."""
        ratio = self._log_p(scale) - self.log_q
        weights = (ratio - ratio.max()).exp_()
        weights /= weights.sum()
        index = torch.from_numpy(self.race.winners(weights, num_samples))
        return {n: v[index] for n, v in self.values.items()}


# ------------------------------------------------------------------ time


def take_turns(contestants: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Median seconds of each, measured in turns of two calls, in an order that changes.

    The second call finds what the first left in the caches, as when a slider moves; the first, under
    the key "cold", finds what another contestant left there.
    """
    first: dict[str, list[float]] = {name: [] for name in contestants}
    second: dict[str, list[float]] = {name: [] for name in contestants}
    order = np.random.default_rng(0)
    for run in contestants.values():
        run()
    for _ in range(REPEATS):
        for i in order.permutation(len(contestants)):
            name, run = list(contestants.items())[i]
            for times in (first, second):
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
    warm = {name: statistics.median(values) for name, values in second.items()}
    return {**warm, "cold": {name: statistics.median(values) for name, values in first.items()}}


def by_hand(peer: PyroResampler, model: Program, num_samples: int) -> Any:
    """What a user of Pyro's Resampler writes to get to ArviZ."""
    import arviz as az

    draws = {name: value.numpy()[None] for name, value in peer.sample(model, num_samples).items()}
    if version("arviz").startswith("0."):
        return az.from_dict(prior=draws)
    return az.from_dict({"prior": draws})


def time_one(name: str, n: int, s: int) -> dict[str, Any]:
    """Seconds of each contestant on one program and size."""
    make, guide_scale, model_scale = PROGRAMS[name]
    guide, model = make(guide_scale), make(model_scale)
    ours = Resampler(guide, num_guide_samples=n, random_seed=0, progressbar=False)
    limit = Limit(name, guide_scale, ours)
    contestants: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours.sample(model, s),
        "ours, independent": lambda: ours.sample(model, s, stable=False),
        "ours, container": lambda: ours.sample_prior_predictive(model, s),
        "limit": lambda: limit.sample(model_scale, s),
    }
    if name == "eight schools":
        return take_turns(contestants)
    pyro.set_rng_seed(0)
    peer = PyroResampler(guide, num_guide_samples=n)
    contestants["Pyro, independent"] = lambda: peer.sample(model, s, stable=False)
    contestants["Pyro"] = lambda: peer.sample(model, s)
    if n * s < 10**9:  # else 8 GB of noise, and nothing new to see
        contestants["Pyro, by hand"] = lambda: by_hand(peer, model, s)
    return take_turns(contestants)


def time_programs(quick: bool) -> list[dict[str, Any]]:
    """Ours, Pyro's and the limit on every program and size."""
    rows = []
    for name in PROGRAMS:
        for n, s in GRID:
            if quick and n > 10**5:
                continue
            seconds = time_one(name, n, s)
            rows.append({"program": name, "N": n, "S": s, "seconds": seconds})
            shown = " ".join(f"{k} {1e3 * v:.2f} ms;" for k, v in seconds.items() if k != "cold")
            print(f"{name:18} N={n:<9,} S={s:<6,}", shown, flush=True)
    return rows


def time_growth(quick: bool) -> dict[str, float]:
    """How time grows with particles and draws, and the race of a hundred thousand draws."""
    large = 10**6 if quick else 10**7
    guide, model = log_normals(2.0), log_normals(1.0)
    small = Resampler(guide, num_guide_samples=large // 10, random_seed=0)
    big = Resampler(guide, num_guide_samples=large, random_seed=0, batch_size=10**6, progressbar=False)
    seconds = take_turns({"small": lambda: small.sample(model, 1000), "big": lambda: big.sample(model, 1000)})
    million = small if not quick else big
    many = take_turns(
        {"1,000": lambda: million.sample(model, 1000), "10,000": lambda: million.sample(model, 10_000)}
    )
    weights = million.weigh(model).tensor
    race = Race(0, len(weights))
    return {
        "particles": large,
        "time of 10 N over N": seconds["big"] / seconds["small"],
        "time of 10 S over S": many["10,000"] / many["1,000"],
        "seconds of a race of 100,000 draws": take_turns({"r": lambda: race.winners(weights, 10**5)})["r"],
        "race of one heavy particle over equal weights": narrow_over_equal(),
    }


def narrow_over_equal() -> float:
    """Time of 40,000 draws where one particle of 1,000 has nearly all weight, over that of equal weights."""
    race = Race(0, 1000)
    equal = torch.full((1000,), 1e-3, dtype=torch.float64)
    narrow = torch.full((1000,), 1e-12, dtype=torch.float64)
    narrow[0] = 1 - narrow[1:].sum()
    seconds = take_turns(
        {"narrow": lambda: race.winners(narrow, 40_000), "equal": lambda: race.winners(equal, 40_000)}
    )
    return float(seconds["narrow"] / seconds["equal"])


def time_ways(quick: bool) -> dict[str, float]:
    """What it takes to run one particle at a time, beside a map and beside the program itself."""
    n, few = (1000, 500) if quick else (20_000, 2000)

    def build(program: Program, n: int, vectorize: bool) -> float:
        start = time.perf_counter()
        Resampler(program, num_guide_samples=n, random_seed=0, vectorize=vectorize, progressbar=False)
        return time.perf_counter() - start

    def alone() -> float:
        start = time.perf_counter()
        with torch.no_grad():
            for _ in range(few):
                five_sites()
        return time.perf_counter() - start

    mapped = statistics.median(build(hierarchy, n, True) for _ in range(5))
    beyond = statistics.median(build(five_sites, few, False) - alone() for _ in range(5))
    return {
        "particles": n,
        "one at a time over mapped": build(hierarchy, n, False) / mapped,
        "microseconds beyond the program": 1e6 * beyond / few,
    }


# ------------------------------------------------------------------ pictures


def wide(n: int) -> Resampler:
    """Particles for `member`, with predictive sites of few and of many values."""

    def simulator() -> None:
        mu, tau = member(25.0, 30.0)()
        with pyro.plate("school", 8):
            theta = pyro.sample("theta", dist.Normal(mu, tau))
            pyro.sample("y", dist.Normal(theta, 12.0), obs=torch.linspace(-3.0, 28.0, 8))
        with pyro.plate("time", 100):
            pyro.sample("many", dist.Normal(mu, tau + 1.0), obs=torch.linspace(-9.0, 9.0, 100))

    return Resampler(member(25.0, 30.0), simulator, num_guide_samples=n, random_seed=0, progressbar=False)


def member(location: float = 8.0, spread: float = 5.0) -> Program:
    """A member of the family that the sliders move in."""

    def program() -> tuple[torch.Tensor, torch.Tensor]:
        mu = pyro.sample("mu", dist.Normal(0.0, location))
        return mu, pyro.sample("tau", dist.HalfNormal(spread))

    return program


def time_pictures() -> dict[str, dict[str, float]]:
    """CPU seconds from a move of a slider to its new PNG, by plot, and of the update alone."""
    tuner = wide(10**5).tune(member, location=(1.0, 40.0), spread=(1.0, 40.0))
    found = {}
    for plot in ("predictive", "curves", "prior"):
        explorer = tuner.widget(plot)
        explorer._begin_search = lambda: None  # it would follow at once, where there is no event loop
        seconds: dict[str, list[float]] = {"update": [], "move": []}
        for location in np.linspace(4.0, 12.0, 33):
            before = time.process_time()
            tuner.update(location=location + 0.1, spread=5.0)
            between = time.process_time()
            explorer.controls["location"].box.value = location
            seconds["update"].append(between - before)
            seconds["move"].append(time.process_time() - between)
        found[plot] = {name: statistics.median(values) for name, values in seconds.items()}
        shown = ", ".join(f"{name} {1e3 * value:.1f} ms" for name, value in found[plot].items())
        print(f"{plot}: {shown}", flush=True)
    return found


# ------------------------------------------------------------------ memory


def forget_peak() -> None:
    """Start to look for the peak of this process anew: Linux keeps that of its parent too."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """Peak memory of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def memory_case(case: str) -> None:
    """Print the extra peak memory of one call, in MB, and the size of the cached arrays."""
    kind, n = case.split(":")
    size = int(float(n))
    guide, model = log_normals(2.0), log_normals(1.0)
    if kind == "construction":

        def simulator() -> None:
            guide()
            with pyro.plate("t", 1000):
                pyro.sample("y", dist.Normal(0.0, 1.0))

        def build(size: int) -> Resampler:
            return Resampler(
                guide, simulator, num_guide_samples=size, batch_size=1000, random_seed=0, progressbar=False
            )

        build(2000)
        forget_peak()
        before = peak()
        columns = build(size).pipeline.particles.columns.values()
        cached = sum(t.nbytes for c in columns for t in (c.value, c.log_q) if t is not None) / 2**20
        print(json.dumps({"extra": peak() - before, "cached": cached}))
        return
    if kind == "singly":
        Resampler(five_sites, num_guide_samples=10, random_seed=0, vectorize=False, progressbar=False)
        forget_peak()
        before = peak()
        Resampler(five_sites, num_guide_samples=size, random_seed=0, vectorize=False, progressbar=False)
        print(json.dumps({"extra": peak() - before}))
        return
    resampler: Any
    if kind == "Pyro":
        resampler = PyroResampler(guide, num_guide_samples=size)
    else:
        resampler = Resampler(
            guide, num_guide_samples=size, random_seed=0, batch_size=10**6, progressbar=False
        )
    forget_peak()
    before = peak()
    resampler.sample(model, 1000)
    print(json.dumps({"extra": peak() - before, "total": peak()}))


def memory(case: str) -> dict[str, float]:
    """Run one case in a process of its own."""
    run = [sys.executable, "-W", "ignore", __file__, "memory", case]
    result: dict[str, float] = json.loads(
        subprocess.run(run, capture_output=True, text=True, check=True).stdout
    )
    print(f"memory of {case}: {result}")
    return result


def import_seconds() -> float:
    """Time to import the package beyond Pyro and xarray: the median over processes."""
    code = "import pyro, xarray, time; t = time.perf_counter(); import arviz_resampler; "
    code += "print(time.perf_counter() - t)"
    run = [sys.executable, "-W", "ignore", "-c", code]
    return statistics.median(
        float(subprocess.run(run, capture_output=True, check=True, text=True).stdout) for _ in range(7)
    )


# ------------------------------------------------------------------ operations


def count_operations() -> dict[str, float]:
    """Work that does not depend on the machine: tensor operations, array passes and simulator runs.

    These are the numbers to compare between two commits.
    """
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.calls, self.elements = 0, 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            self.calls += 1
            self.elements += out.numel() if isinstance(out, torch.Tensor) else 0
            return out

    n = 10**5
    result: dict[str, float] = {}
    for name, (make, guide_scale, model_scale) in PROGRAMS.items():
        resampler = Resampler(make(guide_scale), num_guide_samples=n, random_seed=0)
        model = make(model_scale)
        with Count() as count:
            resampler.sample(model, 1000)
        result[f"calls from Python, {name}"] = count_calls(lambda: resampler.sample(model, 1000))  # noqa: B023
        result[f"torch operations, {name}"] = count.calls
        result[f"torch elements per particle, {name}"] = round(count.elements / n, 1)
    weights = resampler.weigh(model).tensor
    race, lengths = Race(0, n), []

    def arrivals(*arguments: Any) -> Any:
        found = Race._arrivals(race, *arguments)
        lengths.append(len(found[0]))
        return found

    race._arrivals = arrivals  # type: ignore[assignment, method-assign]
    race.winners(weights, 1000)
    lowest = race._thresholds_of(len(_blocks(1000)), weights.device).lowest
    result["candidates of the race for 1,000 draws"] = int((weights >= lowest).sum())
    result["arrivals of the race for 1,000 draws"] = sum(lengths)
    return result


def count_calls(run: Callable[[], Any]) -> int:
    """How many functions are called, in Python or from it."""
    calls = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    run()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls


# ------------------------------------------------------------------ report


Ratio = tuple[float, float] | None


def ratio(  # noqa: PLR0917 - a place in the table
    rows: list[dict[str, Any]], program: str, n: int, s: int, over: str, under: str
) -> Ratio:
    """How many times longer one takes than another: warm, and cold."""
    for row in rows:
        if (row["program"], row["N"], row["S"]) == (program, n, s):
            seconds = row["seconds"]
            if over not in seconds or under not in seconds:
                return None
            return seconds[over] / seconds[under], seconds["cold"][over] / seconds["cold"][under]
    return None


def targets(results: dict[str, Any]) -> list[tuple[str, str, float | None, float | None, bool | None]]:
    """Each aim, what was measured, warm and cold, and whether it was met."""
    rows, growth, mem = results["times"], results["growth"], results["memory"]
    three = "three LogNormals"
    aims: list[tuple[str, str, float | Ratio]] = [
        (
            "stable, N = 10⁵, S = 1,000, Pyro over ours",
            ">= 60",
            ratio(rows, three, 10**5, 1000, "Pyro", "ours"),
        ),
        (
            "stable, N = 10⁶, S = 1,000, Pyro over ours",
            ">= 100",
            ratio(rows, three, 10**6, 1000, "Pyro", "ours"),
        ),
        ("stable, N = 10⁴, S = 20, Pyro over ours", ">= 1", ratio(rows, three, 10**4, 20, "Pyro", "ours")),
    ]
    for n, label in ((10**5, "10⁵"), (10**6, "10⁶")):
        aims.append(
            (
                f"independent, N = {label}, S = 1,000, Pyro over ours",
                ">= 1",
                ratio(rows, three, n, 1000, "Pyro, independent", "ours, independent"),
            )
        )
    aims += [
        (
            f"{program}, N = 10⁶, S = 1,000, ours over the limit",
            "<= 2",
            ratio(rows, program, 10**6, 1000, "ours", "limit"),
        )
        for program in PROGRAMS
    ]
    ways = results["ways"]
    aims += [
        (
            f"a hierarchy, N = {ways['particles']:,}, one particle at a time over mapped",
            ">= 300",
            ways["one at a time over mapped"],
        ),
        (
            "one particle at a time, five sites, beyond the program, µs a particle",
            "<= 300",
            ways["microseconds beyond the program"],
        ),
        (
            "container and diagnostics, N = 10⁵, S = 1,000, Pyro's bare sample over ours",
            ">= 25",
            ratio(rows, three, 10**5, 1000, "Pyro", "ours, container"),
        ),
        (
            "container and diagnostics, N = 10⁴, S = 20, ours over Pyro's sample and from_dict",
            "<= 2.5",
            ratio(rows, three, 10**4, 20, "ours, container", "Pyro, by hand"),
        ),
        ("extra peak of sample, N = 10⁶, S = 1,000, MB", "<= 120", mem["ours:1e6"]["extra"]),
        (
            "the same at 10 N, whole process, MB",
            "<= 3000",
            mem["ours:1e7"]["total"] if "ours:1e7" in mem else None,
        ),
        ("time at 10 N over N", "<= 12", growth["time of 10 N over N"]),
        ("race of S = 10⁵ from N = 10⁶, s", "<= 1", growth["seconds of a race of 100,000 draws"]),
        (
            "race of S = 40,000 from N = 1,000, one heavy particle over equal weights",
            "<= 3",
            growth["race of one heavy particle over equal weights"],
        ),
        (
            "construction in batches, 1,000 floats a particle: extra peak over cached arrays",
            "<= 1.3",
            mem["construction:1e5"]["extra"] / mem["construction:1e5"]["cached"],
        ),
        (
            "one particle at a time, five sites, N = 20,000: extra peak, MB",
            "<= 30",
            mem["singly:2e4"]["extra"],
        ),
        ("import beyond Pyro and xarray, s", "<= 0.15", results["import seconds"]),
        (
            "move of a slider to its new picture, N = 10⁵, slowest plot, ms of CPU",
            "<= 60",
            max(1e3 * seconds["move"] for seconds in results["pictures"].values()),
        ),
        (
            "the same over the update alone",
            "<= 4",
            max(seconds["move"] / seconds["update"] for seconds in results["pictures"].values()),
        ),
    ]
    judged = []
    for text, aim, found in aims:
        value, cold = found if isinstance(found, tuple) else (found, None)
        sign, bound = aim.split()
        met = None if value is None else (value >= float(bound) if sign == ">=" else value <= float(bound))
        judged.append((text, aim, value, cold, met))
    return judged


# Where time goes that the peer or the limit does not spend; shown for aims that are missed.
REASONS = {
    "stable, N = 10⁴": "ESS, k-hat and the verdict, which Pyro does not compute, take a fifth of the call; "
    "the race takes as much, and pays for itself with more draws.",
    "stable": "a third of the call is the race, a fifth ESS, k-hat and the verdict; Pyro's time is that of "
    "its noise, which depends less on what else the machine does.",
    "independent": "ESS, k-hat and the verdict, which Pyro does not compute; draws cost little in either.",
    "over the limit": "the limit adds all sites to one array and checks nothing. Here log densities are kept "
    "by site, values are copied for the program, and each site costs about 0.1 ms of Python a chunk.",
    "beyond the program": "a particle is a run of Pyro's handlers, a check of each parameter, a density, a "
    "stream of its own, and a record.",
    "container": "xarray takes more than a millisecond to build five groups.",
}


def reason(text: str) -> str:
    """Why an aim may be missed."""
    return next((why for part, why in REASONS.items() if part in text), "")


def page(results: dict[str, Any]) -> str:
    """The page of the docs."""
    lines = [
        "# Benchmarks",
        "",
        f"Measured on {results['machine']}, with Python {results['python']}, torch {results['torch']},",
        f"Pyro {results['pyro']} and ArviZ {results['arviz']}. `make bench` repeats it and writes this page.",
        "",
        "Times are medians of at least seven turns in one process, taken in changing order. A turn is two",
        "calls; the second counts, as when a slider moves. *Cold* is the ratio of the first ones, which find",
        "the caches of the processor full of what another contestant left there.",
        "Ratios say more than times: machines differ. Memory is the peak of a process of its own, beyond",
        "what it held before the call. *Pyro* is `pyro.infer.resampler.Resampler`, *limit* is hand-written:",
        "the same densities in plain torch and the same race, without programs, checks or diagnostics.",
        "Pyro's cannot take a plate in a guide or model, so it does not run eight schools.",
        "",
        "## Aims",
        "",
        "| what | aim | measured | cold | met |",
        "|---|---|---|---|---|",
    ]
    for text, aim, value, cold, met in targets(results):
        shown = "not run" if value is None else f"{value:.3g}"
        first = "" if cold is None else f"{cold:.3g}"
        lines.append(
            f"| {text} | {aim} | {shown} | {first} | {'' if met is None else 'yes' if met else 'no'} |"
        )
    missed = [text for text, *_, met in targets(results) if met is False]
    if missed:
        lines += ["", "What was missed, and where the time goes:", ""]
        lines += [f"* {text}: {reason(text)}" for text in missed]
    lines += [
        "",
        "## Times",
        "",
        "In milliseconds; *independent* is `stable=False`, *container* includes diagnostics.",
        "",
    ]
    columns = [
        "ours",
        "ours, independent",
        "ours, container",
        "limit",
        "Pyro",
        "Pyro, independent",
        "Pyro, by hand",
    ]
    lines += ["| program | N | S | " + " | ".join(columns) + " |", "|---" * (3 + len(columns)) + "|"]
    for row in results["times"]:
        cells = [f"{1e3 * row['seconds'][c]:.2f}" if c in row["seconds"] else "" for c in columns]
        lines.append(f"| {row['program']} | {row['N']:,} | {row['S']:,} | " + " | ".join(cells) + " |")
    lines += ["", "## Growth, memory, import and pictures", "", "| what | measured |", "|---|---|"]
    growth = results["growth"]
    lines.append(
        f"| time at N = {growth['particles']:,} over a tenth of it | {growth['time of 10 N over N']:.1f} |"
    )
    lines.append(f"| time of S = 10,000 over S = 1,000, N = 10⁶ | {growth['time of 10 S over S']:.1f} |")
    for case, found in results["memory"].items():
        kind, n = case.split(":")
        numbers = ", ".join(f"{key} {value:.0f} MB" for key, value in found.items())
        lines.append(f"| {kind}, N = {float(n):,.0f}: peak of one call | {numbers} |")
    lines.append(f"| import beyond Pyro and xarray | {results['import seconds']:.3f} s |")
    lines += [
        f"| plot `{plot}`, N = 10⁵: move of a slider to its new picture, and update alone | "
        f"{1e3 * seconds['move']:.0f} ms, {1e3 * seconds['update']:.0f} ms of CPU |"
        for plot, seconds in results["pictures"].items()
    ]
    lines += [
        "",
        "## Work that no machine changes",
        "",
        "Counted at N = 10⁵, S = 1,000, and kept in `benchmarks/results.json`, so that two commits can be",
        "compared without a clock.",
        "",
        "| what | count |",
        "|---|---|",
    ]
    lines += [f"| {name} | {value:,} |" for name, value in results["operations"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run everything and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["memory", "page"])
    parser.add_argument("case", nargs="?")
    parser.add_argument("--quick", action="store_true", help="small sizes only; write nothing")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ResamplerWarning)
    if options.what == "memory":
        memory_case(options.case)
        return
    if options.what == "page":
        results = json.loads((HERE / "results.json").read_text())
        (HERE.parent / "docs" / "benchmarks.md").write_text(page(results))
        return
    cases = ["ours:1e6", "construction:1e5", "singly:2e4"] + (
        [] if options.quick else ["ours:1e7", "Pyro:1e6"]
    )
    results = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
        **{
            name: version(dist)
            for name, dist in (("torch", "torch"), ("pyro", "pyro-ppl"), ("arviz", "arviz"))
        },
        "times": time_programs(options.quick),
        "growth": time_growth(options.quick),
        "ways": time_ways(options.quick),
        "memory": {case: memory(case) for case in cases},
        "import seconds": import_seconds(),
        "pictures": time_pictures(),
        "operations": count_operations(),
    }
    for text, aim, value, _, met in targets(results):
        mark = "      " if met is None else "met   " if met else "MISSED"
        print(f"{mark} {text}: {'not run' if value is None else f'{value:.3g}'} (aim {aim})")
    if not options.quick:
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        (HERE.parent / "docs" / "benchmarks.md").write_text(page(results))


if __name__ == "__main__":
    main()
