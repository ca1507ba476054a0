"""From chosen particles to draws, and to a container that holds them with the diagnostics of their weights.

Knows weighed particles and containers; nothing of programs, nor of how particles are chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from arviz_resampler import containers
from arviz_resampler.draws.race import Ints
from arviz_resampler.programs.runs import Column
from arviz_resampler.scoring.score_model import Weighed


def take(columns: Mapping[str, Column], chosen: Ints) -> dict[str, Tensor]:
    """The draws: one row of each column for each chosen particle."""
    index = torch.as_tensor(chosen)
    return {name: c.value.index_select(0, index.to(c.value.device)) for name, c in columns.items()}


def to_container(weighed: Weighed, chosen: Ints, labels: containers.Labels, **parts: Any) -> Any:
    """The draws in a container; ``parts`` are what else :func:`container.build` takes."""
    columns = weighed.columns
    stats = {
        "lp": weighed.log_density(torch.as_tensor(chosen)).numpy(),
        "log_importance_ratio": weighed.weights.log_ratio[chosen],
        "particle": chosen,
    }
    return containers.build(
        labels,
        {name: column.site for name, column in columns.items()},
        take(columns, chosen),
        stats,
        stats_attrs={
            **weighed.weights.diagnostics(len(chosen))._asdict(),
            "n_unique": len(np.unique(chosen)),
        },
        **parts,
    )


def particle_dataset(
    weighed: Weighed, labels: containers.Labels, views: dict[str, containers.Array] | None = None
) -> xr.Dataset:
    """All particles under the names of the container; ``views`` keeps the arrays that models share."""
    shared = {} if views is None else views
    arrays = {}
    for name, column in weighed.columns.items():
        if name in weighed.own:
            arrays[name] = containers.view(column.value)
        else:
            if name not in shared:
                shared[name] = containers.view(column.value)
            arrays[name] = shared[name]
    return labels.particles(arrays)
