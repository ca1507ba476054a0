"""Numbers from weights, each with its error; variants side by side.

Knows the pipeline, datasets and weights; nothing of programs, plots or hyper-parameters.

==============  ======================================================================================
comparison.py   `Comparison`; compare.py scores and draws its variants
tables.py       tables of weighted numbers and of contrasts
report.py       columns, print and warning of numbers that may not be reliable
estimates.py    a weighted estimate and its Monte Carlo error
distances.py    how far apart two weightings are
quantities.py   variables of a particle dataset, and statistics of it; elements.py their scalars
failures.py     particles that could not be simulated
sensitivity.py  power-scaling of one site's prior
==============  ======================================================================================
"""

from arviz_resampler.analysis.comparison import Comparison
from arviz_resampler.analysis.failures import failures
from arviz_resampler.analysis.sensitivity import power_scaling

__all__ = ["Comparison", "failures", "power_scaling"]
