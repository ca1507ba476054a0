"""Densities of many samples at once, on one grid. Knows arrays and scipy; nothing of pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct

from arviz_resampler.plots.limits import Ends, Floats

_BINS = 512
_NARROWEST = 2.0  # bins of a kernel, which then has no ripples
_MOST_BARS = 100
_WIDTH = 0.9  # of a kernel, in standard deviations of a normal sample of one value: Silverman's rule
_CENTRAL = 2.563  # standard deviations between the tenth and the ninetieth percentile of a normal


def densities(samples: Floats, ends: Ends) -> tuple[Floats, Floats]:
    """Kernel estimates of the densities of some samples.

    Histograms on fine bins are smoothed by a Gaussian, in the space of their cosine transform, which reflects
    it at the ends. The Gaussian's width is by Silverman's rule, from the central 80 % of a sample.

    Parameters
    ----------
    samples : ndarray, shape (k, n)
        Values that are not finite are left out.
    ends : tuple of float
        Of the grid. What lies outside counts in the total, and is not shown.

    Returns
    -------
    grid : ndarray, shape (m,)
    densities : ndarray, shape (k, m)
        Zero for a sample without a finite value.
    """
    edges = np.linspace(*ends, _BINS + 1)
    bin_ = edges[1] - edges[0]
    counts, totals = _counts(samples, edges)
    width = np.maximum(_widths(samples, totals) / bin_, _NARROWEST)
    damping = np.exp(-0.5 * (np.pi / _BINS * np.outer(width, np.arange(_BINS))) ** 2)
    smooth = np.maximum(idct(dct(counts, axis=-1) * damping, axis=-1), 0.0)
    return (edges[:-1] + edges[1:]) / 2, smooth / (np.maximum(totals, 1)[:, None] * bin_)


def bars(samples: Floats, ends: Ends) -> tuple[Floats, Floats]:
    """Relative frequencies of integers, as the corners of bars: one an integer, or wider ones.

    Parameters
    ----------
    samples : ndarray, shape (k, n)
        Integers. Values that are not finite are left out.
    ends : tuple of float
        What lies outside counts in the total, and is not shown.

    Returns
    -------
    corners : ndarray, shape (m,)
    heights : ndarray, shape (k, m)
        At the corners, for an integer; bars begin and end at zero.
    """
    first, last = np.ceil(ends[0]), np.floor(ends[1])
    width = max(1.0, np.ceil((last - first + 1) / _MOST_BARS))
    edges = np.arange(first - 0.5, last + 0.5 + width, width)
    counts, totals = _counts(samples, edges)
    heights = np.repeat(counts / (np.maximum(totals, 1)[:, None] * width), 2, axis=-1)
    return np.repeat(edges, 2), np.pad(heights, ((0, 0), (1, 1)))


def _counts(samples: Floats, edges: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """How many values of each sample are in each bin, and how many are finite."""
    bins = len(edges) - 1
    place = np.floor((samples - edges[0]) * (bins / (edges[-1] - edges[0])))
    place[samples == edges[-1]] = bins - 1  # the last bin has both of its ends
    row, column = np.nonzero((place >= 0) & (place < bins))
    flat = row * bins + place[row, column].astype(np.int64)
    counts = np.bincount(flat, minlength=len(samples) * bins).reshape(len(samples), bins)
    return counts.astype(float), np.isfinite(samples).sum(axis=-1)


def _widths(samples: Floats, totals: NDArray[np.int64]) -> Floats:
    """Standard deviations of the kernels."""
    ordered = np.sort(np.where(np.isfinite(samples), samples, np.inf), axis=-1)
    last = np.maximum(totals - 1, 0)
    rows = np.arange(len(samples))
    low, high = (ordered[rows, np.rint(part * last).astype(np.int64)] for part in (0.1, 0.9))
    spread = np.where(totals > 0, high, 0.0) - np.where(totals > 0, low, 0.0)
    widths: Floats = _WIDTH * spread / _CENTRAL * np.maximum(totals, 1) ** -0.2
    return widths
