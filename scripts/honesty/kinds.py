"""All pairs, and the kinds that are counted apart."""

from __future__ import annotations

from .one_site import ONE_SITE
from .pairs import Pair
from .several import SEVERAL

BOUNDED = ("narrower", "lighter-tailed", "mixture guide")  # of bounded weights
MISSED = ("truncated", "missed mode", "barely touched mode", "missed mass, unnormalized")

PAIRS = [*(Pair(kind, *models) for kind, several in ONE_SITE.items() for models in several), *SEVERAL]
