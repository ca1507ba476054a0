"""Variants scored and drawn, one after the other. Knows the pipeline; nothing of programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from arviz_resampler.analysis.comparison import Comparison
from arviz_resampler.errors import WeightWarning, about, warn
from arviz_resampler.pipeline import Drawn, Model, Pipeline
from arviz_resampler.weights.weights import Weights


def compare(
    pipeline: Pipeline,
    variants: Mapping[str, Model],
    num_samples: int,
    *,
    scheme: str,
    container: str,
    seed: int | None,
) -> Comparison:
    """Score each variant and draw from it.

    Parameters
    ----------
    pipeline : Pipeline
        The cache.
    variants : mapping of str to callable
        Programs by name.
    num_samples : int
        How many draws of each.
    scheme : str
        How particles are chosen.
    container : str
        What to build.
    seed : int, optional
        Of the choice, which all variants share.
    """
    seed = pipeline.chooser.common_seed(scheme, seed)
    drawn: dict[str, Drawn] = {}
    weights: dict[str, Weights] = {}
    particles: dict[str, xr.Dataset] = {}
    views: dict[str, Any] = {}
    common = None  # to those variants that compute nothing of their own
    for name, model in variants.items():
        with about(name):
            scored = pipeline.score(model)
            weights[name] = scored.weights
            if scored.weights.ess:
                drawn[name] = pipeline.draw_container(
                    scored, num_samples, name, scheme=scheme, seed=seed, container=container, variant=name
                )
            else:
                advice = scored.weights.judge(num_samples).advice
                warn(f"variant {name!r} has no draws: {advice}", WeightWarning)
            if scored.computed:
                particles[name] = pipeline.dataset(scored, views)
            else:
                if common is None:
                    common = pipeline.dataset(scored, views)
                particles[name] = common
    return Comparison(drawn, weights, particles, num_samples)
