"""Write ``docs/robustness.md``: ``make robustness``.

The seeds are fixed. Exits with 1 if a cell is open: neither right nor refused in the package's own words.
"""

from __future__ import annotations

import sys
import warnings
from functools import partial
from pathlib import Path

import pyro
import torch
from families import CASES, forgotten
from idioms import IDIOMS

from .cells import attempt
from .guides import guides
from .kind import run_kind
from .mapped import in_words, way_of
from .page import Tried, written
from .places import PLACES, as_pair, pairs
from .reparametrized import reparametrized
from .structures import structures

PAGE = Path(__file__).resolve().parents[2] / "docs" / "robustness.md"


def try_all() -> Tried:
    """Everything, in an order that the seeds of the guides depend on."""
    by_case = {case: {place: attempt(partial(run, case)) for place, run in PLACES.items()} for case in CASES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        beside = pairs()
    by_pair = {pair: attempt(partial(as_pair, *pair)) for pair in beside}
    kinds = [*structures(), *guides(), *reparametrized()]
    return Tried(
        by_case,
        by_pair,
        {kind.name: attempt(partial(run_kind, kind)) for kind in kinds},
        {in_words(idiom): attempt(partial(way_of, idiom)) for idiom in IDIOMS.values()},
    )


def main() -> int:
    """Try everything and write the page."""
    torch.set_num_threads(1)
    pyro.clear_param_store()
    lost = forgotten()
    if lost:
        print(f"neither tried nor excluded, or not in pyro.distributions: {sorted(lost)}")
        return 1
    tried = try_all()
    PAGE.write_text(written(tried))
    for line in tried.open:
        print(line)
    return int(bool(tried.open))


if __name__ == "__main__":
    sys.exit(main())
