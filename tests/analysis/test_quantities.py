import re

import numpy as np
import pytest
import xarray as xr

from arviz_resampler import ArgumentError, DrawWarning
from arviz_resampler.analysis.elements import Elements
from arviz_resampler.analysis.quantities import each_quantity, evaluate, split_statistic

N = 50


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "mu": ("particle", rng.normal(size=N).astype(np.float32)),
            "y": (("particle", "student", "item"), rng.normal(size=(N, 3, 2))),
        },
        coords={"particle": np.arange(N), "student": list("abc"), "item": [10, 20]},
    )


def test_variables_are_all_unless_named(dataset):
    assert list(evaluate(dataset, None, None)) == ["mu", "y"]
    assert list(evaluate(dataset, "y", None)) == ["y"]
    assert list(evaluate(dataset, ("mu", "mu"), None)) == ["mu"]
    assert list(evaluate(dataset, [], {"s": lambda ds: ds.mu > 0})) == ["s"]
    assert list(evaluate(dataset, None, {"s": lambda ds: ds.mu > 0})) == ["mu", "y", "s"]


def test_scalars_have_the_labels_of_their_coordinates(dataset):
    elements = evaluate(dataset, "y", None)["y"]
    assert list(elements) == ["y[a, 10]", "y[a, 20]", "y[b, 10]", "y[b, 20]", "y[c, 10]", "y[c, 20]"]
    np.testing.assert_array_equal(elements["y[b, 20]"], dataset.y.sel(student="b", item=20))
    assert elements["y[b, 20]"].dtype == np.float64
    assert "y[b, 30]" not in elements
    assert list(evaluate(dataset, "mu", None)["mu"]) == ["mu"]


def test_dims_without_labels_are_counted(dataset):
    assert list(Elements("y", dataset.drop_vars(["student", "item"])["y"]))[:2] == ["y[0, 0]", "y[0, 1]"]


def test_labels_that_repeat_are_counted_instead(dataset):
    twins = dataset.assign_coords(student=["a", "a", "b"])["y"]
    assert list(Elements("y", twins))[:3] == ["y[0, 10]", "y[0, 20]", "y[1, 10]"]


def test_labels_that_commas_make_alike_are_counted_instead(dataset):
    commas = dataset.assign_coords(student=["a", "a, b", "c"], item=["b, c", "c"])["y"]
    assert list(Elements("y", commas))[:3] == ["y[0, 0]", "y[0, 1]", "y[1, 0]"]
    apart = dataset.assign_coords(student=["a", "a, b", "c"])["y"]
    assert list(Elements("y", apart))[:3] == ["y[a, 10]", "y[a, 20]", "y[a, b, 10]"]


def test_quantities_that_would_share_a_label_have_rows_that_differ(dataset):
    scalar = dataset[["mu"]].rename(mu="y[a, 20]")
    found = dict.fromkeys(
        label for _, label, _ in each_quantity({"v": xr.merge([scalar, dataset])}, None, None)
    )
    assert list(found)[:4] == ["y[a, 20]", "mu", "y[a, 10]", "y[a, 20] (2)"]
    rows = {
        label: values["v"] for _, label, values in each_quantity({"v": dataset}, "y", {"y[c, 10]": twice})
    }
    assert len(rows) == 7
    np.testing.assert_array_equal(rows["y[c, 10]"], twice(dataset))
    np.testing.assert_array_equal(rows["y[c, 10] (2)"], dataset.y.sel(student="c", item=10))
    apart = [label for _, label, _ in each_quantity({"a": dataset, "b": scalar}, None, None)]
    assert len(set(apart)) == len(apart) == 8


def test_a_label_that_is_taken_thrice_is_counted_on():
    arrays = xr.Dataset({name: ("particle", np.zeros(3)) for name in ("y[0]", "y[0] (2)")})
    vector = xr.Dataset({"y": (("particle", "i"), np.zeros((3, 1)))})
    labels = [label for _, label, _ in each_quantity({"v": xr.merge([vector, arrays])}, None, None)]
    assert sorted(labels) == ["y[0]", "y[0] (2)", "y[0] (3)"]


def twice(ds):
    return 2 * ds.mu


@pytest.mark.parametrize(
    "reorder",
    [
        lambda ds: ds.sortby("mu")["mu"],
        lambda ds: xr.concat(
            [ds.mu.where(ds.mu < 0, drop=True), ds.mu.where(ds.mu >= 0, drop=True)], "particle"
        ),
        lambda ds: ds["mu"].isel(particle=slice(None, None, -1)),
    ],
)
def test_a_statistic_that_reorders_the_particles_is_refused(dataset, reorder):
    with pytest.raises(
        ArgumentError, match=r"'s' has the dim 'particle' in another order: end with \.sortby"
    ):
        evaluate(dataset, [], {"s": reorder})
    again = evaluate(dataset, [], {"s": lambda ds: reorder(ds).sortby("particle")})
    np.testing.assert_array_equal(again["s"]["s"], dataset["mu"])


def test_a_statistic_without_coords_has_the_particles_in_their_order(dataset):
    found = evaluate(dataset, [], {"s": lambda ds: ds["mu"].drop_vars("particle")})
    np.testing.assert_array_equal(found["s"]["s"], dataset["mu"])


def test_a_statistic_with_particles_of_its_own_is_refused(dataset):
    for odd in (np.arange(N) + 1, np.zeros(N, int)):
        with pytest.raises(ArgumentError, match="'s' has the dim 'particle' with coords that are not theirs"):
            evaluate(dataset, [], {"s": lambda ds, odd=odd: ds.mu.assign_coords(particle=odd)})


def test_a_statistic_may_have_the_particles_anywhere_and_be_true_or_false(dataset):
    found = evaluate(dataset, [], {"s": lambda ds: (ds.y > 0).any("item").transpose("student", "particle")})
    np.testing.assert_array_equal(found["s"]["s[a]"], (dataset.y > 0).any("item")[:, 0])


def with_value(value):
    def broken(ds):
        return ds.mu.where(ds.particle != 3, value)

    return broken


@pytest.mark.parametrize(
    ("statistic", "message"),
    [
        (3, "the statistic 's' must be a function of the particle dataset, got 3"),
        (lambda ds: 7.0, "the statistic 's' must return a DataArray, got 7.0"),
        (lambda ds: ds, "the statistic 's' must return a DataArray, got <xarray.Dataset>"),
        (lambda ds: ds.y.mean(), "the statistic 's' has dims (), without 'particle'"),
        (
            lambda ds: ds.y.mean("particle"),
            "the statistic 's' has dims ('student', 'item'), without 'particle'",
        ),
        (lambda ds: ds.mu[:7], "the statistic 's' has 7 values along 'particle', but there are 50 particles"),
        (with_value(np.nan), "the statistic 's' is NaN or infinite for 1 of 50 particles"),
        (with_value(np.inf), "the statistic 's' is NaN or infinite for 1 of 50 particles"),
        (lambda ds: ds.y.where(ds.y < 9, np.nan) * np.nan, "'s' is NaN or infinite for 50 of 50 particles"),
        (lambda ds: ds.mu.astype(str), "'s' has dtype <U"),
        (lambda ds: ds.mu + 1j, "'s' has dtype complex"),
    ],
)
def test_statistics_that_cannot_be_used_are_refused(dataset, statistic, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        evaluate(dataset, [], {"s": statistic})


def test_an_error_in_a_statistic_says_which_one_it_was(dataset):
    with pytest.raises(AttributeError, match="scool") as caught:
        evaluate(dataset, [], {"s": lambda ds: ds.scool})
    assert caught.value.__notes__ == ["raised by the statistic 's', a function of the particle dataset"]


@pytest.mark.parametrize(
    ("var_names", "statistics", "message"),
    [
        (
            ["muu"],
            None,
            "var_names holds 'muu', which is no variable; there are 'mu', 'y'. Did you mean 'mu'?",
        ),
        (3, None, "var_names must be a name or several names, got 3"),
        ([3], None, "var_names must be a name or several names, got [3]"),
        ([], None, "there is nothing to compute: var_names and statistics are empty"),
        (None, {"mu": lambda ds: ds.mu}, "the statistic 'mu' has the name of a variable"),
        (None, {"particle": lambda ds: ds.mu}, "the statistic 'particle' has the name of a variable"),
        (None, len, "statistics must be a mapping from names to values, got <built-in function len>"),
    ],
)
def test_names_that_cannot_be_used_are_refused(dataset, var_names, statistics, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        evaluate(dataset, var_names, statistics)


def test_what_to_contrast_may_be_given_in_several_ways():
    def share(ds):
        return ds.mu > 0

    anonymous = lambda ds: ds.mu > 0  # noqa: E731
    assert split_statistic(None) == (None, {})
    assert split_statistic("mu") == ("mu", {})
    assert split_statistic(["mu", "y"]) == (["mu", "y"], {})
    assert split_statistic(share) == ([], {"share": share})
    assert split_statistic(anonymous) == ([], {"statistic": anonymous})
    assert split_statistic({"a": share}) == ([], {"a": share})


def test_what_a_statistic_assigns_is_its_own(dataset):
    def changed(ds):
        ds["mu"] = ds["mu"] * 0
        ds.coords["student"] = list("xyz")
        return ds["mu"]

    before = dataset.copy(deep=True)
    evaluate(dataset, [], {"zero": changed})
    xr.testing.assert_identical(dataset, before)


def test_variables_may_be_named_by_anything_that_lists_names(dataset):
    for names in (["mu"], ("mu", "mu"), {"mu"}, (name for name in ["mu"]), np.array(["mu"])):
        assert list(evaluate(dataset, names, None)) == ["mu"]


@pytest.fixture
def failed(dataset):
    """Ten particles have no y; one of its elements has none in any."""
    y = dataset["y"].copy()
    y[:10] = np.nan
    y[:, 2, 1] = np.nan
    return dataset.assign(y=y)


def test_an_event_is_open_where_what_it_is_computed_from_is_nan(failed):
    with pytest.warns(DrawWarning, match="10 of 50 particles leave the event 'p' open, as 'y' is NaN there"):
        found = evaluate(failed, [], {"p": lambda ds: ds.y.isel(student=0, item=0) > 0})["p"]["p"]
    assert np.isnan(found[:10]).all()
    np.testing.assert_array_equal(found[10:], failed["y"].values[10:, 0, 0] > 0)


def test_an_event_of_other_variables_is_known_for_all_particles(failed):
    found = evaluate(failed, [], {"p": lambda ds: ds.mu > 0})["p"]["p"]
    np.testing.assert_array_equal(found, failed["mu"].values > 0)


def test_an_element_that_is_nan_for_all_particles_leaves_no_event_open(dataset):
    y = dataset["y"].copy()
    y[:, 2, 1] = np.nan
    found = evaluate(dataset.assign(y=y), [], {"p": lambda ds: (ds.y > 0).any(["student", "item"])})["p"]["p"]
    assert np.isfinite(found).all()


def test_a_statistic_that_makes_numbers_of_nan_is_said_and_kept(failed):
    with pytest.warns(DrawWarning, match="'share' is computed from 'y', NaN for 10 of 50 particles"):
        found = evaluate(failed, [], {"share": lambda ds: (ds.y > 0).mean(["student", "item"])})["share"]
    assert (found["share"][:10] == 0).all()


def test_an_event_that_takes_variables_by_the_way_is_open_too(failed):
    with pytest.warns(DrawWarning, match="10 of 50 particles leave the event 'p' open"):
        found = evaluate(
            failed, [], {"p": lambda ds: ds.to_array().max(["variable", "student", "item"]) > 1.0}
        )
    assert np.isnan(found["p"]["p"][:10]).all()
