"""Speed of the Resampler with particles on an accelerator, beside Pyro's own there.

``make bench DEVICE=cuda`` runs it and writes ``docs/_figures/device-cuda.md``. All programs make their
tensors on the device. Times are medians of turns in one process, each until the device is idle.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from bench import log_normals, take_turns
from pyro.infer.resampler import Resampler as PyroResampler

from arviz_resampler import Resampler, ResamplerWarning

SIZES = (10**4, 10**5, 10**6, 10**7, 10**8)
S = 1000
MILLION = 10**6
_MOST_NOISE = 1 << 35  # bytes that Pyro's stable draws may take for their noise, 4 for each of N times S


class Row(NamedTuple):
    """A line of the table."""

    what: str
    measured: float
    aim: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the aim is reached."""
        return self.measured >= self.aim if self.at_least else self.measured <= self.aim


def finished(device: torch.device, call: Callable[[], Any]) -> Callable[[], None]:
    """A call that ends when the device has nothing left to do."""

    def run() -> None:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def build(n: int) -> Resampler:
    """The three LogNormals, simulated on the default device."""
    return Resampler(log_normals(2.0), num_guide_samples=n, random_seed=0, progressbar=False)


def times(n: int, device: torch.device) -> dict[str, float]:
    """Milliseconds of each call with N particles."""
    model, ours = log_normals(1.0), build(n)
    calls: dict[str, Callable[[], Any]] = {
        "stable": lambda: ours.sample(model, S),
        "independent": lambda: ours.sample(model, S, stable=False),
    }
    if n <= 10**7:
        peer = PyroResampler(log_normals(2.0), num_guide_samples=n)
        calls["Pyro, independent"] = lambda: peer.sample(model, S, stable=False)
        if 4 * n * S <= _MOST_NOISE:
            calls["Pyro, stable"] = lambda: peer.sample(model, S)
    if n == MILLION:
        tuner, positions = ours.tune(log_normals, scale=(0.5, 2.0)), iter(range(1, 10**6))
        calls["container"] = lambda: ours.sample_prior_predictive(model, S)
        calls["update"] = lambda: tuner.update(scale=0.5 + next(positions) % 997 / 997)
    seconds = take_turns({name: finished(device, call) for name, call in calls.items()})
    return {name: 1e3 * value for name, value in seconds.items() if name != "cold"}


def transfers(n: int, device: torch.device) -> int:
    """Copies from the device to the host in one call of ``sample``."""
    model, ours = log_normals(1.0), build(n)
    ours.sample(model, S)
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        finished(device, lambda: ours.sample(model, S))()
    return sum(event.count for event in profile.key_averages() if "DtoH" in event.key)


def peak(n: int, device: torch.device) -> float:
    """Gigabytes of the device that construction and one call of ``sample`` take at most."""
    torch.cuda.reset_peak_memory_stats(device)
    build(n).sample(log_normals(1.0), S)
    return torch.cuda.max_memory_allocated(device) / 1e9


def aims(found: dict[int, dict[str, float]]) -> list[Row]:
    """What was measured beside its aim."""
    most = {10**4: 2.5, 10**5: 2.5, 10**6: 3.0, 10**7: 8.0, 10**8: 80.0}
    rows = []
    for n, measured in found.items():
        rows.append(Row(f"sample, stable, N = {n:,}, ms", measured["stable"], most[n]))
        if "Pyro, stable" in measured:
            ratio = measured["Pyro, stable"] / measured["stable"]
            rows.append(
                Row(f"the same, Pyro over ours, N = {n:,}", ratio, 2.5 if n == MILLION else 1.0, True)
            )
        if "container" in measured:
            container = "sample_prior_predictive with diagnostics"
            rows.append(Row(f"{container}, N = {n:,}, ms", measured["container"], 8.0))
            rows.append(Row(f"update of a tuner, N = {n:,}, ms", measured["update"], 8.0))
    return rows


def of_memory(device: torch.device, largest: int) -> list[Row]:
    """The rows that torch counts on CUDA alone."""
    if device.type != "cuda":
        return []
    return [
        Row("copies to the host in a sample", transfers(min(largest, MILLION), device), 8),
        Row(f"peak of the device, N = {largest:,}, GB", peak(largest, device), 20.0),
    ]


def page(card: str, rows: list[Row], found: dict[int, dict[str, float]]) -> str:
    """The tables, as a part of a page."""
    lines = [
        f"Measured on {card}, with torch {version('torch')} and Pyro {version('pyro-ppl')}: three "
        f"LogNormals, {S:,} draws.",
        "",
        "| what | aim | measured | met |",
        "|---|---|---|---|",
        *(
            f"| {row.what} | {'>=' if row.at_least else '<='} {row.aim:g} | {row.measured:.3g} "
            f"| {'yes' if row.met else 'no'} |"
            for row in rows
        ),
        "",
        "Milliseconds:",
        "",
    ]
    names = list(dict.fromkeys(name for measured in found.values() for name in measured))
    lines += [f"| N | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for n, measured in found.items():
        cells = (f"{measured[name]:.2f}" if name in measured else "" for name in names)
        lines.append(f"| {n:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def name_of(device: torch.device) -> str:
    """What the device is called."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"the device {device}"


def main() -> None:
    """Measure, print and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda", help="where the particles are")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="N up to which is measured")
    parser.add_argument("--page", type=Path, help="file to write")
    options = parser.parse_args()
    device, start = torch.device(options.device), time.perf_counter()
    warnings.simplefilter("ignore", ResamplerWarning)
    with device:
        found = {n: times(n, device) for n in SIZES if n <= options.largest}
        rows = aims(found) + of_memory(device, max(found))
    text = page(name_of(device), rows, found)
    print(text, f"{time.perf_counter() - start:.0f} s", sep="\n")
    if options.page:
        options.page.write_text(text)


if __name__ == "__main__":
    main()
