"""Build, weigh, draw and compare in many threads at once, and see that bits and memory stay as they are.

Run with ``make soak``. Each job is first done by itself; threads then do jobs in random order, and each
result is compared with the first, bit by bit. Prints a line a minute: jobs, jobs with another result,
resident memory and its slope. Exits with 1 if a result differs, a thread fails or memory grows.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import os
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from arviz_resampler import Resampler, ResamplerError, batched

GUIDE, MODEL, OTHER = 3.0, 2.0, 1.0  # scales of the priors
SLOPE = 0.5  # MiB a minute that resident memory may grow by, once all has been done a few times

Program = Callable[[], Any]
Job = Callable[[], bytes]

_NETWORK = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).eval()
_NORM = torch.nn.BatchNorm1d(1)


# ---------------------------------------------------------------- programs


def _one(scale: float) -> Tensor:
    x: Tensor = pyro.sample("x", dist.Normal(0.0, scale))
    return x


def _plate(scale: float) -> None:
    with pyro.plate("school", 8):
        pyro.sample("y", dist.Normal(_one(scale), 1.0))


def _vector(scale: float) -> None:
    z = pyro.sample("z", dist.Normal(torch.zeros(3), scale).to_event(1))
    pyro.deterministic("total", z.sum() + _one(scale))


def _correlated(scale: float) -> None:
    corr = pyro.sample("corr", dist.LKJCholesky(3, 1.0 + scale))
    pyro.sample("z", dist.MultivariateNormal(torch.zeros(3), scale_tril=_one(scale).exp() * corr))


def _counts(scale: float) -> None:
    pyro.sample("n", dist.Poisson((_one(scale) / 3).exp()))


def _branch(scale: float) -> None:
    pyro.sample("y", dist.Normal(1.0 if _one(scale) > 0 else -1.0, 1.0))


def _in_place(scale: float) -> None:
    x = torch.zeros(4)
    for i in range(1, 4):
        x[i] = 0.5 * x[i - 1] + pyro.sample(f"step_{i}", dist.Normal(0.0, scale))
    pyro.deterministic("path", x)


def _network(scale: float) -> None:
    x = torch.stack([_one(scale), torch.ones(())])
    pyro.sample("y", dist.Normal(_NETWORK(x).squeeze(), 1.0))


def _statistics(scale: float) -> None:
    x = _one(scale) + torch.arange(4.0)
    pyro.sample("y", dist.Normal(_NORM(x[:, None]).sum(), 1.0))


def _with_param(scale: float) -> None:
    pyro.sample("y", dist.Normal(pyro.param("slope", torch.tensor(2.0)) * _one(scale), 1.0))


_growth = batched(lambda rate: np.exp(0.1 * rate[:, None] * np.arange(4)))


def _in_numpy(scale: float) -> None:
    pyro.sample("y", dist.Normal(_growth(_one(scale)), 1.0).to_event(1))


def _failing(scale: float) -> None:
    raise RuntimeError(f"the solver did not converge at {float(_one(scale)):.6f}")


PROGRAMS: Mapping[str, Callable[[float], None]] = {
    "plate": _plate,
    "vector": _vector,
    "correlated": _correlated,
    "counts": _counts,
    "branch": _branch,
    "in place": _in_place,
    "network": _network,
    "statistics": _statistics,
    "param": _with_param,
    "NumPy": _in_numpy,
    "failing": _failing,
}


def _scaled(program: Callable[[float], None], scale: float) -> Program:
    return functools.partial(program, scale)


# ---------------------------------------------------------------- jobs


def _digest(arrays: Iterable[Any]) -> bytes:
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.digest()


def _build(program: Callable[[float], None]) -> Resampler:
    return Resampler(
        _scaled(program, GUIDE), num_guide_samples=200, random_seed=0, batch_size=100, progressbar=False
    )


def _built(program: Callable[[float], None]) -> bytes:
    columns = _build(program).pipeline.particles.columns.values()
    return _digest(part for column in columns for part in (column.value, column.log_q) if part is not None)


def _attempt(job: Job) -> Job:
    """The job; what it is refused with is a result like any other."""

    def attempt() -> bytes:
        try:
            return job()
        except ResamplerError as error:
            return str(error).encode()

    return attempt


def jobs() -> dict[str, Job]:
    """All jobs by name: some make a resampler, others share one."""
    found: dict[str, Job] = {}
    for name, program in PROGRAMS.items():
        found[f"{name}: build"] = _attempt(functools.partial(_built, program))
        try:
            shared = _build(program)
        except ResamplerError:
            continue
        found |= {f"{name}: {what}": _attempt(job) for what, job in _jobs_on(shared, program).items()}
    return found


def _jobs_on(shared: Resampler, program: Callable[[float], None]) -> dict[str, Job]:
    model, other = _scaled(program, MODEL), _scaled(program, OTHER)

    def compare() -> bytes:
        table = shared.compare({"model": model, "other": other}, num_samples=50).diagnostics()
        return _digest(table.select_dtypes("number").to_numpy(float))

    return {
        "weigh": lambda: _digest([shared.weigh(model).log_ratio]),
        "sample": lambda: _digest(shared.sample(other, 50).values()),
        "compare": compare,
        "simulate one": lambda: _digest(shared.simulate_one(7).values()),
    }


# ---------------------------------------------------------------- threads


@dataclass
class Tally:
    """What threads have done."""

    done: int = 0
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: str | None) -> None:
        """Count a job."""
        with self.lock:
            self.done += 1
            if fault is not None:
                self.faults.append(fault)


def work(
    tally: Tally, todo: Mapping[str, Job], expected: Mapping[str, bytes], seed: int, stop: threading.Event
) -> None:
    """Do jobs in random order until it is time to stop."""
    chooser = random.Random(seed)
    names = sorted(todo)
    while not stop.is_set():
        name = chooser.choice(names)
        try:
            same = todo[name]() == expected[name]
            fault = None if same else f"{name}: another result than by itself"
        except Exception as error:
            fault = f"{name}: {type(error).__name__}: {error}"
        tally.add(fault)


def resident() -> float:
    """Resident memory of the process in MiB, as Linux says it."""
    with open("/proc/self/statm") as status:
        return int(status.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def slope_of(times: list[float], sizes: list[float]) -> float:
    """Growth in MiB a minute, of the second half: at first memory is filled."""
    half = len(times) // 2
    if len(times) - half < 2:
        return 0.0
    return float(np.polyfit(np.array(times[half:]) / 60.0, sizes[half:], 1)[0])


def soak(seconds: float, threads: int, *, todo: Mapping[str, Job], report: float = 60.0) -> list[str]:
    """What was wrong, in words, after as many threads have done jobs for so long.

    Parameters
    ----------
    seconds : float
        How long.
    threads : int
        How many.
    todo : mapping of str to callable
        Jobs by name.
    report : float
        Seconds between lines that are printed.
    """
    expected = {name: job() for name, job in todo.items()}
    tally, stop = Tally(), threading.Event()
    workers = [
        threading.Thread(target=work, args=(tally, todo, expected, seed, stop), daemon=True)
        for seed in range(threads)
    ]
    start = last = time.monotonic()
    times, sizes = [], []
    for worker in workers:
        worker.start()
    while (now := time.monotonic()) < start + seconds:
        time.sleep(min(1.0, start + seconds - now))
        times.append(time.monotonic() - start)
        sizes.append(resident())
        if time.monotonic() - last >= report:
            last = time.monotonic()
            print(
                f"{times[-1] / 60:5.1f} min  {tally.done:7} jobs  {len(tally.faults)} faults  "
                f"{sizes[-1]:7.1f} MiB  {slope_of(times, sizes):+.2f} MiB a minute",
                flush=True,
            )
    stop.set()
    for worker in workers:
        worker.join()
    slope = slope_of(times, sizes)
    faults = list(tally.faults)
    if seconds >= 120 and slope > SLOPE:
        faults.append(f"resident memory grows by {slope:.2f} MiB a minute")
    return faults


def main(arguments: list[str]) -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long, 10 unless given")
    parser.add_argument("--threads", type=int, default=8, help="how many, 8 unless given")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    faults = soak(60.0 * options.minutes, options.threads, todo=jobs())
    for fault in faults[:20]:
        print(fault)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
