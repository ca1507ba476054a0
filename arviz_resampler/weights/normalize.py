"""Arithmetic on log ratios: sums over sites, normalized weights, effective sample size.

On whatever device they are. Knows arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from arviz_resampler.arguments import as_array, as_mapping
from arviz_resampler.devices import numbers, to_host, total
from arviz_resampler.errors import ArgumentError, WeightError

Floats = NDArray[np.float64]


class Normalized(NamedTuple):
    """Weights that sum to one, and what they were before.

    Attributes
    ----------
    weights : Tensor
        Shape (N,); all zero where no particle has weight.
    total : float
        Sum of the ratios over the largest one.
    top : float
        Log of the largest ratio.
    ess : float
        Kish's effective sample size.
    """

    weights: Tensor
    total: float
    top: float
    ess: float


class OnHost(Mapping[str, Floats]):
    """Arrays by name on the host, each brought there when it is first asked for; read-only.

    Parameters
    ----------
    values : mapping of str to Tensor
        On whatever device.
    """

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self._values = values
        self._brought: dict[str, Floats] = {}

    def __getitem__(self, name: str) -> Floats:
        if name not in self._brought:
            self._brought[name] = to_host(self._values[name])
        return self._brought[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(dict(self))

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._values)


def checked(log_ratio_by_site: Mapping[str, ArrayLike | Tensor]) -> dict[str, Tensor]:
    """Log ratios by site as copies of one length, without NaN and +infinity."""
    sites = {
        name: _floats(name, values)
        for name, values in as_mapping("log_ratio_by_site", log_ratio_by_site).items()
    }
    shapes = {tuple(values.shape) for values in sites.values()}
    if len(shapes) != 1 or any(len(shape) != 1 or shape[0] == 0 for shape in shapes):
        raise ArgumentError(
            f"log ratios must be one-dimensional and of one length, got shapes {sorted(shapes)}"
        )
    for name, largest in zip(sites, numbers(*(v.max() for v in sites.values())), strict=True):
        if not largest < math.inf:  # NaN too
            raise WeightError(f"the log ratio of site {name!r} holds NaN or +infinity")
    return sites


def _floats(name: str, values: Any) -> Tensor:
    """A copy in float64, on the device of a tensor, else on the host."""
    if isinstance(values, Tensor) and not values.is_cpu:
        return values.detach().to(torch.float64, copy=True)
    return torch.from_numpy(np.array(as_array(name, values), np.float64))


def dot(first: Floats, second: Floats) -> float:
    """Sum of products, whose order does not depend on how many threads there are."""
    return float(np.einsum("i,i", first, second))


def normalize(log_ratio: Tensor, top: Tensor | None = None, out: Tensor | None = None) -> Normalized:
    """Normalize ratios, given their logs, the largest of these where it is known, and room for weights."""
    largest = log_ratio.max() if top is None else top
    weights = torch.sub(log_ratio, largest, out=out).exp_()
    highest, whole, squares = numbers(largest, total(weights), weights.dot(weights))
    if highest == math.inf:
        raise WeightError("the sum of the log ratios over sites is +infinity, beyond the range of float64")
    if highest == -math.inf:
        return Normalized(weights.zero_(), 0.0, highest, 0.0)
    weights *= 1 / whole  # three times as fast as a division
    return Normalized(weights, whole, highest, whole**2 / squares)


def kish_ess(log_ratio: Tensor) -> float:
    """Kish's effective sample size, 0 where no particle has weight."""
    return normalize(log_ratio).ess


def entropy_ess(normalized: Normalized, log_ratio: Tensor) -> float:
    """Effective sample size by entropy, 0 where no particle has weight."""
    weights, whole, top, ess = normalized
    if not ess:
        return 0.0
    logs = log_ratio - (top + math.log(whole))
    entropy = -float(weights.dot(logs))
    if math.isnan(entropy):  # a particle without weight has a log ratio of minus infinity
        entropy = -float(weights.dot(logs.masked_fill_(weights == 0, 0.0)))
    return math.exp(entropy)


def expected_distinct(weights: Tensor, num_samples: int) -> float:
    """How many different particles are expected among independent draws."""
    # Not log1p and expm1, which are ten times slower and say no more of a sum.
    missed = torch.sub(1.0, weights).clamp_(min=0.0).log_().mul_(num_samples).exp_()
    return len(weights) - float(missed.sum())


def log_means(log_ratios: Iterable[Tensor]) -> list[float]:
    """Log of the mean of each of some sets of ratios."""
    return numbers(*(torch.logsumexp(ratio, 0) - math.log(len(ratio)) for ratio in log_ratios))


def add(parts: Iterable[Tensor]) -> Tensor:
    """Sum of arrays of one shape, in their order; one array is its own sum."""
    first, *others = parts
    whole = first.clone() if others else first
    for part in others:
        whole += part
    return whole


def sums_without(parts: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Sum of all arrays but one, for each of two or more: from sums over those before and those after it.

    A difference from the sum of all would not do where a part is -inf.
    """
    names = list(parts)
    after = [parts[names[-1]]]
    for name in names[-2:0:-1]:
        after.append(after[-1] + parts[name])
    before = None
    for name in names:
        later = after.pop() if after else None
        if before is None or later is None:
            others = later if before is None else before
            assert others is not None
        else:
            others = before + later
        yield name, others
        before = parts[name] if before is None else before + parts[name]


def of_particles(name: str, values: ArrayLike, num_particles: int) -> NDArray[Any]:
    """Values as an array, checked to be one for each particle."""
    array = as_array(name, values)
    if array.shape[:1] != (num_particles,):
        raise ArgumentError(
            f"{name} must have the {num_particles} particles as the first axis, got shape {array.shape}"
        )
    return array
