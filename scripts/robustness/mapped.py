"""Idioms: programs as they are written for one draw, mapped or not."""

from __future__ import annotations

import re
import warnings

from fuzz import of_one
from idioms import GUIDE, MODEL, Idiom

from arviz_resampler import Resampler

from .cells import Cell
from .comparison import Wrong

NUM_TRACED = 20  # particles that are compared with a trace of Pyro


def way_of(idiom: Idiom) -> Cell:
    """Whether an idiom is mapped, and why it is not; its densities are those of Pyro."""
    guide, model = idiom.program(GUIDE), idiom.program(MODEL)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        resampler = Resampler(guide, num_guide_samples=NUM_TRACED, random_seed=9, progressbar=False)
        ratios = resampler.weigh(model).log_ratio_by_site
    columns = resampler.pipeline.particles.columns
    for i in range(NUM_TRACED):
        values = {name: column.value[i] for name, column in columns.items()}
        latent = {name: ratio[i] for name, ratio in ratios.items() if columns[name].site.role == "latent"}
        found = of_one(guide, model, values, latent) if not idiom.random else []
        if found:
            raise Wrong(found[0])
    text = next((str(w.message) for w in said if "runs one particle at a time" in str(w.message)), "")
    if not text:
        return Cell("mapped")
    reason = re.sub(r"\(\w+\.py:\d+ in (`.*`)\)", r"in \1", text.split(": ", 1)[1])
    return Cell("one particle at a time", reason.split(". That takes ")[0])


def in_words(idiom: Idiom) -> str:
    """What an idiom is, as its name says it."""
    return idiom.name.replace("_", " ")
