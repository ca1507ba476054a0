"""From draws to labeled groups, in the container of the ArviZ that is installed; nothing of programs.

``container.py`` builds it, ``labels.py`` names what is in it, ``data.py`` reads the user's data, which
``alignment.py`` puts in order, ``arrays.py`` copies or shows arrays, and ``inference_data.py`` is for
ArviZ 0.x.
"""

from arviz_resampler.containers.arrays import Array, view
from arviz_resampler.containers.container import build, groups_of, resolve
from arviz_resampler.containers.data import read_data
from arviz_resampler.containers.labels import Labels

__all__ = ["Array", "Labels", "build", "groups_of", "read_data", "resolve", "view"]
