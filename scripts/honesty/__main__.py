"""Measure how far numbers can be trusted, and write the figures of docs/background/trust.md."""

from __future__ import annotations

import argparse
import platform
import sys
import warnings
from pathlib import Path

import numpy as np
import pyro
import torch

from .kinds import MISSED, PAIRS
from .measures import judged
from .page import Tried, written
from .runs import all_numbers, all_plans

SIZES = (1000, 10_000)
PILOTS = (1000, 10_000)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "_figures" / "honesty.md"


def try_all(runs: int, first: int, every: int = 1) -> Tried:
    """Run every pair, or some of them, with each seed."""
    pairs, seeds = PAIRS[::every], range(first, first + runs)
    # The size of a run follows from the guide alone, so simulators have no part in a plan.
    planned = [pair for pair in pairs if pair.then is None and pair.kind not in MISSED][::3]
    versions = f"torch {torch.__version__.split('+')[0]}, Pyro {pyro.__version__} and NumPy {np.__version__}"
    numbers = judged(all_numbers(pairs, SIZES, seeds))
    plans = all_plans(planned, PILOTS, seeds)
    sizes = " and ".join(f"{size:,}" for size in SIZES)
    words = (
        f"{len(pairs)} pairs of guide and model, each with {sizes} particles and {runs} seeds of its own, "
        f"those of the first pair from {first} on: {len(numbers):,} numbers whose truth is known; "
        f"{len(planned)} of the pairs for `plan`. With {versions} on Python {platform.python_version()}."
    )
    return Tried(numbers, plans, words)


def main() -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="honesty", description=__doc__)
    parser.add_argument("--runs", type=int, default=40, help="seeds of each pair and size")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--every", type=int, default=1, help="take each n-th pair alone")
    parser.add_argument("--page", type=Path, default=PAGE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tried = try_all(args.runs, args.seed, args.every)
    args.page.write_text(written(tried))
    return 0


if __name__ == "__main__":
    sys.exit(main())
