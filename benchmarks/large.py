"""Stores and workers: what a batch, a row, a number and a particle cost.

``make bench`` runs it last, and writes ``docs/_figures/large.md``. Files go to ``--folder``, some gigabytes.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyro
import pyro.distributions as dist
import torch
import xarray as xr
import zarr

from arviz_resampler import Resampler, ResamplerWarning
from arviz_resampler.storage import ArraySpec, Store
from arviz_resampler.weights import averages
from arviz_resampler.workers import as_workers, run_batches

Y = ("values", "y")
WIDE = 1000  # numbers of a prediction


class Row(NamedTuple):
    """A line of the table: what was measured, what it came to, and what was aimed at."""

    what: str
    found: str
    aim: str
    reached: bool


class Spent(NamedTuple):
    """Seconds of the clock and of the processor."""

    wall: float
    cpu: float


def spent(work: Callable[[], Any], turns: int = 5) -> Spent:
    """The median of some turns."""
    walls, cpus = [], []
    for _ in range(turns):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Spent(float(np.median(walls)), float(np.median(cpus)))


def guide(latents: int = 5) -> Callable[[], list[Any]]:
    """Latents without a simulator."""
    return lambda: [pyro.sample(f"x{i}", dist.Normal(0.0, 2.0)) for i in range(latents)]


def prior(latents: int = 5) -> Callable[[], list[Any]]:
    """A prior that the guide covers."""
    return lambda: [pyro.sample(f"x{i}", dist.Normal(0.0, 1.7)) for i in range(latents)]


def wide() -> None:
    """A prediction of a thousand numbers."""
    latents = guide()()
    with pyro.plate("time", WIDE):
        pyro.sample("y", dist.Normal(latents[0], 1.0))


def bare(path: Path, batches: int, size: int) -> Store:
    """A store of one array, filled with noise."""
    store = Store.create(
        path, {Y: ArraySpec((WIDE,), "float32", ("time",))}, batch_size=size, num_batches=batches, attrs={}
    )
    rng = np.random.default_rng(0)
    for number in range(batches):
        store.write(number, {Y: rng.standard_normal((size, WIDE), np.float32)}, {})
    return store


def drop(store: Store) -> None:
    """Take the files of a store out of the page cache."""
    for file in store.path.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rows(folder: Path) -> list[Row]:
    """Scattered rows of a prediction."""
    store = bare(folder / "rows.zarr", 10, 10_000)
    index = np.random.default_rng(1).integers(0, 100_000, 500)
    array = zarr.open_array(store.path / store.layout.nodes[Y], mode="r")
    ours, theirs = spent(lambda: store.rows(Y, index), 15), spent(lambda: array.oindex[index], 3)
    cold = []
    for _ in range(5):
        drop(store)
        cold.append(spent(lambda: Store.open(store.path).rows(Y, index), 1).wall)
    found = float(np.median(cold))
    return [
        Row(
            "500 scattered rows of 1,000 floats, warm: CPU time of zarr's `oindex` over ours",
            f"{theirs.cpu / ours.cpu:.0f}",
            "≥ 50",
            theirs.cpu / ours.cpu >= 50,
        ),
        Row(
            "the same, ms, warm / out of the page cache",
            f"{ours.wall * 1e3:.1f} / {found * 1e3:.0f}",
            "≤ 5 / ≤ 300",
            ours.wall <= 5e-3 and found <= 0.3,
        ),
    ]


def draws(folder: Path) -> list[Row]:
    """A container of 500 draws, from the disk and from memory; and a mean over all rows."""
    n = 400_000
    options: dict[str, Any] = {"batch_size": 8000, "random_seed": 0, "progressbar": False}
    options["num_guide_samples"] = n
    stored = Resampler(guide(), wide, store=folder / "draws.zarr", **options)
    values = stored.pipeline.particles.columns["y"].value
    memory = Resampler.open(folder / "draws.zarr")
    columns = dict(memory.pipeline.particles.columns)
    columns["y"] = replace(columns["y"], value=values.clone())
    memory.pipeline = memory.pipeline.with_particles(replace(memory.pipeline.particles, columns=columns))
    model = prior()
    here = spent(lambda: memory.sample_prior_predictive(model, 500), 9)
    there = spent(lambda: stored.sample_prior_predictive(model, 500), 9)
    within = there.wall <= 2 * here.wall + 0.01
    particles, weights = stored.weighted(model)
    ours = spent(lambda: averages.means(weights.values, particles["y"]), 3)
    lazily = xr.open_zarr(folder / "draws.zarr", group="values")["y"]
    w = xr.DataArray(weights.values, dims="particle")
    theirs = spent(lambda: lazily.weighted(w).mean("particle").compute(), 3)

    def with_error() -> None:
        mean = lazily.weighted(w).mean("particle").compute()
        squares = (w * (lazily - mean)) ** 2
        xr.Dataset(
            {"mcse": squares.sum("particle") ** 0.5, "fourths": (squares**2).sum("particle")}
        ).compute()

    errors = spent(with_error, 1)
    gigabytes = n * WIDE * 4 / 1e9
    return [
        Row(
            f"`sample_prior_predictive` of 500 from {gigabytes:.1f} GB, warm: ms, and in memory",
            f"{there.wall * 1e3:.0f} and {here.wall * 1e3:.0f}",
            "≤ 2 times, + 10 ms",
            within,
        ),
        Row(
            f"weighted mean over all rows of {gigabytes:.1f} GB, with its error: CPU time of xarray with "
            f"dask over ours; the same where dask leaves out the error",
            f"{errors.cpu / ours.cpu:.1f}; {theirs.cpu / ours.cpu:.1f}",
            "≥ 5",
            errors.cpu / ours.cpu >= 5,
        ),
    ]


RESIDENT = """
import sys, resource
from arviz_resampler import Resampler
import arviz, pyro, pyro.distributions as dist
import {module} as large
def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
open("/proc/self/clear_refs", "w").write("5")
before = peak()
resampler = Resampler.open(sys.argv[1])
resampler.sample_prior_predictive(large.prior(), 500)
print(peak() - before)
"""


def resident(folder: Path) -> list[Row]:
    """Memory of five million particles, and the time to open a million with twenty latents."""
    options: dict[str, Any] = {"batch_size": 100_000, "random_seed": 0, "progressbar": False}
    path = folder / "many.zarr"
    Resampler.simulate(guide(), one, store=path, num_guide_samples=5_000_000, **options)
    code = RESIDENT.format(module=Path(__file__).stem)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    used = float(run.stdout) / 1e9
    shutil.rmtree(path)
    path = folder / "twenty.zarr"
    Resampler.simulate(guide(20), store=path, num_guide_samples=1_000_000, **options)
    opened = spent(lambda: Resampler.open(path), 3)
    return [
        Row(
            "memory beyond imports, five latents, 5,000,000 particles, 500 draws",
            f"{used:.2f} GB",
            "≤ 1 GB",
            used <= 1,
        ),
        Row(
            "`Resampler.open`, 1,000,000 particles, 20 latents",
            f"{opened.wall:.2f} s",
            "≤ 1 s",
            opened.wall <= 1,
        ),
    ]


def one() -> None:
    """A prediction of one number."""
    pyro.sample("y", dist.Normal(guide()()[0], 1.0))


def writing(folder: Path) -> list[Row]:
    """A batch of 40 MB, beside NumPy's own way to write it safely."""
    store = bare(folder / "writing.zarr", 1, 10_000)
    values = store.read(Y, [0])

    def saved() -> None:
        with (folder / "batch.npy").open("wb") as file:
            np.save(file, values)
            file.flush()
            os.fsync(file.fileno())

    ours, theirs = [], []
    for _ in range(9):  # in turns: a disk is quick at one time and slow at another
        ours.append(spent(lambda: store.write(0, {Y: values}, {}), 1))
        theirs.append(spent(saved, 1))
    mine, other = (np.median([s.wall for s in each]) for each in (ours, theirs))
    cpu = np.median([s.cpu for s in ours]) / np.median([s.cpu for s in theirs])
    return [
        Row(
            "a batch of 40 MB into the store, over `np.save` and fsync, of the clock / CPU time",
            f"{mine / other:.2f} / {cpu:.1f}",
            "≤ 1.5",
            bool(mine / other <= 1.5),
        )
    ]


def nothing(number: int) -> int:
    """An empty batch."""
    return number


def slowly(number: int) -> int:
    """A hundred particles that wait for something for 10 ms each."""
    del number
    for _ in range(100):
        end = time.process_time() + 0.01
        while time.process_time() < end:
            sum(range(100))
    return 0


def batches(executor: Any, task: Callable[[int], int], count: int) -> float:
    """Seconds of a batch, once the workers have begun."""
    workers = as_workers(executor)
    assert workers is not None
    start = None
    for i, _ in enumerate(run_batches(workers, task, range(count), parts={})):
        if i == 1:  # each worker has begun
            start = time.perf_counter()
    assert start is not None
    return (time.perf_counter() - start) / (count - 2)


def workers() -> list[Row]:
    """What sending a batch costs, and two workers over one."""
    from distributed import Client, LocalCluster

    own = batches(2, nothing, 400)
    with (
        redirect_stderr(io.StringIO()),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        dask = batches(client.get_executor(), nothing, 400)
    alone, both = (batches(count, slowly, 12) for count in (1, 2))
    return [
        Row(
            "an empty batch, ms: own processes / dask's LocalCluster",
            f"{own * 1e3:.2f} / {dask * 1e3:.1f}",
            "≤ 5 / ≤ 30",
            own <= 5e-3 and dask <= 30e-3,
        ),
        Row(
            "10 ms a particle in batches of 100: two workers over one",
            f"{alone / both:.2f}",
            "≥ 1.9",
            alone / both >= 1.9,
        ),
    ]


def five() -> None:
    """Five sites, two of them the guide's, one in a plate."""
    a, b = guide(2)()
    c = pyro.sample("c", dist.Normal(a, 1.0))
    d = pyro.sample("d", dist.Gamma(2.0, b.exp()))
    with pyro.plate("time", 5):
        pyro.sample("y", dist.Normal(c, d + 0.1))


def singly() -> list[Row]:
    """What a particle costs beyond its program where programs run one at a time."""
    n = 2000

    def alone() -> None:
        with torch.no_grad():
            for _ in range(n):
                guide(2)()
                five()

    def ours() -> None:
        Resampler(guide(2), five, num_guide_samples=n, random_seed=0, vectorize=False, progressbar=False)

    beyond = (spent(ours, 3).cpu - spent(alone, 3).cpu) / n
    return [
        Row(
            "one particle at a time beyond the programs, five sites, two of them in the guide too, µs of CPU",
            f"{beyond * 1e6:.0f}",
            "≤ 300",
            beyond <= 300e-6,
        )
    ]


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore", ResamplerWarning)
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        found = []
        for measure in (rows, writing, resident, draws):
            found += measure(folder)
            print(*found[-2:], sep="\n", flush=True)
            for left in folder.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    for more in (workers, singly):
        found += more()
        print(*found[-2:], sep="\n", flush=True)
    lines = ["| what | measured | aim | reached |", "|---|---|---|---|"]
    lines += [f"| {r.what} | {r.found} | {r.aim} | {'yes' if r.reached else 'no'} |" for r in found]
    print("\n".join(lines))
    if given.page is not None:
        given.page.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
