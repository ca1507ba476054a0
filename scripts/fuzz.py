"""Compare random programs with plain Pyro, one run after the other.

Run with ``make fuzz``. Prints each program that fails, with the
statements that it needs to fail, and what failed; exits with 1 if one does. ``--only 17`` tries that
program alone.
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from fuzz_programs import GUIDE, Written, runs, write
from numpy.typing import NDArray
from reference import draw_one_by_one, run_one, score_one
from torch import Tensor

from arviz_resampler import ProgramError, Resampler

MODEL = 1.3  # the scale of its priors

Program = Callable[[], Any]
Floats = NDArray[np.float64]


def shrunk(written: Written, words: str) -> Written:
    """A program of fewer statements that fails with these words, too."""
    for i in reversed(range(len(written.statements))):
        fewer = replace(written, statements=written.statements[:i] + written.statements[i + 1 :])
        if fewer.statements and runs(fewer) and words in str(failures(fewer)):
            return shrunk(fewer, words)
    return written


def failures(written: Written) -> list[str] | None:
    """What differs from plain Pyro, in words; nothing where all is the same. None: it is refused by name."""
    guide, model = written.program(GUIDE), written.program(MODEL)
    plain = draw_one_by_one(guide, 1, seed=1)
    try:
        outcome = run(written, guide, model)
    except ProgramError as error:
        return None if REFUSED in str(error) else [str(error)]
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    columns = outcome.columns
    found = [text for warning in outcome.said if (text := _unexpected(written, warning))]
    found += _other_sites(columns, plain)
    if found:
        return found
    if not written.scaled and np.abs(outcome.same).max() > 1e-4:
        found.append(f"weights of the guide against itself: {outcome.same}")
    for name, ratios in outcome.mapped.items():
        single = outcome.single[name]
        if not np.allclose(ratios, single, rtol=1e-4, atol=1e-3, equal_nan=True):
            found.append(f"{name!r}: log ratios {ratios} mapped, {single} one at a time")
    for i in range(written.num_particles):
        values = {name: column.value[i] for name, column in columns.items()}
        # What carries obs= goes by the simulator, if there is one: it is left out of the weights.
        latent = {n: ratios[i] for n, ratios in outcome.mapped.items() if columns[n].site.role == "latent"}
        found += of_one(guide, model, values, latent)
    return found


# Pyro would score another value than was drawn.
REFUSED = "is changed in place through .numpy() or .data"


@dataclass(frozen=True)
class Outcome:
    """What the package makes of a program.

    Attributes
    ----------
    columns : mapping
        The particles, by site.
    said : list of WarningMessage
        The warnings.
    mapped, single : mapping of str to array
        Log ratios of the model by site, mapped and one particle at a time.
    same : array
        Log ratio of the guide.
    """

    columns: Mapping[str, Any]
    said: list[warnings.WarningMessage]
    mapped: Mapping[str, Floats]
    single: Mapping[str, Floats]
    same: Floats


def run(written: Written, guide: Program, model: Program) -> Outcome:
    """Particles of a program, weighed in every way."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        resampler = Resampler(
            guide,
            guide if written.simulator else None,
            num_guide_samples=written.num_particles,
            batch_size=written.batch_size,
            random_seed=5,
            progressbar=False,
        )
        mapped = resampler.weigh(model).log_ratio_by_site
        same = resampler.weigh(guide).log_ratio
        resampler.pipeline.vectorize = False
        single = resampler.weigh(model).log_ratio_by_site
        if written.mapped:
            resampler.pipeline.vectorize = True
            try:
                resampler.weigh(model)
            except ProgramError as error:
                if not any(part in str(error) for part in _LAYOUT):
                    raise
    return Outcome(resampler.pipeline.particles.columns, said, mapped, single, same)


def _other_sites(columns: Mapping[str, Any], plain: Mapping[str, Tensor]) -> list[str]:
    """Sites that are not those of plain Pyro, or of another shape or dtype."""
    if columns.keys() != plain.keys():
        return [f"sites {sorted(columns)}, but {sorted(plain)} in Pyro"]
    found = []
    for name, value in plain.items():
        wide = [size for size in value.shape[1:] if size != 1]
        own = [size for size in columns[name].site.shape if size != 1]
        dtype = columns[name].value.dtype
        if wide != own or dtype != value.dtype:
            found.append(f"{name!r} has shape {own} and {dtype}, not {wide}, {value.dtype}")
    return found


# What is mapped or not by the layout that torch chooses: both are right.
_LAYOUT = (
    "whether a change in place reaches another tensor depends on the layout",
    "a tensor is changed while a row is in use that was looked up in it",
    "view size is not compatible with input tensor's size and stride",
)


def _unexpected(written: Written, warning: warnings.WarningMessage) -> str:
    """What a warning says, unless it belongs to the program or to few particles."""
    text = f"{warning.category.__name__}: {warning.message}"
    expected = ["carries obs=", "WeightWarning", "torch.searchsorted(): input value tensor is non-contiguous"]
    expected += _LAYOUT
    if not written.mapped:
        expected.append("one particle at a time")
    return "" if any(part in text for part in expected) else text


def of_one(guide: Program, model: Program, values: dict[str, Tensor], ratios: dict[str, float]) -> list[str]:
    """What differs for one particle."""
    try:
        below = run_one(guide, values, scales=False, masks=False)
    except ValueError as error:  # a value is not in the support that it has in a trace
        return [str(error)]
    # A mask around a site that is drawn says which data there are: it changes no weight.
    above = score_one(model, values, masks=False)
    found = []
    for name, ratio in ratios.items():
        expected = above[name] - below.log_prob[name]
        # Sums of at most 40 float32 terms; the scale of a narrow normal multiplies the rounding of a mean.
        bound = 1e-3 + 1e-4 * (abs(above[name]) + abs(below.log_prob[name]))
        if math.isfinite(expected) and not abs(ratio - expected) <= bound:
            found.append(f"{name!r}: log ratio {ratio}, but {expected} in a trace")
    for name, value in below.deterministic.items():
        own = values[name].reshape(value.shape)
        if not torch.allclose(own, value, rtol=1e-3, atol=1e-3, equal_nan=True):
            found.append(f"{name!r} is {own.tolist()}, but {value.tolist()} in a trace")
    for name, node in below.trace.nodes.items():
        fn = node.get("fn")
        while type(fn).__name__ in ("Independent", "ExpandedDistribution", "MaskedDistribution"):
            fn = fn.base_dist
        if type(fn) is dist.Normal:
            # Seven standard deviations: once in 4e11 draws.
            far = ((node["value"] - fn.loc) / fn.scale).abs().max()
            if not far < 7:
                found.append(f"{name!r} is {float(far):.1f} standard deviations from its location")
    return found


def main() -> int:
    """Try random programs and print those that fail."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one program")
    parser.add_argument("--page", type=Path, help="file for a sentence with the figures")
    args = parser.parse_args()
    numbers = range(args.start, args.programs) if args.only is None else [args.only]
    failed = refused = mapped = 0
    for number in numbers:
        written = write(args.seed, number)
        mapped += written.mapped
        found = failures(written)
        refused += found is None
        if found:
            failed += 1
            short = shrunk(written, found[0][:40])
            print(f"--- program {number} of seed {args.seed}, shortened: {replace(short, statements=())}")
            print(short.source)
            print("\n".join(failures(short) or ["not a second time:", *found]), flush=True)
    total = len(numbers)
    print(f"{total - failed - refused} passed, {refused} refused by name, {failed} failed")
    if args.page is not None:
        versions = f"torch {torch.__version__.split('+')[0]} and Pyro {pyro.__version__}"
        args.page.write_text(
            f"{total:,} random programs of seed {args.seed}, {mapped:,} of which can be mapped, with "
            f"{versions}: {total - failed - refused:,} agree with plain Pyro, {refused:,} are refused by "
            f"name, **{failed} differ**.\n"
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
