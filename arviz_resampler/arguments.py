"""Checks of the arguments of public calls: each gives the value back, or an error that quotes it.

Knows nothing of programs, particles or weights.
"""

from __future__ import annotations

import contextlib
import operator
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arviz_resampler.errors import ArgumentError, quoted, suggestion

_MAX = 2**63 - 1


def as_array(name: str, values: Any) -> NDArray[Any]:
    """Numbers of any library as an array of NumPy, NaN where one is missing.

    Parameters
    ----------
    name : str
        In the message.
    values : array_like
        Numbers: of NumPy, masked or not, torch, pandas, xarray or Python.

    Returns
    -------
    ndarray
        Of integers, floats or truth values; it may share the memory of ``values``.

    Raises
    ------
    ArgumentError
        If they are no real numbers, or have no common shape.
    """
    try:
        array = _to_numpy(values)
        if array.dtype.kind == "O":  # of Python objects, such as numbers and None
            array = array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentError(f"{name!r} cannot be read as an array of numbers: {error}") from None
    if array.dtype.kind not in "biuf":
        raise ArgumentError(
            f"{name!r} has dtype {array.dtype}, which ArviZ cannot show: turn it into real numbers, or "
            f"labels into coords"
        )
    return array


def _to_numpy(values: Any) -> NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(np.float64), np.nan) if np.ma.is_masked(values) else values.data
    if hasattr(values, "detach"):  # a tensor, perhaps of a dtype that NumPy does not know
        tensor = values.detach().cpu()
        known = not tensor.is_floating_point() or tensor.element_size() > 2
        return np.asarray(tensor if known else tensor.float())
    if hasattr(values, "to_numpy") and hasattr(values, "isna"):  # of pandas, perhaps with NA
        missing = bool(np.any(values.isna()))
        how = {"dtype": np.float64, "na_value": np.nan} if missing else {}
        return np.asarray(values.to_numpy(**how))
    return np.asarray(values)


def integer_or_none(value: Any) -> int | None:
    """An integer of Python, NumPy or torch; None for anything else, also for arrays of one integer."""
    if getattr(value, "ndim", 0) or "bool" in str(getattr(value, "dtype", type(value))):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def as_integer(name: str, value: Any, low: int, high: int, what: str) -> int:
    """An integer from ``low`` to ``high``."""
    number = integer_or_none(value)
    if number is None or not low <= number <= high:
        raise ArgumentError(f"{name} must be {what}, got {value!r}")
    return number


def as_count(name: str, value: Any) -> int:
    """A number of things."""
    return as_integer(name, value, 1, _MAX, "a positive integer")


def as_path(name: str, value: Any) -> str:
    """A path that the system takes."""
    try:
        path = os.fspath(value)
    except TypeError:
        path = None
    if not isinstance(path, str) or not path or "\0" in path:
        raise ArgumentError(f"{name} must be a path, a str or a pathlib.Path, got {value!r}")
    return path


def as_shard(value: Any) -> tuple[int, int] | None:
    """A share of the batches, such as "3/100": those whose number leaves 3 when divided by 100."""
    if value is None:
        return None
    number, _, of = value.partition("/") if isinstance(value, str) else ("", "", "")
    if number.isdecimal() and of.isdecimal() and int(number) < int(of):
        return int(number), int(of)
    raise ArgumentError(
        f'shard must be "i/n" with whole numbers, i from 0 to n - 1, as "3/100", got {value!r}'
    )


def as_probability(name: str, value: Any) -> float:
    """A probability between 0 and 1, neither of them."""
    if isinstance(value, Real) and 0 < float(value) < 1:
        return float(value)
    raise ArgumentError(f"{name} must be a number between 0 and 1, got {value!r}")


def as_positive(name: str, value: Any) -> float:
    """A finite number above zero."""
    if type(value) is not bool and isinstance(value, Real) and 0 < float(value) < float("inf"):
        return float(value)
    raise ArgumentError(f"{name} must be a positive number, got {value!r}")


def as_optional(name: str, value: Any) -> int | None:
    """A depth, or nothing."""
    return None if value is None else as_integer(name, value, 0, _MAX, "a non-negative integer or None")


def as_seed(value: Any) -> int | None:
    """A seed of any size, one that a generator gives, or none."""
    if value is None:
        return None
    if isinstance(value, np.random.Generator):
        return int(value.integers(2**63))
    number = integer_or_none(value)
    if number is None or number < 0:
        raise ArgumentError(
            f"random_seed must be a non-negative integer, a numpy.random.Generator or None, got {value!r}"
        )
    return number


def as_probabilities(name: str, value: Any, *, max_ndim: int | None = None) -> NDArray[np.float64]:
    """One probability or an array of them."""
    with contextlib.suppress(ArgumentError):
        found = as_array(name, value).astype(np.float64)
        if ((found >= 0) & (found <= 1)).all() and (max_ndim is None or found.ndim <= max_ndim):
            return found
    raise ArgumentError(f"{name} must be probabilities in [0, 1], got {value!r}")


def check_way(vectorize: Any, on_error: Any) -> None:
    """Refuse a way to run programs that there is not."""
    if vectorize not in (True, False, "auto"):
        raise ArgumentError(f'vectorize must be True, False or "auto", got {vectorize!r}')
    if on_error not in ("raise", "mask"):
        raise ArgumentError(f'on_error must be "raise" or "mask", got {on_error!r}')


def as_name(name: str, value: Any) -> str:
    """A text, empty where none is given."""
    if not isinstance(value, str | None):
        raise ArgumentError(f"{name} must be a string or None, got {value!r}")
    return value or ""


def as_mapping(name: str, value: Any) -> dict[str, Any]:
    """A mapping, empty where none is given."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ArgumentError(f"{name} must be a mapping from names to values, got {value!r}")
    for key in value:
        if not isinstance(key, str):
            raise ArgumentError(f"the keys of {name} must be strings, got {key!r}")
    return dict(value)


def as_names(name: str, value: Any) -> list[str]:
    """One name or several, as a list; none where nothing is given."""
    names = [value] if isinstance(value, str) else [] if value is None else value
    if isinstance(names, bytes) or not isinstance(names, Iterable):
        raise ArgumentError(f"{name} must be a name or several names, got {value!r}")
    names = list(names)
    if not all(isinstance(one, str) for one in names):
        raise ArgumentError(f"{name} must be a name or several names, got {value!r}")
    return names


def as_variables(value: Any, known: Sequence[str]) -> list[str]:
    """Names of variables, each once; all of them where nothing is given."""
    names = list(known) if value is None else as_names("var_names", value)
    for name in names:
        if name not in known:
            raise ArgumentError(
                f"var_names holds {name!r}, which is no variable; there are {quoted(known)}."
                f"{suggestion(name, known)}"
            )
    return list(dict.fromkeys(names))


def as_dims(value: Any) -> dict[str, list[str | None]]:
    """Names of axes by site; None for an axis that keeps its own name."""
    found = {}
    for site, names in as_mapping("dims", value).items():
        listed = [names] if isinstance(names, str) else names
        if listed is None:
            continue
        if not isinstance(listed, Sequence) or not all(isinstance(one, str | None) for one in listed):
            raise ArgumentError(
                f"dims must hold a name, several names or None for site {site!r}, got {names!r}"
            )
        found[site] = list(listed)
    return found


def as_variants(models: Any, least: int) -> dict[str, Any]:
    """Programs by name: ``least`` or more, with names that stay distinct as file names."""
    variants = as_mapping("models", models)
    if len(variants) < least:
        wanted = "at least one program" if least == 1 else "two programs or more"
        raise ArgumentError(f"models must hold {wanted} by name, got {quoted(variants)}")
    files: dict[str, str] = {}
    for name in variants:
        if not name:
            raise ArgumentError("names of variants must not be empty")
        file = re.sub(r"\W", "_", name.casefold())
        if file in files:
            raise ArgumentError(
                f"variant names {files[file]!r} and {name!r} both become {file!r} in file names; rename one"
            )
        files[file] = name
    return variants
