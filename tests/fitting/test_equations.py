"""Targets on particles: left sides, influences, what is reached, what is out of reach."""

import math

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from arviz_resampler import (
    ArgumentError,
    DrawWarning,
    WeightError,
    between,
    mean,
    probability,
    quantile,
    quantiles,
    sd,
)
from arviz_resampler.fitting.equations import Equations
from arviz_resampler.fitting.targets import as_targets

RNG = np.random.default_rng(0)
N = 400
Y = RNG.normal(3.0, 2.0, (N, 5))
DATASET = xr.Dataset({"y": (("particle", "k"), Y), "n": ("particle", RNG.poisson(3.0, N))})
WEIGHTS = RNG.dirichlet(np.ones(N))
LOST = xr.Dataset({"y": (("particle", "k"), np.where(np.arange(N)[:, None] < 40, np.nan, Y))})
TARGETS = {
    "event": probability(lambda ds: ds.y > 4, 0.3),
    "median": quantile(lambda ds: ds.y, 0.5, 3.0),
    "mean": mean(lambda ds: ds.y, 3.0),
    "sd": sd(lambda ds: ds.y, 2.0),
    "interval": between(lambda ds: ds.y, 0.6, 1.0, 5.0),
    "count": quantile(lambda ds: ds.n, 0.5, 3.0),
}


def equations(targets=TARGETS, dataset=DATASET, **options):
    return Equations(dataset, as_targets(targets), **options)


def test_left_sides_are_weighted_numbers_of_all_scalars():
    w = WEIGHTS[:, None] / 5
    m = (w * Y).sum()
    expected = {
        "event": (w * (Y > 4)).sum(),
        "median": (w * (Y <= 3)).sum(),
        "mean": m,
        "sd": math.sqrt((w * (Y - m) ** 2).sum()),
        "interval": (w * ((Y >= 1) & (Y <= 5))).sum(),
        # Counts that equal the value are half below it.
        "count": WEIGHTS @ ((DATASET.n.values < 3) * 0.5 + (DATASET.n.values <= 3) * 0.5),
    }
    value = equations().sides(WEIGHTS).value
    assert value == pytest.approx(list(expected.values()), rel=1e-12)


def test_influences_are_derivatives_by_weights():
    # With weights W (1 + e h), normalized, a left side grows by e sum(W i h) to first order.
    direction, step = RNG.normal(size=N), 1e-6
    made = equations()
    moved = [WEIGHTS * (1 + sign * step * direction) for sign in (1, -1)]
    ends = [made.sides(w / w.sum()).value for w in moved]
    found = (WEIGHTS * direction) @ made.sides(WEIGHTS).influence
    assert found == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-9)
    assert WEIGHTS @ made.sides(WEIGHTS).influence == pytest.approx(0.0, abs=1e-12)


def test_what_is_reached_is_in_the_unit_of_the_target():
    found = dict(zip(TARGETS, equations().reached(WEIGHTS), strict=True))
    order = np.argsort(Y, axis=None)
    cumulative = np.cumsum(np.repeat(WEIGHTS / 5, 5)[order])
    assert found["median"].value == Y.ravel()[order][np.searchsorted(cumulative, 0.5)]
    assert found["count"].value in DATASET.n.values
    assert found["mean"].value == pytest.approx((WEIGHTS[:, None] * Y / 5).sum())
    assert all(each.mcse > 0 for each in found.values())


def test_the_error_of_a_quantile_of_several_scalars_is_that_of_particles():
    # That of the median of n normal values is sqrt(pi / 2 / n); five copies of each tell no more. The values
    # are normal quantiles, evenly spaced in probability, so there is no noise, but steps of 3 % of the error.
    n = 4000
    values = norm.ppf((np.arange(n) + 0.5) / n)
    target = {"median": quantile(lambda ds: ds.y, 0.5, 0.1)}
    for copies in (1, 5):
        dataset = xr.Dataset({"y": (("particle", "k"), np.repeat(values[:, None], copies, axis=1))})
        found = equations(target, dataset).reached(np.full(n, 1 / n))[0]
        assert found.mcse == pytest.approx(math.sqrt(math.pi / 2 / n), rel=0.05)


def test_fractions_are_off_on_the_scale_of_normal_quantiles():
    made = equations({"event": TARGETS["event"], "mean": TARGETS["mean"]})
    off, slope = made.off(np.array([0.3, 3.5]))
    assert off == pytest.approx([0.0, 0.5])
    assert slope == pytest.approx([1.0, 1.0])
    near, _ = made.off(np.array([0.3 + 1e-6, 3.0]))
    assert near[0] == pytest.approx(1e-6, rel=1e-4)
    far = [made.off(np.array([value, 3.0]))[0][0] for value in (1e-4, 1e-8)]
    assert far[1] < far[0] - 0.1  # fractions themselves would differ by 1e-4
    assert math.isfinite(made.off(np.array([0.0, 3.0]))[0][0])


def test_fractions_of_none_or_all_particles_are_silent():
    made = equations({"event": TARGETS["event"], "mean": TARGETS["mean"]})
    for value, silent in ((0.0, True), (1e-14, False), (1 - 1e-14, False), (1.0, True)):
        assert made.silent(np.array([value, 0.0])).tolist() == [silent, False]


def test_units_are_standard_deviations_or_tolerances():
    targets = {
        "event": probability(lambda ds: ds.y > 4, 0.2),
        "mean": mean(lambda ds: ds.y, 3.0),
        "sd": sd(lambda ds: ds.y, 2.0),
        "told": mean(lambda ds: ds.y, 3.0, tolerance=0.25),
        "near": quantile(lambda ds: ds.y, 0.5, 3.0, tolerance=0.5),
    }
    w = WEIGHTS[:, None] / 5
    m = (w * Y).sum()
    expected = [
        0.4,
        math.sqrt((w * (Y - m) ** 2).sum()),
        math.sqrt(2.0),
        0.25,
        (w * (np.abs(Y - 3.0) < 0.5)).sum() / 2,
    ]
    assert equations(targets).scales(WEIGHTS) == pytest.approx(expected)


def test_tuples_are_probabilities_of_events_and_means_of_others():
    made = equations({"p": (lambda ds: ds.y > 4, 0.3), "m": (lambda ds: ds.y, 3.0)})
    assert [each.target.kind for each in made.all] == ["probability", "mean"]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (
            {"e": (lambda ds: ds.y > 100, 0.05)},
            "no particle shows the event, and the probability is to be 0.05",
        ),
        ({"e": (lambda ds: ds.y > -100, 0.05)}, "every particle shows the event"),
        (
            {"q": quantile(lambda ds: ds.y, 0.5, 90.0)},
            "the statistic goes from .* the quantile 0.5 is to be 90",
        ),
        ({"m": mean(lambda ds: ds.y, 90.0)}, "by particle the statistic goes from .* mean is to be 90"),
        ({"e": probability(lambda ds: ds.y, 0.5)}, "its statistic is no event: it has dtype float64"),
        ({"e": (lambda ds: ds.y > 4, 1.5)}, "between 0 and 1, got 1.5"),
        ({"e": quantile(lambda ds: ds.y > 4, 0.5, 1.0)}, "a quantile 0.5, but its statistic is an event"),
    ],
)
def test_targets_that_no_particle_reaches_are_refused(targets, message):
    with pytest.raises(ArgumentError, match=message):
        equations(targets)


def test_a_target_just_within_reach_is_taken():
    top = float(Y[:, 0].max())

    def target(value):
        return {"q": quantile(lambda ds: ds.y.isel(k=0), 0.5, value)}

    assert len(equations(target(top - 1e-9)).all) == 1
    with pytest.raises(ArgumentError, match="out of reach"):
        equations(target(top + 1e-9))


def test_particles_whose_runs_failed_are_left_out_and_counted():
    with pytest.warns(DrawWarning, match="40 of 400 particles have no value of target 'e'"):
        made = equations({"e": (lambda ds: ds.y > 4, 0.3)}, LOST)
    value, influence = made.sides(WEIGHTS)
    left = WEIGHTS[40:] / WEIGHTS[40:].sum()
    assert value[0] == pytest.approx((left[:, None] * (Y[40:] > 4) / 5).sum())
    assert not influence[:40].any()
    assert WEIGHTS @ influence == pytest.approx(0.0, abs=1e-12)


def test_added_particles_are_asked_for_alone_where_each_has_its_own_value():
    asked = []

    def statistic(ds):
        asked.append(ds.sizes["particle"])
        return ds.y.max("k")

    first = DATASET.isel(particle=slice(300))
    targets = {"top": quantiles(statistic, {0.5: 5.0, 0.9: 6.5})}
    before = equations(targets, first)
    more = equations(targets, DATASET, before=before)
    assert asked == [300, 116]
    assert np.array_equal(more.sides(WEIGHTS).value, equations(targets).sides(WEIGHTS).value)


def test_a_statistic_that_takes_particles_together_is_asked_for_all():
    targets = {"over": mean(lambda ds: ds.y.isel(k=0) - ds.y.isel(k=0).mean("particle"), 0.1)}
    before = equations(targets, DATASET.isel(particle=slice(350)))
    more = equations(targets, DATASET, before=before)
    assert np.array_equal(more.all[0].values, equations(targets).all[0].values)


def test_targets_without_a_value_where_there_is_weight_are_refused_by_name():
    made = equations({"e": (lambda ds: ds.y > 4, 0.3)}, LOST, quiet=True)
    weights = np.where(np.arange(N) < 40, 1 / 40, 0.0)
    with pytest.raises(WeightError, match="no particle with weight has a value of target 'e'"):
        made.sides(weights)


def test_effective_particles_are_counted_among_those_with_a_value():
    made = equations({"e": (lambda ds: ds.y > 4, 0.3)}, LOST, quiet=True)
    assert made.effective(np.full(400, 1 / 400)) == pytest.approx([360.0])
    assert equations({"e": (lambda ds: ds.y > 4, 0.3)}).effective(WEIGHTS) == []
