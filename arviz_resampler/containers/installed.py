"""Which ArviZ is installed, without importing it."""

from __future__ import annotations

import functools
import importlib.metadata

version = functools.cache(importlib.metadata.version)


def major_version() -> int:
    """The generation of the ArviZ that is installed."""
    return int(version("arviz").split(".")[0])
