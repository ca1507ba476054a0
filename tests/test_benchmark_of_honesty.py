"""The benchmark of how far numbers can be trusted: its truths, its measures, and a short run of it."""

import math
import sys

import numpy as np
import pandas as pd
import pyro
import pytest
import xarray as xr
from honesty import __main__ as honesty
from honesty import measures, page
from honesty.kinds import BOUNDED, MISSED, PAIRS
from honesty.pairs import QUANTILES
from honesty.runs import all_plans, distance, numbers_of
from scipy import stats

DRAWS = 20_000
# Two-sided chances of five standard errors: about 3,000 are looked at, so one in 600 seeds has a miss.
SURE = 2 * stats.norm.sf(5)


def first(kind):
    return next(pair for pair in PAIRS if pair.kind == kind)


def drawn(pair, model):
    """The quantity, from draws that Pyro makes of the model."""
    program = pair.whole(model) or model
    sites = pyro.infer.Predictive(program, num_samples=DRAWS, parallel=True)()
    arrays = {
        name: (
            ["particle", *(f"{name}_{i}" for i in range(value.squeeze().dim() - 1))],
            value.squeeze().numpy(),
        )
        for name, value in sites.items()
    }
    return pair.quantity(xr.Dataset(arrays)).values.astype(float)


SIMULATED = [
    pytest.param(pair, model, id=f"{pair.kind}: {pair} {'' if model is pair.model else 'other'}")
    for pair in PAIRS
    for model in (pair.model, pair.other)
    if model.simulated
]


@pytest.mark.parametrize(("pair", "model"), SIMULATED)
def test_a_law_is_that_of_draws_by_pyro(pair, model):
    pyro.set_rng_seed(0)
    values, law = drawn(pair, model), model.law
    bounds = [*(law.ppf(q) for q in QUANTILES.values()), *pair.events.values()]
    for bound in bounds:
        count, p = int((values > bound).sum()), float(law.sf(bound))
        assert stats.binom.cdf(count, DRAWS, p) > SURE / 2
        assert stats.binom.sf(count - 1, DRAWS, p) > SURE / 2
    if not math.isfinite(law.std()):
        return
    # By the central limit theorem, whose error of a skewed mean is within half a standard error here.
    assert abs(values.mean() - law.mean()) < 5.5 * law.std() / math.sqrt(DRAWS)
    kurtosis = stats.kurtosis(values)
    if kurtosis < 20:  # above, few draws tell of the spread
        error = law.std() * math.sqrt((kurtosis + 2) / DRAWS) / 2
        assert abs(values.std() - law.std()) < 5.5 * error


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.kind}: {pair}")
def test_a_quantile_is_the_first_number_that_reaches_its_probability(pair):
    law = pair.model.law
    for name, q in QUANTILES.items():
        value = pair.truths["h", name]
        reached, before = (
            1 - law.sf(value),
            1 - law.sf(value - 1e-6 * max(law.ppf(0.75) - law.ppf(0.25), 0.1)),
        )
        assert reached > q - 1e-9
        assert before < q
        # A probability that is reached exactly has two quantiles, and rounding would choose.
        assert abs(reached - q) > 1e-6 or before < q - 1e-9


def test_every_number_has_one_name_and_every_kind_a_pair():
    names = [f"{pair.kind}: {pair}" for pair in PAIRS]
    assert len(names) == len(set(names)) >= 60
    assert {*BOUNDED, *MISSED} <= {pair.kind for pair in PAIRS}


POWERED = [pair for pair in PAIRS if pair.model.powered]


@pytest.mark.parametrize("pair", POWERED, ids=lambda pair: f"{pair.kind}: {pair}")
def test_a_density_raised_to_a_power_is_that_of_the_powered_model(pair):
    """Up to a constant: the difference of the logs is the same everywhere."""
    pyro.set_rng_seed(1)
    power, differences = 1.1, []
    for _ in range(4):
        values = pyro.poutine.trace(pair.model).get_trace()
        logs = []
        for model in (pair.model, pair.model.powered(power)):
            trace = pyro.poutine.trace(pyro.poutine.replay(model, values)).get_trace()
            logs.append(float(trace.log_prob_sum()))
        differences.append(logs[1] - power * logs[0])
    assert np.ptp(differences) < 1e-3


def test_derivatives_are_those_in_closed_form():
    # The standard deviation of a normal is s / sqrt(alpha), of an exponential 1 / (alpha * rate).
    assert first("narrower").truths["h", "derivative_sd"] == pytest.approx(-math.log(2) / 2, rel=1e-8)
    pair = next(pair for pair in PAIRS if str(pair) == "Exponential(0.5) → Exponential(2)")
    assert pair.truths["h", "derivative_mean"] == pytest.approx(-math.log(2) / 2, rel=1e-8)


# ---------------------------------------------------------------- short runs


def measured(kind, number, seeds=6, n=1000):
    rows = [row for seed in range(seeds) for row in numbers_of(first(kind), n, seed)]
    table = measures.judged(pd.DataFrame(rows))
    return measures.measure(table[table["sort"] == number])


@pytest.mark.parametrize("number", ["mean", "sd", "q50", "derivative of an sd"])
def test_numbers_of_a_narrower_model_are_reliable_and_right(number):
    found = measured("narrower", number)
    assert found.reliable == (6, 6)
    assert found.covered.true >= 4  # less are covered by chance once in 500
    assert found.far.true == 0


def test_the_spread_of_a_wider_model_is_not_reliable():
    pair = next(pair for pair in PAIRS if str(pair) == "Normal(0, 1) → Normal(0, 1.8)")
    rows = [row for row in numbers_of(pair, 1000, 0) if row["number"] == "sd"]
    assert [row["reliable"] for row in rows] == [False]


def test_mass_that_is_missed_without_a_constant_is_false_trust():
    rows = [row for seed in range(15) for row in numbers_of(first(MISSED[-1]), 1000, seed)]
    cells = measures.cells(measures.judged(pd.DataFrame(rows))).xs("mean", level="number")
    assert cells.loc[cells.index.get_level_values("statistic") == "h", "false"].tolist() == [True]


def test_an_event_that_no_particle_hits_has_a_bound():
    rows = [row for seed in range(3) for row in numbers_of(first("wider"), 1000, seed)]
    found = measures.bounds(measures.judged(pd.DataFrame(rows)), hit=False)
    assert found.held.true == found.held.total > 0
    assert found.median > 1


def test_plans_of_bounded_weights_are_good_and_reach_the_ess():
    plans = all_plans([first("narrower")], [1000], range(3))
    assert plans["good"].all()
    assert plans["reached"].all()


def test_weights_with_a_tail_are_smoothed():
    pair = next(pair for pair in PAIRS if str(pair) == "Normal(0, 1) → StudentT(3, 0, 1)")
    rows = pd.DataFrame(numbers_of(pair, 1000, 0))
    assert rows["k"].between(0.5, 1).all()
    assert rows.set_index("number").loc[["mean", "sd", "q5"], "smoothed"].notna().all()
    assert rows.set_index("number").loc["difference", "smoothed"].isna().all()


def test_the_main_program_writes_tables_of_what_it_measured(monkeypatch, tmp_path):
    written = tmp_path / "honesty.md"
    options = ["--runs", "2", "--every", "40", "--seed", "5", "--page", str(written)]
    monkeypatch.setattr(sys, "argv", ["honesty", *options])
    assert honesty.main() == 0
    text = written.read_text()
    assert text.startswith(f"{len(PAIRS[::40])} pairs of guide and model")
    assert "2 seeds of its own, those of the first pair from 5 on" in text
    assert all(f"| {name} |" in text for name in ("all", "without missed mass", "q95", "narrower"))


# ---------------------------------------------------------------- measures


def numbers(covered, runs, *, far=0.0, **columns):
    """A cell of reliable numbers, of which so many are covered and one has an error of so many MCSE."""
    names = {"kind": "wider", "pair": "a", "n": 1000, "statistic": "h", "number": "mean", "sort": "mean"}
    row = {"truth": 0.0, "value": 0.0, "upper": 1.0, "n_effective": 100.0, "reliable": True, "good": True}
    table = pd.DataFrame([names | row] * runs).assign(
        lower=np.where(np.arange(runs) < covered, -1.0, 0.5), distance=[far, *[0.0] * (runs - 1)]
    )
    return measures.judged(table.assign(**columns))


def false_cells(*args, **kwargs):
    return measures.measure(numbers(*args, **kwargs)).false_cells


def test_a_cell_needs_fifteen_reliable_runs():
    assert false_cells(0, 14) == (0, 0)
    assert false_cells(0, 15) == (1, 1)
    assert false_cells(0, 20, reliable=[True] * 14 + [False] * 6) == (0, 0)


def test_a_cell_is_false_where_less_are_covered_than_chance_allows():
    # Of 40 runs that cover 93 %, 30 or less have a chance of 0.0003, 31 one of 0.0015.
    assert stats.binom.cdf([30, 31], 40, 0.93) == pytest.approx([0.00034, 0.0015], rel=0.02)
    assert false_cells(30, 40) == (1, 1)
    assert false_cells(31, 40) == (0, 1)


def test_a_cell_of_many_runs_is_false_below_ninety_percent_only():
    assert false_cells(9000, 10_000) == (0, 1)
    assert false_cells(8999, 10_000) == (1, 1)


def test_one_error_above_five_is_false_trust():
    assert false_cells(40, 40, far=5.0) == (0, 1)
    assert false_cells(40, 40, far=5.001) == (1, 1)
    assert false_cells(40, 40, far=math.inf) == (1, 1)


def test_shares_are_those_of_the_numbers_whose_weights_are_not_unreliable():
    table = numbers(3, 8, reliable=[True] * 4 + [False] * 4, good=[True] * 6 + [False] * 2)
    table.loc[5, "bounded"] = False  # one that has no interval
    found = measures.measure(table)
    assert found.numbers == 6
    assert found.reliable == (4, 6)
    assert found.covered == (3, 4)
    assert found.covered_else == (0, 1)
    assert math.isnan(measures.Count(0, 0).share)


def test_the_distance_of_a_ratio_is_on_the_log_scale():
    assert distance("ratio", 2.0, 0.2, 1.0) == pytest.approx(math.log(2) / 0.1)
    assert distance("mean", 2.0, 0.2, 1.0) == pytest.approx(5.0)
    assert distance("q5", 2.0, 0.0, 2.0) == 0.0
    assert distance("q5", 2.0, 0.0, 1.0) == math.inf
    assert math.isnan(distance("mean", 0.0, math.nan, 1.0))


def test_bounds_are_counted_below_ten_particles_and_without_any():
    of = {"sort": "probability < 0.002", "truth": 0.001}
    table = numbers(4, 4, **of, n_effective=[0.0, 9.9, 10.0, 1.0], upper=[0.002, 0.0009, 0.0, 0.003])
    assert measures.bounds(table, hit=False) == ((1, 1), pytest.approx(2.0))
    assert measures.bounds(table, hit=True) == ((1, 2), pytest.approx(1.95))


@pytest.mark.parametrize(("by", "better", "worse"), [(0.97, 1, 0), (0.99, 0, 0), (1.01, 0, 0), (1.03, 0, 1)])
def test_smoothing_is_better_or_worse_by_two_percent(by, better, worse):
    table = numbers(
        10,
        10,
        value=1.0,
        smoothed=by,
        k=0.6,
        smoothed_covered=True,
        smoothed_reliable=[True] * 4 + [False] * 6,
    )
    found = measures.smoothing(table, 0.5, 0.7)
    assert (found.cells, found.better.true, found.worse.true) == (1, better, worse)
    assert found.median == pytest.approx(by)
    assert (found.trusted, found.trusted_smoothed) == ((10, 10), (4, 4))
    assert measures.smoothing(table, 0.7, 1.0).cells == measures.smoothing(table[:9], 0.5, 0.7).cells == 0


def test_a_table_of_false_cells_names_them():
    lines = page.false_cells(numbers(0, 20, far=7.0))
    assert lines[2] == "| wider | a | 1,000 | mean of h | 0 of 20 | 7 |"
    assert page.percent(measures.Count(0, 0)) == "none"


def test_a_share_is_a_hundred_percent_only_where_none_is_left_out():
    assert page.percent(measures.Count(2512, 2512)) == "100.0 %"
    assert page.percent(measures.Count(2511, 2512)) == "99.9 %"
    assert page.percent(measures.Count(19, 20)) == "95.0 %"
