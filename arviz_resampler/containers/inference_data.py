"""``InferenceData``, the container of ArviZ 0.x. All that goes when ArviZ 0.x goes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr


def inference_data(attrs: Mapping[str, Any], groups: Mapping[str, xr.Dataset]) -> Any:
    """Build an ``InferenceData``; this imports ArviZ."""
    return _inference_data_class()(attrs=attrs, **groups)


@functools.cache
def _inference_data_class() -> Any:
    """Define the subclass of ArviZ's ``InferenceData``, which imports ArviZ."""
    from arviz.data.inference_data import InferenceData

    class PriorInferenceData(InferenceData):  # type: ignore[misc]
        """An ``InferenceData`` whose prior predictive can be plotted before there are data.

        ``plot_ppc`` of ArviZ 0.x asks for ``observed_data`` even to draw no observation. To it alone,
        and where it draws none, a missing group is a stand-in of NaN. Nobody else finds one: ``extend``
        would keep it in place of real data, and ``plot_bpv`` would plot it.
        """

        def __getattr__(self, name: str) -> Any:
            asker = sys._getframe(1)
            if name == "observed_data" and asker.f_code.co_name == "plot_ppc":
                asked = asker.f_locals
                if asked.get("group") == "prior" and not asked.get("observed"):
                    first = self.prior_predictive.isel(chain=0, draw=0, drop=True)
                    return xr.full_like(first, np.nan, dtype=np.float64).assign_attrs(note="stand-in")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        def __reduce__(self) -> Any:
            return inference_data, (self.attrs, dict(self))

    return PriorInferenceData
