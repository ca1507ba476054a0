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

from arviz_resampler.containers import container as containers
from arviz_resampler.draws.race import Ints
from arviz_resampler.programs.columns import CachedSite
from arviz_resampler.scoring.scored import ScoredModel
from arviz_resampler.weights.weights import Weights


def take(columns: Mapping[str, CachedSite], chosen: Ints) -> dict[str, Tensor]:
    """The draws: one row of each column for each chosen particle."""
    index = torch.as_tensor(chosen)
    return {name: c.value.index_select(0, index.to(c.value.device)) for name, c in columns.items()}


def to_container(weighed: ScoredModel, chosen: Ints, labels: containers.Labels, **parts: Any) -> Any:
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
        stats_attrs=_diagnostics(weighed.weights, chosen),
        **parts,
    )


def _diagnostics(weights: Weights, chosen: Ints) -> dict[str, Any]:
    """Numbers and strings that go with the draws."""
    verdict, advice = weights.judge(len(chosen))
    fit = weights.pareto
    return {
        "verdict": verdict,
        "advice": advice,
        "ess": weights.ess,
        "ess_fraction": weights.ess / weights.num_particles,
        "ess_entropy": weights.ess_entropy,
        "max_weight": weights.max_weight,
        "num_guide_samples": weights.num_particles,
        "num_supported": weights.num_supported,
        "n_unique": len(np.unique(chosen)),
        "expected_distinct": weights.expected_distinct(len(chosen)),
        "pareto_k": fit.k,
        "pareto_k_reason": fit.reason,
        "good_k": fit.threshold,
        "tail_length": fit.tail,
        "log_mean_weight": weights.log_mean_weight,
        "log_mean_weight_se": weights.log_mean_weight_se,
    }


def particle_dataset(
    weighed: ScoredModel, labels: containers.Labels, views: dict[str, containers.Array] | None = None
) -> xr.Dataset:
    """All particles under the names of the container; ``views`` keeps the arrays that models share."""
    shared = {} if views is None else views
    arrays = {}
    for name, column in weighed.columns.items():
        if name in weighed.computed:
            arrays[name] = containers.view(column.value)
        else:
            if name not in shared:
                shared[name] = containers.view(column.value)
            arrays[name] = shared[name]
    return labels.particles(arrays)
