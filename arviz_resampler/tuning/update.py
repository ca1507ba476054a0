"""What a tuner needs of particles, and what it gives. Knows the pipeline; nothing of families or sliders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from arviz_resampler.particles.reach import Reach, TopUp
from arviz_resampler.pipeline import Model, Pipeline
from arviz_resampler.weights.weights import Weights


class Update(NamedTuple):
    """The prior draws and weights at one setting of the hyper-parameters.

    Attributes
    ----------
    prior : InferenceData or DataTree
        The draws, as of :meth:`.Resampler.sample_prior_predictive`.
    weights : Weights
        The weights that they were drawn with.
    """

    prior: Any
    weights: Weights


class Source(Protocol):
    """Particles, as far as a tuner needs them."""

    pipeline: Pipeline

    def reach(self, model: Model, ess: float) -> Reach:
        """How far the particles reach into a model, by its draws."""

    def top_up(self, model: Model, ess: float) -> TopUp:
        """Simulate them."""

    def fit(self, make_model: Callable[..., Model], targets: Any, **options: Any) -> Any:
        """Hyper-parameters at which a family meets targets."""
