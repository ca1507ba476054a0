"""The contract of the container, as one check that any test may call.

``check_container`` holds for what ``sample_prior_predictive`` returns and for what comes back from a file.
"""

import datetime
import numbers

import numpy as np
import xarray as xr

from arviz_resampler import Diagnostics

SAMPLE_GROUPS = ("prior", "prior_predictive", "sample_stats_prior")
DATA_GROUPS = ("observed_data", "constant_data")
STATS = {"lp": "float64", "log_importance_ratio": "float64", "particle": "int64"}
ATTRIBUTES = {*Diagnostics._fields, "n_unique"}
ROOT = {
    "name": str,
    "created_at": str,
    "creation_library": str,
    "creation_library_version": str,
    "creation_library_language": str,
    "inference_library": str,
    "inference_library_version": str,
    "format_version": numbers.Integral,
    "random_seed": numbers.Integral,
    "scheme": str,
}


def groups_of(container):
    """The groups of an ``InferenceData`` or ``DataTree`` as datasets that share its arrays."""
    if isinstance(container, xr.DataTree):
        return {name: node.to_dataset(inherit=False) for name, node in container.children.items()}
    return {name: container[name] for name in container.groups()}


def check_container(container, *, own=True):
    """Assert all that is promised of a container, and return its groups.

    ``own=False`` leaves out who owns the memory, for containers that were sliced or read from a file.
    """
    groups = groups_of(container)
    assert set(groups) <= {*SAMPLE_GROUPS, *DATA_GROUPS}
    assert {"prior", "sample_stats_prior"} <= set(groups)
    _check_root(container)
    for name, group in groups.items():
        assert group.data_vars, f"group {name} is empty"
        _check_group(group, sampled=name in SAMPLE_GROUPS)
    assert len({group.sizes["draw"] for name, group in groups.items() if name in SAMPLE_GROUPS}) == 1
    _check_stats(groups["sample_stats_prior"])
    if "prior_predictive" in groups and "observed_data" in groups:
        _check_observed(groups["observed_data"], groups["prior_predictive"])
    if own:
        _check_memory(groups)
    return groups


def _check_attrs(attrs):
    for key, value in attrs.items():
        if key == "sample_dims":
            assert list(value) == ["chain", "draw"]
        else:
            assert isinstance(value, (str, numbers.Real)), (key, value)
            assert not isinstance(value, (bool, np.bool_)), key


def _check_root(container):
    attrs = container.attrs
    _check_attrs(attrs)
    for key, kind in ROOT.items():
        assert isinstance(attrs[key], kind), (key, attrs.get(key))
    assert attrs["creation_library"] == "arviz_resampler"
    assert datetime.datetime.fromisoformat(attrs["created_at"]).tzinfo is not None
    if isinstance(container, xr.DataTree):
        assert not container.to_dataset().variables, "the root of the tree must be empty"


def _check_group(group, *, sampled):
    for name, variable in group.data_vars.items():
        assert variable.dtype in (np.dtype("int64"), np.dtype("float64")), (name, variable.dtype)
        assert "/" not in name
        assert name not in (*group.dims, "chain", "draw", "sample")
        assert len(set(variable.dims)) == variable.ndim
        if sampled:
            assert variable.dims[:2] == ("chain", "draw"), (name, variable.dims)
        else:
            assert not {"chain", "draw", "sample"} & set(variable.dims), (name, variable.dims)
    assert set(group.coords) == set(group.dims), "every dim has a coordinate, and nothing else is one"
    for dim, size in group.sizes.items():
        assert "/" not in dim
        assert group.coords[dim].shape == (size,)
        assert group.coords[dim].dtype.kind != "O", dim
    _check_attrs(group.attrs)
    assert ("sample_dims" in group.attrs) == sampled
    if sampled:
        assert list(group.coords["chain"].values) == [0]
        np.testing.assert_array_equal(group.coords["draw"].values, np.arange(group.sizes["draw"]))


def _check_stats(stats):
    assert {name: str(variable.dtype) for name, variable in stats.data_vars.items()} == STATS
    for name, variable in stats.data_vars.items():
        assert variable.dims == ("chain", "draw")
        assert np.isfinite(variable.values).all(), name
    assert set(stats.attrs) - {"sample_dims"} == ATTRIBUTES
    assert stats.attrs["verdict"] in ("good", "low", "unreliable")
    particles = stats["particle"].values
    assert particles.min() >= 0
    assert particles.max() < stats.attrs["num_guide_samples"]
    assert len(np.unique(particles)) <= stats.attrs["n_unique"] <= stats.attrs["num_guide_samples"]


def _check_observed(observed, predictive):
    for name, variable in observed.data_vars.items():
        assert name in predictive, f"{name} has data, but is not predicted"
        assert predictive[name].dims == ("chain", "draw", *variable.dims)
        for dim in variable.dims:
            assert variable.indexes[dim].equals(predictive.indexes[dim]), dim


def _check_memory(groups):
    owners = []
    for group in groups.values():
        for name, variable in group.data_vars.items():
            owner = variable.values
            assert owner.flags.writeable, name
            while owner.base is not None:
                owner = owner.base
                assert isinstance(owner, np.ndarray), f"{name} is a view of a {type(owner).__name__}"
            assert owner.nbytes == variable.nbytes, f"{name} is a part of a larger array"
            owners.append(owner)
    assert len({id(owner) for owner in owners}) == len(owners), "two variables share memory"
