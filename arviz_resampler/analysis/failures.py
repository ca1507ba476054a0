"""Particles that could not be simulated, as a table.

Knows the pipeline; nothing of weights.
"""

from __future__ import annotations

import pandas as pd

from arviz_resampler.analysis.quantities import Elements
from arviz_resampler.pipeline import Pipeline


def failures(pipeline: Pipeline) -> pd.DataFrame:
    """What each failed particle raised, and its latents, a column for each scalar."""
    found = dict(sorted(pipeline.particles.failures.items()))
    table = pd.DataFrame(
        {"error": list(found.values())}, index=pd.Index(list(found), name="particle", dtype=int)
    )
    latents = pipeline.latents(list(found))
    for name, array in latents.data_vars.items():
        elements = Elements(str(name), array)
        for label in elements:
            table[label] = elements[label]
    return table
