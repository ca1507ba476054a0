"""Where the particles can be believed, on verdicts that are known."""

import contextlib
import warnings

import matplotlib
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import Resampler
from arviz_resampler.tuning.coverage import cover, covered_range
from arviz_resampler.tuning.ranges import Range
from arviz_resampler.tuning.step import Step
from arviz_resampler.weights.weights import Weights

matplotlib.use("Agg")


EQUAL = Weights({"x": [0.0] * 500}).diagnostics(100)


def looker(good, seen=None):
    """Verdicts by a rule; notes what was looked at."""

    def look(**hyper):
        if seen is not None:
            seen.append(hyper)
        verdict = "good" if good(**hyper) else "low"
        return Step(hyper, EQUAL._replace(verdict=verdict))

    return look


def search(look, at, own):
    steps = covered_range(look, at, own)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_the_edges_of_what_is_safe_are_found_to_a_128th_of_the_range():
    own = Range("x", 0.0, 128.0)
    low, high = search(looker(lambda x: 19.3 <= x <= 90.2), {"x": 50.0}, own)
    # A grid of 9 and four halvings: 128 / 8 / 16 = 1.
    assert 19.3 <= low <= 20.3
    assert 89.2 <= high <= 90.2


def test_edges_are_found_by_ratios_where_the_range_spans_decades():
    own = Range("x", 0.001, 1000.0)
    low, high = search(looker(lambda x: 0.02 <= x <= 5.0), {"x": 1.0}, own)
    step = 1e6 ** (1 / 128)
    assert 0.02 <= low <= 0.02 * step * 1.001
    assert 5.0 / step / 1.001 <= high <= 5.0


def test_the_longest_of_several_parts_is_taken_and_whole_ends_are_kept():
    own = Range("x", 0.0, 80.0)
    assert search(looker(lambda x: x <= 10 or x >= 40), {"x": 5.0}, own)[1] == 80.0
    assert search(looker(lambda x: True), {"x": 5.0}, own) == (0.0, 80.0)
    assert search(looker(lambda x: False), {"x": 5.0}, own) is None


def test_a_narrow_part_is_found_where_the_slider_is():
    low, high = search(looker(lambda x: 30.5 < x < 31.5), {"x": 31.0}, Range("x", 0.0, 80.0))
    assert 30.5 < low <= 31.0 <= high < 31.5


def test_whole_numbers_stay_whole():
    assert search(looker(lambda n: 7 <= n <= 23), {"n": 10}, Range("n", 1, 40)) == (7, 23)


def test_a_search_takes_few_looks_and_stops_between_them():
    seen = []
    steps = covered_range(looker(lambda x: 20 <= x <= 90, seen), {"x": 50.0}, Range("x", 0.0, 128.0))
    next(steps)
    assert len(seen) == 1
    list(steps)
    assert len(seen) <= 10 + 2 * 4


def test_the_box_is_filled_evenly_and_the_same_each_time():
    ranges = {"x": Range("x", 0.0, 1.0), "y": Range("y", 0.01, 100.0)}
    at = {"x": 0.5, "y": 1.0}
    coverage = cover(looker(lambda x, y: x <= 0.5 and y <= 1.0), ranges, at, 64)
    again = cover(looker(lambda x, y: True), ranges, at, 64)
    assert [dict(step.hyper) for step in coverage.design] == [dict(step.hyper) for step in again.design]
    # A quarter of the box, by ratios of y; 64 points of a Sobol sequence have 16 in each quarter.
    assert coverage.covered_fraction == pytest.approx(0.25, abs=1 / 64)
    assert again.covered_fraction == 1.0


def test_safe_parts_are_along_each_slider_with_the_others_where_they_are():
    ranges = {"x": Range("x", 0.0, 128.0), "y": Range("y", 0.0, 128.0)}
    coverage = cover(looker(lambda x, y: x + y <= 100), ranges, {"x": 10.0, "y": 60.0}, 8)
    assert coverage.covered["x"][0] == 0.0
    assert 39 <= coverage.covered["x"][1] <= 40
    assert 89 <= coverage.covered["y"][1] <= 90


@pytest.fixture(scope="module")
def tuner():
    def make(scale, shift=0.0):
        if shift > 19:
            raise ValueError("too far")
        return lambda: pyro.sample("mu", dist.Normal(shift, scale))

    resampler = Resampler(make(5.0), num_guide_samples=20_000, random_seed=0)
    return resampler.tune(make, 400, scale=(0.01, 20.0), shift=(-20.0, 20.0))


def test_coverage_agrees_with_what_theory_says_of_two_normals(tuner):
    low, high = tuner.coverage(8).covered["scale"]
    # ESS / N of Normal(0, s) on Normal(0, g) is s sqrt(2 g**2 - s**2) / g**2; it is 400 / 20000 at
    # s = 0.0707 = g 0.01414. The ESS itself has a relative error of a few percent.
    assert low == pytest.approx(0.0707, rel=0.15)
    # The shape k is 1 - (g / s)**2, below 0.7 up to s = 9.13. The fit to 424 weights has a standard error
    # of (1 + k) / sqrt(424), 0.083; k is within two of them from s = 7.3 to s = 13.7.
    assert 7.3 < high < 13.7


def test_the_table_has_all_that_was_looked_at_also_what_failed(tuner):
    coverage = tuner.coverage(16)
    table = coverage.table
    assert len(table) == 16 + sum(map(len, coverage.along.values()))
    assert set(table["along"]) == {"design", "scale", "shift"}
    assert {"scale", "shift", "verdict", "ess", "pareto_k", "site", "advice"} <= set(table.columns)
    failed = table[table["verdict"] == "failed"]
    assert (failed["shift"] > 19).all()
    assert failed["advice"].str.contains("ValueError: too far").all()
    assert (table[table["along"] == "shift"]["scale"] == tuner.current["scale"]).all()
    assert "of the box is good" in repr(coverage)
    assert tuner.history == ()


def test_coverage_counts_what_it_looks_at_where_progress_is_shown(monkeypatch):
    counted, asked = [], []

    @contextlib.contextmanager
    def count(what, unit, *, total, quiet):
        asked.append((total, quiet))
        yield lambda: counted.append(1)

    monkeypatch.setattr("arviz_resampler.tuning.coverage.counted", count)
    seen = []
    ranges = {"x": Range("x", 0.0, 1.0)}
    for progressbar in (True, False):
        cover(looker(lambda x: 0.2 < x < 0.7, seen), ranges, {"x": 0.5}, 8, progressbar=progressbar)
    assert len(counted) == len(seen)
    assert [quiet for _, quiet in asked] == [False, True]
    assert all(len(seen) / 2 <= total for total, _ in asked)


def test_looking_around_issues_no_warnings(tuner):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tuner.coverage(4)


def test_the_plot_shows_each_range_and_each_pair(tuner):
    axes = tuner.coverage(16).plot()
    assert [ax.get_xlabel() for ax in axes] == ["scale", "shift", "scale"]
    assert [ax.get_xscale() for ax in axes] == ["log", "linear", "log"]
    assert axes[2].get_ylabel() == "shift"
    labels = {text.get_text() for text in axes[0].figure.legends[0].get_texts()}
    assert {"good", "unreliable"} <= labels <= {"good", "low", "unreliable", "failed"}
    points = sum(len(np.atleast_2d(c.get_offsets())) for c in axes[2].collections)
    assert points == 16
    matplotlib.pyplot.close("all")


def test_hyper_parameters_named_as_columns_are_kept_in_the_table():
    names = ["along", "ess", "site", "verdict", "pareto_k", "scale"]
    ranges = {name: Range(name, 1.0, 2.0) for name in names}
    table = cover(looker(lambda **hyper: True), ranges, dict.fromkeys(names, 1.5), 4).table
    for name in names[:-1]:
        assert table[f"{name}_"].between(1.0, 2.0).all()
    assert table["scale"].between(1.0, 2.0).all()
    assert set(table["along"]) == {"design", *names}
    assert set(table["verdict"]) == {"good"}


def far_part(share):
    """Priors with a part where no particle is, too small for the mean raw weight to show."""

    def program():
        parts = dist.Normal(torch.tensor([0.0, 12.0]), 0.5)
        pyro.sample("mu", dist.MixtureSameFamily(dist.Categorical(torch.tensor([1 - share, share])), parts))

    return program


def test_coverage_sees_a_part_of_a_prior_that_no_particle_has_met():
    def guide():
        pyro.sample("mu", dist.Normal(0.0, 1.0))

    resampler = Resampler(guide, num_guide_samples=2000, random_seed=0)
    tuner = resampler.tune(far_part, 300, share=(0.0, 0.02))
    assert resampler.weigh(far_part(0.01)).judge(300).verdict == "good"
    assert tuner.look(share=0.0).good
    step = tuner.look(share=0.01)
    assert step.verdict == "unreliable"
    assert step.expected_ess < 1
    assert 0 < step.top_up == tuner.needed(share=0.01) < 300
    tuner.top_up(share=0.01)
    assert tuner.look(share=0.01).good


def test_a_prior_that_cannot_be_drawn_from_is_judged_by_its_weights():
    def soft(scale):
        def program():
            mu = pyro.sample("mu", dist.Normal(0.0, scale))
            pyro.factor("soft", -((mu / 5.0) ** 2))

        return program

    resampler = Resampler(
        lambda: pyro.sample("mu", dist.Normal(0.0, 5.0)), num_guide_samples=3000, random_seed=0
    )
    tuner = resampler.tune(soft, 500, scale=(0.01, 4.0))
    coverage = tuner.coverage(8)
    assert coverage.table["expected_ess"].isna().all()
    assert 0 < coverage.covered_fraction < 1
    low = coverage.table[coverage.table["verdict"] != "good"]
    assert (low["top_up"] >= 500 - low["ess"]).all()  # a bound, as none was drawn
