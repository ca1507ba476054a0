"""The plots of the widget's own, on both generations of ArviZ: which panel shows which variable."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from matplotlib import pyplot as plt

from arviz_resampler import ArgumentError, Resampler
from arviz_resampler.plots.figures import Easel
from arviz_resampler.plots.kept import KeptFigure
from arviz_resampler.plots.lines import Line
from arviz_resampler.plots.priors import curve_panels, predictive_panels, prior_panels
from arviz_resampler.plots.views import PLOTS, View, resolve

default_panels = View().panels


def guide():
    mu = pyro.sample("mu", dist.Normal(0.0, 2.0))
    return mu, pyro.sample("tau", dist.HalfNormal(1.0))


def draws(simulator, num_samples=100, program=guide, **options):
    resampler = Resampler(program, simulator, num_guide_samples=2000, random_seed=0, **options)
    return resampler.sample_prior_predictive(program, num_samples)


def line(size, **options):
    """Draws with one predictive site along a plate."""

    def simulator():
        mu, tau = guide()
        with pyro.plate("time", size):
            pyro.sample("y", dist.Normal(mu * torch.arange(float(size)), tau + 0.1))

    return draws(simulator, **options)


def layers(panel):
    return {layer.role: layer for layer in panel.layers}


def test_many_values_have_a_density_for_each_of_fifty_draws_and_for_the_data():
    prior = line(30, observed={"y": np.linspace(-40.0, 40.0, 30)})
    (panel,) = default_panels(prior)
    assert panel.labels == ("y", "")
    found = layers(panel)
    assert list(found) == ["draws", "mean", "observed"]
    assert len(found["draws"].xy) == 50
    assert found["draws"].label == "50 of 100 draws"
    assert np.array_equal(panel.shown, np.asarray(prior["prior_predictive"]["y"])[0, :50])
    (low, high), _ = panel.limits
    assert low <= -40 <= 40 <= high


@pytest.mark.parametrize("size", [2, 3, 12])
def test_few_values_have_a_row_each_with_draws_intervals_and_data(size):
    data = np.arange(float(size))
    prior = line(size, observed={"y": data}, coords={"time": [f"t{i}" for i in range(size)]})
    (panel,) = predictive_panels(prior)
    assert panel.rows[::-1] == tuple(f"t{i}" for i in range(size))  # from bottom to top
    found = layers(panel)
    assert list(found) == ["outer", "inner", "ticks", "dots"]
    y = np.asarray(prior["prior_predictive"]["y"])[0]
    assert found["inner"].xy[1, :, 0] == pytest.approx(np.quantile(y[:, 1], [0.25, 0.75]))
    assert found["inner"].xy[1, :, 1].tolist() == [size - 2, size - 2]
    assert np.array_equal(found["ticks"].xy[..., 0], y[:50])
    assert found["dots"].xy[0].tolist() == [[i, size - 1 - i] for i in range(size)]


def test_values_in_several_axes_are_labeled_by_all_of_them():
    def simulator():
        guide()
        with pyro.plate("a", 2, dim=-2), pyro.plate("b", 3, dim=-1):
            pyro.sample("y", dist.Normal(0.0, 1.0))

    (panel,) = default_panels(draws(simulator))
    assert panel.labels == ("y", "a, b")
    assert panel.rows[::-1] == ("0, 0", "0, 1", "0, 2", "1, 0", "1, 1", "1, 2")


@pytest.mark.parametrize("size", [6, 60])
def test_a_long_tail_does_not_squeeze_the_picture(size):
    def heavy():
        guide()
        with pyro.plate("time", size):
            pyro.sample("y", dist.Cauchy(0.0, 1.0))

    prior = draws(heavy, 1000)
    assert np.abs(np.asarray(prior["prior_predictive"]["y"])).max() > 500
    (low, high), _ = predictive_panels(prior)[0].limits
    # 0.5 % of a Cauchy lie beyond 64; of 3000 draws, the fewest that are looked at, that are 15 at either
    # end, with a spread of 26 %. The ends are then rounded by at most a fourth of the length.
    assert -64 * 2.5 < low < -10 < 10 < high < 64 * 2.5


def test_one_narrow_draw_does_not_flatten_the_others():
    def simulator():
        mu, _ = guide()
        with pyro.plate("time", 30):
            pyro.sample("y", dist.Normal(mu, torch.where(mu.abs() < 0.3, 1e-3, 3.0)))

    (panel,) = predictive_panels(draws(simulator))
    peaks = layers(panel)["draws"].xy[..., 1].max(axis=1)
    assert peaks.max() > 5 * np.median(peaks)
    assert np.median(peaks) > 0.4 * panel.limits[1][1]


def test_a_density_does_not_go_beyond_the_support():
    def program():
        pyro.sample("p", dist.Beta(1.0, 1.0))

    (panel,) = prior_panels(draws(None, program=program))
    x = layers(panel)["density"].xy[0, :, 0]
    assert panel.limits[0][1] > 1
    assert 0 < x.min() < 0.1
    assert 0.9 < x.max() < 1


def test_integers_have_bars():
    def simulator():
        _, tau = guide()
        with pyro.plate("time", 30):
            pyro.sample("y", dist.Poisson(tau + 1.0))

    (panel,) = predictive_panels(draws(simulator))
    corners = layers(panel)["draws"].xy[0, :, 0]
    assert set(corners % 1) == {0.5}
    assert panel.limits[0][0] <= -0.5


def test_a_plate_with_numbers_for_labels_is_an_x_axis():
    times = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]
    prior = line(6, coords={"time": times}, observed={"y": np.zeros(6)})
    (panel,) = default_panels(prior)
    assert panel.labels == ("time", "y")
    found = layers(panel)
    assert found["curves"].xy[0, :, 0].tolist() == times
    assert np.array_equal(found["curves"].xy[..., 1], np.asarray(prior["prior_predictive"]["y"])[0, :50])
    assert found["dots"].xy[0].tolist() == [[time, 0.0] for time in times]


def test_labels_that_only_count_are_no_x_axis_but_curves_can_be_asked_for():
    prior = line(6)
    assert default_panels(prior)[0].labels == ("y", "time")
    assert curve_panels(prior)[0].labels == ("time", "y")


def test_without_a_predictive_the_prior_is_plotted():
    prior = draws(None)
    assert [panel.labels[0] for panel in default_panels(prior)] == ["mu", "tau"]
    with pytest.raises(ArgumentError, match="no predictive to be plotted"):
        predictive_panels(prior)
    with pytest.raises(ArgumentError, match="no predictive site with one axis"):
        curve_panels(prior)


def test_numbers_that_are_predicted_one_by_one_have_the_density_of_all_draws():
    def simulator():
        mu, tau = guide()
        pyro.sample("total", dist.Normal(mu, tau + 0.1))
        pyro.sample("count", dist.Poisson(tau + 1.0))

    total, count = default_panels(draws(simulator))
    assert list(layers(total)) == ["density", "outer", "inner"]
    assert total.shown.shape == (100, 1)
    assert set(layers(count)["density"].xy[0, :, 0] % 1) == {0.5}


def test_one_number_of_data_is_a_point_below_its_density():
    def simulator():
        pyro.sample("total", dist.Normal(guide()[0], 1.0), obs=torch.tensor(3.0))

    (panel,) = default_panels(draws(simulator))
    assert layers(panel)["dots"].xy.tolist() == [[[3.0, 0.0]]]


def test_of_many_sites_as_many_are_plotted_as_there_is_room_for():
    def many():
        for i in range(9):
            pyro.sample(f"x{i}", dist.Normal(0.0, 1.0))

    assert len(prior_panels(draws(None, program=many))) == 6


def test_a_vector_of_the_prior_has_a_density_for_each_element_where_there_is_room():
    def vectors():
        pyro.sample("one", dist.Normal(0.0, 1.0))
        pyro.sample("few", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        pyro.sample("more", dist.Normal(torch.zeros(8), 1.0).to_event(1))

    prior = draws(None, program=vectors)
    panels = prior_panels(prior, [{"few": [Line(0.5, "reference")]}])
    assert [panel.labels[0] for panel in panels] == ["one", "few[0]", "few[1]", "few[2]", "more"]
    assert [len(panel.rows) for panel in panels] == [0, 0, 0, 0, 8]
    assert [len(panel.lines) for panel in panels] == [0, 1, 1, 1, 0]


def test_a_plate_named_with_one_letter_of_variable_is_plotted():
    def simulator():
        mu, _ = guide()
        with pyro.plate("a", 5):
            pyro.sample("y", dist.Normal(mu, 1.0))

    assert len(default_panels(draws(simulator))) == 1


@pytest.mark.parametrize("size", [1, 5, 40])
@pytest.mark.parametrize("kind", ["some", "all"])
def test_values_that_are_not_finite_are_left_out_and_counted(size, kind):
    prior = line(size)
    y = prior["prior_predictive"]["y"].values
    if kind == "all":
        y[:] = np.nan
    else:
        y[0, ::4] = np.nan
        y[0, 1] = np.inf
    for panels in (predictive_panels(prior), curve_panels(prior)):
        (panel,) = panels
        assert np.isfinite(panel.limits).all()
        share = "100.0%" if kind == "all" else "26.0%"
        assert layers(panel)["nothing"].label == f"{share} of the values not finite"
        for layer in panel.layers:
            assert not np.isinf(layer.xy).any() or layer.role == "ticks"


def test_plots_go_by_name_or_are_functions():
    for name in (None, *PLOTS):
        assert isinstance(resolve(name), KeptFigure)
    assert isinstance(resolve(plt.plot), Easel)
    for wrong in ("ppc", 3):
        with pytest.raises(ArgumentError, match="'curves', 'predictive', 'prior', got"):
            resolve(wrong)


@pytest.mark.parametrize("name", ["predictive", "curves", "prior"])
@pytest.mark.parametrize("size", [1, 5, 30])
def test_plots_by_name_have_lines_at_values_of_their_variables(name, size):
    def simulator():
        mu, _ = guide()
        with pyro.plate("a", size):
            pyro.sample("y", dist.Normal(mu, 1.0))

    prior = draws(simulator)
    variable = "mu" if name == "prior" else "y"
    panels = PLOTS[name].panels(prior, [{variable: [Line(50.5, "reference")]}])
    values = np.asarray(prior["prior" if name == "prior" else "prior_predictive"][variable])
    share = (values > 50.5).mean()
    assert panels[0].lines == ((Line(50.5, "reference"), f"reference 50.5: {share:.1%} above"),)
    low, high = panels[0].limits[panels[0].values_on == "y"]
    assert low < 50.5 < high
    assert not any(panel.lines for panel in panels[1:])


def test_latents_along_an_axis_can_be_shown_as_curves():
    def walk():
        pyro.sample("start", dist.Normal(0.0, 1.0))
        with pyro.plate("day", 4):
            pyro.sample("step", dist.Normal(0.0, 1.0))

    prior = draws(None, program=walk)
    assert View().options(prior)["kind"] == (("distribution", "curves"), "distribution")
    (panel,) = View(kind="curves").panels(prior)
    assert panel.labels == ("day", "step")
    assert View(variable="start", kind="curves").panels(prior)[0].labels == ("start", "")


def test_a_view_has_all_variables_where_a_prior_lacks_its_own():
    prior = draws(None)
    assert View("prior", "gone", "curves").settled(prior) == View("prior", "", "curves")
    assert View("prior", "gone").options(prior)["variable"] == (("", "mu", "tau"), "")
