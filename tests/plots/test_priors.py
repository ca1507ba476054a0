"""The plots of the widget's own, on both generations of ArviZ."""

import functools

import matplotlib
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from matplotlib import pyplot as plt

from arviz_resampler import ArgumentError, Resampler
from arviz_resampler.plots.figures import draw
from arviz_resampler.plots.lines import Line
from arviz_resampler.plots.priors import (
    PLOTS,
    plot_curves,
    plot_default,
    plot_predictive,
    plot_prior,
    resolve,
)

matplotlib.use("Agg")


def guide():
    mu = pyro.sample("mu", dist.Normal(0.0, 2.0))
    return mu, pyro.sample("tau", dist.HalfNormal(1.0))


def line(size, **options):
    """A simulator with one predictive site along a plate."""

    def simulator():
        mu, tau = guide()
        with pyro.plate("time", size):
            pyro.sample("y", dist.Normal(mu * torch.arange(float(size)), tau + 0.1))

    resampler = Resampler(guide, simulator, num_guide_samples=2000, random_seed=0, **options)
    return resampler.sample_prior_predictive(guide, 100)


def ends(ax):
    return min(ax.get_xlim()), max(ax.get_xlim())


def test_a_predictive_is_plotted_with_its_data():
    figure = draw(plot_default, line(6, observed={"y": np.linspace(-40.0, 40.0, 6)}))
    assert len(figure.axes) == 1
    assert len(figure.axes[0].lines) >= 50
    low, high = ends(figure.axes[0])
    assert low <= -40 <= 40 <= high


def test_a_long_tail_does_not_squeeze_the_picture():
    def heavy():
        guide()
        with pyro.plate("time", 6):
            pyro.sample("y", dist.Cauchy(0.0, 1.0))

    prior = Resampler(guide, heavy, num_guide_samples=2000, random_seed=0).sample_prior_predictive(
        guide, 1000
    )
    assert np.abs(np.asarray(prior["prior_predictive"]["y"])).max() > 500
    low, high = ends(draw(plot_predictive, prior).axes[0])
    # 0.5 % of a Cauchy lie beyond 64; of 6000 draws that are 30 at either end, with a spread of 18 %.
    assert -100 * 1.3 < low < high < 100 * 1.3


def test_a_plate_with_numbers_for_labels_is_an_x_axis():
    times = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]
    figure = draw(plot_default, line(6, coords={"time": times}, observed={"y": np.zeros(6)}))
    (ax,) = figure.axes
    assert ax.get_xlabel() == "time"
    assert ax.lines[0].get_xdata().tolist() == times
    assert ax.lines[-1].get_label() == "observed"


def test_labels_that_only_count_are_no_x_axis_but_curves_can_be_asked_for():
    prior = line(6)
    assert draw(plot_default, prior).axes[0].get_xlabel() != "time"
    assert draw(plot_curves, prior).axes[0].get_xlabel() == "time"


def test_a_draw_keeps_its_color_from_prior_to_prior():
    def simulator():
        mu, _ = guide()
        with pyro.plate("time", 4):
            pyro.sample("y", dist.Normal(mu, 1.0))

    resampler = Resampler(guide, simulator, num_guide_samples=20_000, random_seed=0)

    def narrower():
        pyro.sample("mu", dist.Normal(0.0, 1.9))
        pyro.sample("tau", dist.HalfNormal(1.0))

    pictures = []
    for model in (guide, narrower):
        lines = draw(plot_curves, resampler.sample_prior_predictive(model, 100)).axes[0].lines
        pictures.append({(*line.get_ydata(),): line.get_color() for line in lines})
    shared = pictures[0].keys() & pictures[1].keys()
    assert len(shared) > 25  # of 50: draws are stable
    assert all(pictures[0][curve] == pictures[1][curve] for curve in shared)
    assert len(set(pictures[0].values())) == 20


def test_without_a_predictive_the_prior_is_plotted():
    prior = Resampler(guide, num_guide_samples=2000, random_seed=0).sample_prior_predictive(guide, 100)
    assert len(draw(plot_default, prior).axes) == 2
    with pytest.raises(ArgumentError, match="no predictive to be plotted"):
        plot_predictive(prior)
    with pytest.raises(ArgumentError, match="no predictive site with one axis"):
        plot_curves(prior)


def test_numbers_that_are_predicted_one_by_one_are_plotted_too():
    def simulator():
        mu, tau = guide()
        pyro.sample("total", dist.Normal(mu, tau + 0.1))
        pyro.sample("count", dist.Poisson(tau + 1.0))

    prior = Resampler(guide, simulator, num_guide_samples=2000, random_seed=0).sample_prior_predictive(
        guide, 100
    )
    assert len(draw(plot_default, prior).axes) == 2


def test_of_many_sites_as_many_are_plotted_as_there_is_room_for():
    def many():
        for i in range(9):
            pyro.sample(f"x{i}", dist.Normal(0.0, 1.0))
        pyro.sample("vector", dist.Normal(torch.zeros(50), 1.0).to_event(1))

    prior = Resampler(many, num_guide_samples=2000, random_seed=0).sample_prior_predictive(many, 50)
    assert len([ax for ax in draw(plot_prior, prior).axes if ax.lines]) == 6


def test_a_plate_named_with_one_letter_of_variable_is_plotted():
    def simulator():
        mu, _ = guide()
        with pyro.plate("a", 5):
            pyro.sample("y", dist.Normal(mu, 1.0))

    prior = Resampler(guide, simulator, num_guide_samples=2000, random_seed=0).sample_prior_predictive(
        guide, 100
    )
    assert len(draw(plot_default, prior).axes) == 1


def test_plots_go_by_name_or_are_functions():
    for name, plot in ((None, plot_default), *PLOTS.items()):
        found = resolve(name)
        assert isinstance(found, functools.partial)
        assert found.func is plot
    assert resolve(plt.plot) is plt.plot
    for wrong in ("ppc", 3):
        with pytest.raises(ArgumentError, match="'curves', 'predictive', 'prior', got"):
            resolve(wrong)


@pytest.mark.parametrize("name", ["predictive", "curves", "prior"])
def test_plots_by_name_have_lines_at_values_of_their_variables(name):
    def simulator():
        mu, _ = guide()
        with pyro.plate("a", 5):
            pyro.sample("y", dist.Normal(mu, 1.0))

    prior = Resampler(guide, simulator, num_guide_samples=2000, random_seed=0).sample_prior_predictive(
        guide, 100
    )
    variable = "mu" if name == "prior" else "y"
    figure = draw(resolve(name, [{variable: [Line(0.5, "reference")]}]), prior)
    labels = [str(line.get_label()) for ax in figure.axes for line in ax.lines]
    assert len([label for label in labels if label.startswith("reference 0.5: ")]) == 1
    assert not [
        label for ax in draw(resolve(name), prior).axes for label in ax.lines if "reference" in str(label)
    ]
