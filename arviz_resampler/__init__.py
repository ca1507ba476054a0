"""Prior predictive checks in milliseconds for Pyro and ArviZ.

Simulate once from a diffuse guide, then look at any prior: the cached particles are resampled by
importance, with an honest verdict on whether they can carry that prior.
"""

from arviz_resampler._version import __version__
from arviz_resampler.analysis.comparison import Comparison
from arviz_resampler.errors import (
    ArgumentError,
    DrawWarning,
    ExtraError,
    MismatchError,
    NameWarning,
    ProgramError,
    ProgramWarning,
    ResamplerError,
    ResamplerWarning,
    WeightError,
    WeightWarning,
)
from arviz_resampler.mapping.batched import batched
from arviz_resampler.planning import plan
from arviz_resampler.resampler import Resampler
from arviz_resampler.sites import Site
from arviz_resampler.tuning.coverage import Coverage
from arviz_resampler.tuning.tuner import Tuner
from arviz_resampler.weights.diagnostics import Diagnostics
from arviz_resampler.weights.verdict import Judgement
from arviz_resampler.weights.weights import Weights

__all__ = [
    "ArgumentError",
    "Comparison",
    "Coverage",
    "Diagnostics",
    "DrawWarning",
    "ExtraError",
    "Judgement",
    "MismatchError",
    "NameWarning",
    "ProgramError",
    "ProgramWarning",
    "Resampler",
    "ResamplerError",
    "ResamplerWarning",
    "Site",
    "Tuner",
    "WeightError",
    "WeightWarning",
    "Weights",
    "__version__",
    "batched",
    "plan",
]
