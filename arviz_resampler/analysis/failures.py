"""Particles that could not be simulated, as a table.

Knows the pipeline; nothing of weights.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from arviz_resampler.analysis.elements import Elements, row_labels
from arviz_resampler.pipeline import Pipeline


def failures(pipeline: Pipeline) -> pd.DataFrame:
    """What each failed particle raised, and its latents, a column for each scalar."""
    found, ids = dict(sorted(pipeline.particles.failures.items())), pipeline.particles.ids
    numbers = np.array(list(found), int)
    index = pd.Index(numbers if ids is None else ids[numbers], name="particle")
    table = pd.DataFrame({"error": list(found.values())}, index=index)
    latents = pipeline.latents(list(found))
    arrays = {str(name): Elements(str(name), array) for name, array in latents.data_vars.items()}
    rows = row_labels(arrays.items())
    for name, elements in arrays.items():
        for label in elements:
            row = rows[name, label]
            table[row if row not in table else f"{row} (site)"] = elements[label]
    return table
