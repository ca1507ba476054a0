"""Draws and data in an ``InferenceData`` (ArviZ 0.x) or a ``DataTree`` (ArviZ 1.x).

Knows sites and arrays; nothing of programs, particles or weights.

=================  ===================================================================================
container.py       groups of draws, data and diagnostics
labels.py          names of variables, dims and coords; selection.py which of them a user wants
data.py            observed and constant data; alignment.py matches them by names and labels
arrays.py          copies and views
samples.py         samples of a posterior, checked; posterior.py makes their groups
on_disk.py         arrays that are read when somebody looks at them
results.py         simulations that were run elsewhere
elsewhere.py       draws of other containers, datasets, tables and mappings: parts.py reads one of them,
                   matching.py goes by the labels of draws, own_names.py knows names that were changed
installed.py       which ArviZ is installed
inference_data.py  ArviZ, and all that goes when ArviZ 0.x goes
=================  ===================================================================================
"""

from arviz_resampler.containers.arrays import Array, view
from arviz_resampler.containers.container import (
    OF_POSTERIOR,
    OF_PRIOR,
    build,
    drawn_groups,
    groups_of,
    resolve,
)
from arviz_resampler.containers.data import read_data
from arviz_resampler.containers.elsewhere import Draws, by_draw, read_draws
from arviz_resampler.containers.labels import Labels, check_order
from arviz_resampler.containers.on_disk import lazy
from arviz_resampler.containers.posterior import build_posterior
from arviz_resampler.containers.results import read_results
from arviz_resampler.containers.samples import is_mcmc, of_mcmc
from arviz_resampler.containers.selection import ALL, Selection

__all__ = [
    "ALL",
    "OF_POSTERIOR",
    "OF_PRIOR",
    "Array",
    "Draws",
    "Labels",
    "Selection",
    "build",
    "build_posterior",
    "by_draw",
    "check_order",
    "drawn_groups",
    "groups_of",
    "is_mcmc",
    "lazy",
    "of_mcmc",
    "read_data",
    "read_draws",
    "read_results",
    "resolve",
    "view",
]
