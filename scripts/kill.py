"""Kill processes that write stores at random moments, and see that all goes on and ends with the same bits.

Run with ``make kill``. A process that has imported torch and Pyro forks the ones that write, so that each
starts in milliseconds. They are killed by SIGKILL and started again until a store is finished, which is then
compared, byte by byte, with one whose writer was not killed. Prints a line for each design: stores that
differ, that cannot be gone on with (stuck), and files in the making that are left. Exits with 1 if a store
differs or is stuck.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import torch

from arviz_resampler import Resampler

Call = Callable[[Path], None]

SIZE, FEW, MANY = 50, 500, 1500  # particles: of a batch, of a store that grows, of a whole one
WINDOW = 0.5  # of the time of a whole run: a process is killed within it
MOST = 5  # kills of workers in one run: a batch whose worker dies three times is given up
SEEN = "KILL_SEEN"  # folder in which workers leave their numbers
PATIENCE = 120.0  # seconds


# ---------------------------------------------------------------- what is written


def guide() -> torch.Tensor:
    """Draw what all schools share."""
    if folder := os.environ.get(SEEN):
        Path(folder, str(os.getpid())).touch()
    pyro.sample("tau", dist.HalfNormal(5.0))
    mu: torch.Tensor = pyro.sample("mu", dist.Normal(0.0, 5.0))
    return mu


def simulator() -> None:
    """Extend it: floats, whole numbers, and what all particles share."""
    mu = guide()
    pyro.deterministic("design", torch.arange(3.0))
    with pyro.plate("school", 400):
        theta = pyro.sample("theta", dist.Normal(mu, 1.0))
        pyro.sample("y", dist.Normal(theta, 10.0), obs=torch.zeros(400))
        pyro.sample("n", dist.Poisson(theta.exp().clamp(max=50.0)))


def far() -> None:
    """Draw where the guide seldom is."""
    pyro.sample("mu", dist.Normal(18.0, 1.0))
    pyro.sample("tau", dist.HalfNormal(3.0))


OPTIONS: Mapping[str, Any] = {"batch_size": SIZE, "random_seed": 17, "progressbar": False}


def fill(path: Path, **options: Any) -> Resampler:
    """Fill a store, or go on with one."""
    return Resampler(guide, simulator, store=path, **{"num_guide_samples": MANY, **OPTIONS, **options})


def fill_few(path: Path) -> None:
    """Fill a store that is to grow."""
    fill(path, num_guide_samples=FEW)


def fill_whole(path: Path) -> None:
    """Fill a store in this process."""
    fill(path)


def fill_shard(shard: str, path: Path) -> None:
    """Fill a share of a store."""
    Resampler.simulate(guide, simulator, store=path, shard=shard, num_guide_samples=MANY, **OPTIONS)


def fill_by_workers(path: Path) -> None:
    """Fill a store in two processes of its own."""
    fill(path, executor=2)


def extend(path: Path) -> None:
    """Make a store larger; one that is larger has no room for the first call."""
    if num_batches(path) == MANY // SIZE:
        fill(path)
    else:
        fill(path, num_guide_samples=FEW).extend(MANY)


def top_up(path: Path) -> None:
    """Add particles of a model, unless they are there."""
    if num_batches(path) > FEW // SIZE:
        fill(path, num_guide_samples=FEW, top_ups=[far])
    else:
        fill(path, num_guide_samples=FEW).top_up(far, ess=500)


# ---------------------------------------------------------------- what is there


def content(path: Path) -> dict[str, Any]:
    """All files of a store but what differs from run to run: seconds, host, and when it was made."""
    found: dict[str, Any] = {}
    for file in sorted(path.rglob("*")):
        name = str(file.relative_to(path))
        if not file.is_file() or ".lock" in name or ".partial" in name:
            continue
        if name.startswith("records/"):
            record = json.loads(file.read_text())
            found[name] = {k: v for k, v in record.items() if k not in ("seconds", "host", "sum")}
        elif name == "zarr.json":
            root = json.loads(file.read_text())
            said = json.loads(root["attributes"].pop("about"))
            found[name] = {k: v for k, v in said.items() if k != "created"}, root
        else:
            found[name] = file.read_bytes()
    return found


def num_batches(path: Path) -> int:
    """How many batches the root of a store says that it has."""
    return int(json.loads((path / "zarr.json").read_text())["attributes"]["num_batches"])


def visible(path: Path) -> dict[str, Any]:
    """What is in a store as far as its root says so; everything is read."""
    particles = Resampler.open(path, check=True).pipeline.particles
    return {
        name: [None if part is None else part.clone() for part in (c.value, c.log_q, c.log_conditional)]
        for name, c in particles.columns.items()
    }


def differs(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """The first name that two contents do not share, empty where they are the same."""
    for name in sorted(found.keys() | expected.keys()):
        if name not in found or name not in expected or not _same(found[name], expected[name]):
            return name
    return ""


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return bool(one == other)


# ---------------------------------------------------------------- processes


def start(call: Call, path: Path) -> int:
    """A process that makes a call; what goes wrong in it is printed."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    try:
        warnings.simplefilter("ignore")
        call(path)
        threading._shutdown()  # type: ignore[attr-defined]  # of executors, whose processes would stay
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def ended(pids: Sequence[int], seconds: float) -> dict[int, int]:
    """Exit codes of the processes that end in so many seconds; of one that was killed, -9."""
    found: dict[int, int] = {}
    until = time.monotonic() + seconds
    while True:
        for pid in pids:
            if pid not in found and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                found[pid] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if len(found) == len(pids) or time.monotonic() > until:
            return found
        time.sleep(0.001)


def whole(calls: Sequence[Call], path: Path) -> bool:
    """Make calls at once, and say whether all of them have ended well."""
    pids = [start(call, path) for call in calls]
    found = ended(pids, PATIENCE)
    for pid in set(pids) - found.keys():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return [found.get(pid) for pid in pids] == [0] * len(pids)


# ---------------------------------------------------------------- campaigns


@dataclass(frozen=True)
class Design:
    """Who writes a store, and who of them is killed.

    Attributes
    ----------
    calls : sequence of callable
        Each made by a process of its own, all at once; one of these is killed.
    alone : callable
        What leaves the same store by itself.
    begins : callable, optional
        What makes the store that is there before; what it holds stays visible until the calls are done.
    workers : bool
        Whether a worker of the process is killed, not the process.
    """

    calls: Sequence[Call]
    alone: Call
    begins: Call | None = None
    workers: bool = False


DESIGNS: Mapping[str, Design] = {
    "one process": Design([fill_whole], fill_whole),
    "two shards": Design([functools.partial(fill_shard, f"{i}/2") for i in range(2)], fill_whole),
    "workers": Design([fill_by_workers], fill_whole, workers=True),
    "extend": Design([extend], fill_whole, begins=fill_few),
    "top_up": Design([top_up], top_up, begins=fill_few),
}


@dataclass
class Outcome:
    """What a campaign has met."""

    kills: int = 0
    stores: int = 0
    different: list[str] = field(default_factory=list)
    stuck: int = 0
    left: int = 0
    seconds: float = 0.0

    @property
    def faults(self) -> int:
        """Stores that differ or do not go on."""
        return len(self.different) + self.stuck


class Campaign:
    """Kills of one design.

    Parameters
    ----------
    design : Design
        Who writes.
    folder : Path
        An empty directory.
    seed : int or str
        Of the moments.
    """

    def __init__(self, design: Design, folder: Path, seed: int | str) -> None:
        self._design, self._folder, self._random = design, folder, random.Random(seed)
        self._seen = folder / "seen"
        self._seen.mkdir()
        self._before: dict[str, Any] = {}
        self._expected: dict[str, Any] = {}
        self._whole: dict[str, Any] = {}
        self._pace = 0.0

    def run(self, kills: int) -> Outcome:
        """Kill so often, and finish the store that is left."""
        began, outcome = time.monotonic(), Outcome()
        self._prepare()
        while outcome.kills < kills:
            path = self._fresh()
            try:
                going = self._one(path, kills, outcome)
                fault = differs(content(path), self._expected) if going else ""
            except Exception as error:  # a store that cannot be read
                going, fault = True, f"{type(error).__name__}: {error}"
            outcome.stuck += not going
            outcome.different += [fault] * bool(fault)
            outcome.stores += going
            outcome.left += len(list(path.rglob(".*.partial"))) + len(list(path.parent.glob(".*.partial")))
            shutil.rmtree(path.parent)
        outcome.seconds = time.monotonic() - began
        return outcome

    def _prepare(self) -> None:
        """What an uninterrupted run leaves, and how long it takes."""
        if self._design.begins is not None:
            base = self._folder / "base"
            assert whole([self._design.begins], base), "the store that is there before cannot be made"
            self._before = visible(base)
        path = self._fresh()
        began = time.monotonic()
        assert whole([self._design.alone], path), "an uninterrupted run fails"
        self._pace = time.monotonic() - began
        self._expected, self._whole = content(path), visible(path)
        shutil.rmtree(path.parent)

    def _fresh(self) -> Path:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        path = folder / "particles.zarr"
        if self._design.begins is not None:
            shutil.copytree(self._folder / "base", path)
        return path

    def _one(self, path: Path, kills: int, outcome: Outcome) -> bool:
        """Kill what writes a store, and start it again, until it is finished; whether it can be."""
        if self._design.workers:
            return self._kill_workers(path, kills, outcome)
        while outcome.kills < kills:
            pids = [start(call, path) for call in self._design.calls]
            victim = self._random.choice(pids)
            codes = ended(pids, self._random.uniform(0.0, WINDOW) * self._pace)
            if victim not in codes:
                os.kill(victim, signal.SIGKILL)
            codes |= ended([pid for pid in pids if pid not in codes], PATIENCE)
            outcome.kills += codes.get(victim) == -signal.SIGKILL
            if any(codes.get(pid) not in (0, -signal.SIGKILL) for pid in pids):
                return False
            if all(code == 0 for code in codes.values()):
                return True
            if self._before:
                found = visible(path)
                fault = differs(found, self._before) and differs(found, self._whole)
                outcome.different += [f"while it grows: {fault}"] * bool(fault)
        return whole(self._design.calls, path)

    def _kill_workers(self, path: Path, kills: int, outcome: Outcome) -> bool:
        """Kill workers while the first half of the batches is written; the run is left to itself."""
        for file in self._seen.iterdir():
            file.unlink()
        os.environ[SEEN] = str(self._seen)
        try:
            (call,) = self._design.calls
            pid = start(call, path)
        finally:
            del os.environ[SEEN]
        codes: dict[int, int] = {}
        most = min(kills, outcome.kills + MOST)
        while not codes and outcome.kills < most:
            codes = ended([pid], self._random.uniform(0.0, 0.1))
            done = len(list(path.glob("records/*.json")))
            workers = [int(file.name) for file in self._seen.iterdir() if file.name != str(pid)]
            if done < MANY // SIZE // 2 and workers and not codes:
                worker = self._random.choice(workers)
                os.kill(worker, signal.SIGKILL)
                (self._seen / str(worker)).unlink()
                outcome.kills += 1
        codes |= ended([pid], PATIENCE) if not codes else {}
        return codes.get(pid) == 0


def campaigns(
    kills: int, seed: int, designs: Mapping[str, Design] = DESIGNS, folder: str | None = None
) -> dict[str, Outcome]:
    """All campaigns, and a line for each.

    Parameters
    ----------
    kills : int
        How many of each design.
    seed : int
        Of the moments.
    designs : mapping of str to Design
        Who writes.
    folder : str, optional
        Where the stores are made.
    """
    print(
        f"{'design':12} {'kills':>6} {'stores':>7} {'different':>10} {'stuck':>6} {'left':>5} {'seconds':>8}"
    )
    found = {}
    for name, design in designs.items():
        with tempfile.TemporaryDirectory(dir=folder, prefix="kill-") as made:
            outcome = found[name] = Campaign(design, Path(made), f"{seed} {name}").run(kills)
        print(
            f"{name:12} {outcome.kills:6} {outcome.stores:7} {len(outcome.different):10} {outcome.stuck:6} "
            f"{outcome.left:5} {outcome.seconds:8.1f}",
            flush=True,
        )
        for fault in outcome.different[:5]:
            print(f"    {fault}")
    return found


def main(arguments: list[str]) -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="of each design, 50 unless given")
    parser.add_argument("--seed", type=int, default=0, help="of the moments, 0 unless given")
    parser.add_argument("--designs", nargs="+", choices=DESIGNS, default=list(DESIGNS), help="some alone")
    parser.add_argument(
        "--folder", help="where the stores are made, the system's for temporary files if absent"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # a process with threads may not fork
    warnings.simplefilter("ignore")
    designs = {name: DESIGNS[name] for name in options.designs}
    found = campaigns(options.kills, options.seed, designs, options.folder)
    faults = sum(outcome.faults for outcome in found.values())
    print(f"{faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
