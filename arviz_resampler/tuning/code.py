"""A member of a family as source. Knows the pipeline and how programs are written; nothing of sliders."""

from __future__ import annotations

import math

import numpy as np
import torch

from arviz_resampler.pipeline import Pipeline
from arviz_resampler.programs.columns import select
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.source import write_source
from arviz_resampler.programs.source_parts import Unwritable
from arviz_resampler.tuning.family import Family, Hyper

_READ = 16  # particles on which a program is read


def write(pipeline: Pipeline, family: Family, position: Hyper) -> str:
    """Source of a program ``prior``; a call of ``make_model`` where it cannot be written, with the reason."""
    model = family.model(position)
    weights = pipeline.score(model).weights
    inside = np.flatnonzero(weights.log_ratio > -math.inf)
    index = torch.from_numpy(inside[np.linspace(0, len(inside) - 1, min(len(inside), _READ)).astype(int)])
    try:
        if len(index) < 2:
            raise Unwritable("no two particles are in the support of this prior, to read it on")
        return write_source(Program(model, "model"), select(pipeline.particles.columns, index), len(index))
    except Unwritable as why:
        notes = "".join(f"# {line}\n" for line in str(why).splitlines())
        return f"{notes}prior = {family.call(position)}\n"
