"""Plots of fits, and lines in plots."""

import numpy as np
import pytest
from fit_cases import MEDIAN, RANGES, exact, normal, shared
from matplotlib import pyplot as plt

from arviz_resampler import ArgumentError, quantiles
from arviz_resampler.plots.lines import Line, as_references, labeled_lines


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_two_hyper_parameters_have_a_plane_with_the_fit_in_its_region():
    fit = shared().fit(normal, exact(2.0, 1.5), **RANGES)
    figure = fit.plot()
    misses, plane = figure.axes
    assert [label.get_text() for label in misses.get_yticklabels()] == ["x[0.1]", "x[0.5]", "x[0.9]"]
    assert (plane.get_xlabel(), plane.get_ylabel()) == ("mean", "sd")
    (marker,) = [line for line in plane.lines if line.get_label() == "fit"]
    assert (marker.get_xdata()[0], marker.get_ydata()[0]) == (fit.hyper["mean"], fit.hyper["sd"])
    low, high = fit.region.table.loc["mean", ["low", "high"]]
    assert plane.get_xlim()[0] <= low < high <= plane.get_xlim()[1] + 1e-9


def test_misses_are_in_standard_errors():
    fit = shared().fit(normal, exact(2.0, 1.5), **RANGES)
    reached = fit.plot().axes[0].lines[0]
    expected = (fit.table["reached"] - fit.table["wished"]) / fit.table["mcse"]
    assert np.asarray(reached.get_xdata(), float) == pytest.approx(expected.to_numpy())


def test_misses_within_a_tolerance_are_small():
    told = {"x": quantiles(lambda ds: ds.x, {0.1: 0.0, 0.5: 2.0, 0.9: 5.0}, tolerance=1.0)}
    fit = shared().fit(normal, told, **RANGES)
    reached = fit.plot().axes[0].lines[0]
    unit = np.hypot(fit.table["mcse"], 1.0)
    assert reached.get_xdata() == pytest.approx(
        ((fit.table["reached"] - fit.table["wished"]) / unit).to_numpy()
    )
    assert np.abs(np.asarray(reached.get_xdata(), float)).max() < 1


def test_one_hyper_parameter_has_an_interval():
    fit = shared().fit(lambda mean=0.0: normal(mean, 2.0), MEDIAN, mean=RANGES["mean"])
    axes = fit.plot().axes[1]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mean"]
    texts = [text.get_text().strip() for text in axes.texts]
    assert texts == [f"{fit.region.table.loc['mean', end]:.3g}" for end in ("low", "high")]


def test_references_are_numbers_by_variable():
    found = as_references({"y": 50, "z": [1.0, 2.0]}, ["y", "z"])
    assert {name: [line.value for line in lines] for name, lines in found.items()} == {
        "y": [50.0],
        "z": [1.0, 2.0],
    }
    assert as_references(None, []) == {}


@pytest.mark.parametrize("wrong", [{"y": "high"}, {"y": np.inf}, [50], {"x": 50}])
def test_other_references_are_refused(wrong):
    with pytest.raises(ArgumentError, match="references"):
        as_references(wrong, ["y", "z"])


def test_a_line_says_what_is_above_it():
    lines = [{"y": [Line(1.5, "reference")]}, {"y": [Line(3.0, "target")], "z": [Line(0.0, "target")]}]
    assert labeled_lines(lines, "y", np.array([[1.0, 2.0], [3.0, 4.0]])) == (
        (Line(1.5, "reference"), "reference 1.5: 75.0% above"),
        (Line(3.0, "target"), "target 3: 25.0% above"),
    )


def test_a_variable_without_lines_has_none():
    assert labeled_lines([{"y": [Line(1.5, "reference")]}], "z", np.zeros(3)) == ()
