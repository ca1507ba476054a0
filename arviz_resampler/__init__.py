"""Prior predictive checks in milliseconds for Pyro and ArviZ.

Simulate once from a diffuse guide, then look at any prior: the cached particles are resampled by
importance, with an honest verdict on whether they are reliable for that prior.
"""

from typing import Any

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
    StoreError,
    StoreWarning,
    WeightError,
    WeightWarning,
    WorkerError,
)
from arviz_resampler.fitting.experts import pooled, quantiles
from arviz_resampler.fitting.fit import Fit
from arviz_resampler.fitting.region import Region
from arviz_resampler.fitting.targets import Target, Targets, between, mean, probability, quantile, sd
from arviz_resampler.mapping.batched import batched
from arviz_resampler.particles.guides import Mixture
from arviz_resampler.particles.reach import Reach, TopUp
from arviz_resampler.planning import plan
from arviz_resampler.posteriors import posterior
from arviz_resampler.resampler import Resampler
from arviz_resampler.simulations import SimulationReport
from arviz_resampler.sites import Site
from arviz_resampler.tuning.coverage import Coverage
from arviz_resampler.tuning.family_guide import FamilyGuide, family
from arviz_resampler.tuning.ranges import Range
from arviz_resampler.tuning.step import Step
from arviz_resampler.tuning.tuner import Tuner
from arviz_resampler.tuning.update import Update
from arviz_resampler.weights.chains import Chains
from arviz_resampler.weights.diagnostics import Diagnostics
from arviz_resampler.weights.pareto import ParetoFit
from arviz_resampler.weights.verdict import Judgement
from arviz_resampler.weights.weights import Weights

__all__ = [
    "ArgumentError",
    "Chains",
    "Comparison",
    "Coverage",
    "Diagnostics",
    "DrawWarning",
    "ExtraError",
    "FamilyGuide",
    "Fit",
    "Judgement",
    "MismatchError",
    "Mixture",
    "NameWarning",
    "ParetoFit",
    "ProgramError",
    "ProgramWarning",
    "Range",
    "Reach",
    "Region",
    "Resampler",
    "ResamplerError",
    "ResamplerWarning",
    "SimulationReport",
    "Site",
    "Step",
    "StoreError",
    "StoreWarning",
    "Target",
    "Targets",
    "TopUp",
    "Tuner",
    "Update",
    "WeightError",
    "WeightWarning",
    "Weights",
    "WorkerError",
    "__version__",
    "batched",
    "between",
    "family",
    "mean",
    "plan",
    "pooled",
    "posterior",
    "probability",
    "quantile",
    "quantiles",
    "sd",
]

# Tracebacks, documentation and pickles name the package, not the rooms in it.
for _name in __all__:
    if _name != "__version__":
        globals()[_name].__module__ = __name__


def __getattr__(name: str) -> Any:
    if name == "Explorer":  # of ipywidgets, which is an extra
        from arviz_resampler.tuning.widget import Explorer

        return Explorer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
