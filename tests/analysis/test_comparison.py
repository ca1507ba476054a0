"""Variants side by side, against closed forms for Normal priors and against what single calls give."""

import itertools
import math
import pickle
import re
import warnings
from statistics import NormalDist

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from schema import check_container

from arviz_resampler import (
    ArgumentError,
    Comparison,
    DrawWarning,
    MismatchError,
    NameWarning,
    ProgramError,
    Resampler,
    WeightError,
    Weights,
    WeightWarning,
)
from arviz_resampler.containers.container import groups_of

GUIDE = 4.0
A, B = (0.5, 1.0), (0.0, 1.3)  # mean and sd of two variants
CUT = 1.0


def prior(mean, sd):
    def program():
        mu = pyro.sample("mu", dist.Normal(mean, sd))
        pyro.deterministic("square", mu**2)
        return mu

    return program


def simulator():
    mu = prior(0.0, GUIDE)()
    with pyro.plate("student", 3):
        pyro.sample("y", dist.Normal(mu, 1.0))


def numbers(table):
    """A table without its columns of truth values."""
    return table.loc[:, [column for column in table.columns if not column.startswith("reliable")]]


def plain(mean, sd):
    return lambda: pyro.sample("mu", dist.Normal(mean, sd))


def resampler(n=20_000, random_seed=0, **options):
    return Resampler(prior(0.0, GUIDE), simulator, num_guide_samples=n, random_seed=random_seed, **options)


@pytest.fixture(scope="module")
def cache():
    return resampler(coords={"student": list("abc")})


@pytest.fixture(scope="module")
def comparison(cache):
    return cache.compare({"a": plain(*A), "b": plain(*B)}, num_samples=2000)


def above(mean, sd, cut=CUT):
    return 0.5 * math.erfc((cut - mean) / sd / math.sqrt(2))


def share_above(ds):
    return ds.mu > CUT


# ---------------------------------------------------------------- draws


def test_draws_are_those_of_single_calls(cache, comparison):
    assert list(comparison) == ["a", "b"]
    for name, spec in (("a", A), ("b", B)):
        alone = groups_of(cache.sample_prior_predictive(plain(*spec), 2000, name=name))
        groups = check_container(comparison[name])
        assert comparison[name].attrs["name"] == name
        for group, dataset in alone.items():
            xr.testing.assert_identical(dataset, groups[group])


@pytest.mark.parametrize("container", ["auto", "datatree"])
def test_containers_are_of_the_kind_asked_for(cache, container):
    found = cache.compare({"a": plain(*A), "b": plain(*B)}, 50, container=container)
    alone = cache.sample_prior_predictive(plain(*A), 50, container=container)
    assert {type(prior) for prior in found.values()} == {type(alone)}


def test_a_dataset_has_a_labeled_dim_of_variants(comparison):
    found = comparison.dataset("prior_predictive")
    assert found.sizes == {"variant": 2, "chain": 1, "draw": 2000, "student": 3}
    assert found["variant"].values.tolist() == ["a", "b"]
    assert found["student"].values.tolist() == ["a", "b", "c"]
    alone = groups_of(comparison["b"])["prior_predictive"]
    np.testing.assert_array_equal(found["y"].sel(variant="b"), alone["y"])
    assert list(comparison.dataset().data_vars) == ["mu", "square"]
    assert found.attrs["sample_dims"] == ["chain", "draw"]


def test_what_one_variant_lacks_is_nan_in_the_dataset(cache):
    def extra():
        pyro.deterministic("cube", plain(*A)() ** 3)

    found = cache.compare({"a": extra, "b": plain(*B)}, 100).dataset()
    assert found["cube"].sel(variant="b").isnull().all()
    np.testing.assert_allclose(found["cube"].sel(variant="a"), found["mu"].sel(variant="a") ** 3, rtol=1e-6)


@pytest.mark.parametrize("scheme", ["multinomial", "systematic"])
def test_variants_share_the_randomness_of_every_scheme(cache, scheme):
    same = {"a": plain(*A), "again": plain(*A)}
    found = cache.compare(same, 200, scheme=scheme)
    assert found.overlap().loc[("a", "again"), "observed"] == 1.0
    other = cache.compare(same, 200, scheme=scheme)
    assert not found.dataset().equals(other.dataset())
    seeded = [cache.compare(same, 200, scheme=scheme, random_seed=3).dataset() for _ in range(2)]
    xr.testing.assert_identical(*seeded)


def test_draws_without_a_seed_follow_the_global_generator():
    def draws():
        pyro.set_rng_seed(5)
        cache = resampler(2000, random_seed=None)
        return cache.compare({"a": plain(*A), "b": plain(*B)}, 50, scheme="multinomial").dataset()

    xr.testing.assert_identical(draws(), draws())


# ---------------------------------------------------------------- numbers against closed forms


def made(seed, n=2000):
    """A comparison of Normal variants as :meth:`Resampler.compare` makes it, without programs."""
    x = np.random.default_rng(seed).normal(0.0, GUIDE, size=n)

    def weights(mean, sd):
        ratio = math.log(GUIDE / sd) - ((x - mean) / sd) ** 2 / 2 + (x / GUIDE) ** 2 / 2
        return Weights({"mu": ratio})

    particles = xr.Dataset({"mu": ("particle", x)})
    return Comparison({}, {"a": weights(*A), "b": weights(*B)}, {"a": particles, "b": particles}, 100)


def test_intervals_of_contrasts_cover_the_truth_and_lie_within_five_errors():
    truths = np.array([A[0] - B[0], above(*A) - above(*B)])
    ratio = above(*A) / above(*B)
    covered, errors = [], []
    for seed in range(1000):
        found = made(seed).contrast("a", "b", {"mean": lambda ds: ds.mu, "above": share_above})
        low, high, size = found[["lower", "upper", "mcse"]].to_numpy().T
        ratio_low, ratio_high = found[["ratio_lower", "ratio_upper"]].iloc[1]
        covered.append([*((low < truths) & (truths < high)), ratio_low < ratio < ratio_high])
        errors.append((found["difference"].to_numpy() - truths) / size)
    # The share of 1,000 intervals has a standard error of sqrt(0.95 * 0.05 / 1000) = 0.007.
    coverage = np.mean(covered, axis=0)
    assert coverage.shape == (3,)
    assert ((coverage > 0.93) & (coverage < 0.97)).all()
    assert np.max(np.abs(errors)) < 5


@pytest.mark.parametrize("seed", range(5))
def test_numbers_of_programs_are_within_five_errors_of_closed_forms(seed):
    found = resampler(5000, seed).compare({"a": plain(*A), "b": plain(*B)})
    table = found.summary(statistics={"above": share_above})
    z90 = 1.6448536269514722
    for name, (mean, sd) in (("a", A), ("b", B)):
        wide = math.hypot(sd, 1.0)
        truths = {
            "mu": (mean, sd, mean - z90 * sd, mean, mean + z90 * sd),
            "y[0]": (mean, wide, mean - z90 * wide, mean, mean + z90 * wide),
        }
        for quantity, values in truths.items():
            row = table.loc[(quantity, name)]
            for column, truth in zip(("mean", "sd", "q5", "q50", "q95"), values, strict=True):
                assert abs(row[column] - truth) < 5 * row[f"mcse_{column}"], (quantity, name, column)
        row = table.loc[("above", name)]
        assert abs(row["mean"] - above(mean, sd)) < 5 * row["mcse_mean"]
        row = table.loc[("square", name)]
        assert abs(row["mean"] - (mean**2 + sd**2)) < 5 * row["mcse_mean"]
    contrast = found.contrast("a", "b", ["mu", "square"])
    truths = np.array([A[0] - B[0], A[0] ** 2 + A[1] ** 2 - B[0] ** 2 - B[1] ** 2])
    assert (np.abs(contrast["difference"] - truths) < 5 * contrast["mcse"]).all()


def test_a_summary_is_what_xarray_makes_of_the_weighted_particles(cache, comparison):
    particles, weights = cache.weighted(plain(*A))
    table = comparison.summary(["mu", "y"], {"s": share_above}).xs("a", level="variant")
    assert list(table.index) == ["mu", "y[a]", "y[b]", "y[c]", "s"]
    weighted = particles.astype(np.float64).weighted(weights)
    mean, sd = weighted.mean("particle"), weighted.std("particle")
    assert table.loc["mu", "mean"] == pytest.approx(float(mean["mu"]), rel=1e-9)
    assert table.loc["y[b]", "mean"] == pytest.approx(float(mean["y"].sel(student="b")), rel=1e-9)
    assert table.loc["y[b]", "sd"] == pytest.approx(float(sd["y"].sel(student="b")), rel=1e-9)
    share = share_above(particles).astype(np.float64).weighted(weights).mean("particle")
    assert table.loc["s", "mean"] == pytest.approx(float(share), rel=1e-9)
    own = comparison.weights["a"]
    mu = particles["mu"].values.astype(np.float64)
    assert table.loc["mu", "mcse_mean"] == pytest.approx(own.mcse(mu), rel=1e-9)
    assert table.loc["mu", "q95"] == own.quantile(mu, 0.95)


def test_quantiles_may_be_chosen(comparison):
    table = comparison.summary("mu", quantiles=[0.025, 0.5])
    parts = ("", "mcse_", "lower_", "upper_", "n_effective_", "reliable_")
    assert list(table.columns) == [f"{part}{c}" for c in ("mean", "sd", "q2.5", "q50") for part in parts]
    assert list(comparison.summary("mu", quantiles=0.5).filter(regex="^q").columns) == ["q50"]
    assert table.index.names == ["quantity", "variant"]


def test_near_variants_are_compared_with_less_than_half_the_error_of_separate_means(cache):
    near = cache.compare({"a": plain(0.0, 1.0), "b": plain(0.05, 1.02)})
    summary = near.summary("mu")
    row = near.contrast("a", "b", "mu").iloc[0]
    assert row["mcse"] < np.hypot(*summary["mcse_mean"]) / 2
    assert row["mean_a"] == summary["mean"].iloc[0]


def test_swapping_flips_the_sign_exactly(comparison):
    there, back = comparison.contrast("a", "b"), comparison.contrast("b", "a")
    assert there.index.names == ["quantity", "a", "b"]
    np.testing.assert_array_equal(there["difference"], -back["difference"].to_numpy())
    np.testing.assert_array_equal(there["mcse"], back["mcse"])
    np.testing.assert_array_equal(there["lower"], -back["upper"].to_numpy())
    np.testing.assert_array_equal(there["mean_a"], back["mean_b"])
    ratio = there["ratio"].to_numpy() * back["ratio"].to_numpy()
    np.testing.assert_allclose(ratio[~np.isnan(ratio)], 1.0)
    assert np.isnan(there.loc[("mu", "a", "b"), "ratio"])
    assert there.loc[("square", "a", "b"), "ratio"] < 1


def test_a_variant_is_the_same_as_itself(comparison):
    itself = comparison.contrast("a", "a")
    assert (itself[["difference", "mcse", "lower", "upper"]] == 0.0).all(axis=None)
    assert itself.loc[("square", "a", "a"), ["ratio", "ratio_lower", "ratio_upper"]].tolist() == [1.0] * 3
    assert comparison.overlap().loc[("a", "a")].tolist() == [1.0, 1.0, 0.0]


def test_one_variant_is_contrasted_with_all_others(cache):
    found = cache.compare({"a": plain(*A), "b": plain(*B), "c": plain(0.2, 1.1)}, 100)
    both = found.contrast("b", statistic=share_above)
    assert list(both.index) == [("share_above", "b", "a"), ("share_above", "b", "c")]
    pd.testing.assert_frame_equal(found.contrast("b", "c", share_above), both.iloc[[1]])


def test_a_statistic_is_evaluated_once_for_all_variants(comparison):
    calls = []

    def counted(ds):
        calls.append(ds)
        return ds.y.mean("student")

    comparison.summary([], {"counted": counted})
    comparison.contrast("a", statistic=counted)
    assert len(calls) == 2


def test_statistics_of_a_variants_own_sites_are_its_own(cache):
    def own(factor):
        def program():
            pyro.deterministic("square", factor * plain(*A)() ** 2)

        return program

    found = cache.compare({"one": own(1.0), "two": own(2.0), "plain": plain(*A)}, 100)
    table = found.summary("square", {"root": lambda ds: ds.square**0.5})
    assert table.loc[("square", "two"), "mean"] == pytest.approx(2 * table.loc[("square", "one"), "mean"])
    assert table.loc[("square", "plain"), "mean"] == pytest.approx(table.loc[("square", "one"), "mean"])
    root = table.loc["root", "mean"]
    assert root["two"] == pytest.approx(math.sqrt(2) * root["one"])
    contrast = found.contrast("two", "one", "square").iloc[0]
    assert contrast["difference"] == pytest.approx(table.loc[("square", "one"), "mean"])
    assert contrast["ratio"] == pytest.approx(2.0)
    assert contrast["mcse_ratio"] == pytest.approx(0.0, abs=1e-9)


def test_own_sites_of_many_variants_are_kept_apart(cache):
    def own(factor):
        def program():
            pyro.deterministic("square", factor * plain(*A)() ** 2)

        return program

    found = cache.compare({str(factor): own(float(factor)) for factor in range(1, 9)}, 50)
    means = found.summary("square")["mean"].to_numpy()
    np.testing.assert_allclose(means, means[0] * np.arange(1, 9), rtol=1e-5)
    drawn = found.dataset()
    factors = xr.DataArray(np.arange(1.0, 9.0), dims="variant")
    np.testing.assert_allclose(drawn["square"], factors * drawn["mu"] ** 2, rtol=1e-5)


def test_quantities_that_one_variant_lacks_have_no_row_for_it(cache):
    def extra():
        pyro.deterministic("cube", plain(*A)() ** 3)

    found = cache.compare({"a": extra, "b": plain(*B)}, 100)
    assert [name for label, name in found.summary().index if label == "cube"] == ["a"]
    assert "cube" not in found.contrast("a", "b").index.get_level_values("quantity")


def test_the_particles_cannot_be_changed_through_a_statistic(comparison):
    def spoil(ds):
        ds["mu"].values[:] = 0.0
        return ds.mu

    with pytest.raises(ValueError, match="read-only"):
        comparison.summary([], {"spoil": spoil})


# ---------------------------------------------------------------- overlap, ESS by site, diagnostics


def test_the_expected_overlap_is_observed(cache):
    found = cache.compare({"a": plain(*A), "b": plain(*B), "far": plain(3.0, 0.5)}, 2000).overlap()
    assert found.index.names == ["a", "b"]
    for a, b in itertools.combinations(["a", "b", "far"], 2):
        row, back = found.loc[(a, b)], found.loc[(b, a)]
        assert row.equals(back)
        error = math.sqrt(row["expected"] * (1 - row["expected"]) / 2000)
        assert abs(row["observed"] - row["expected"]) < 5 * error
        distance = row["total_variation"]
        assert (1 - distance) / (1 + distance) <= row["expected"] <= 1 - distance + 1e-12
    assert found["expected"].unstack().shape == (3, 3)


def test_total_variation_is_that_of_the_priors(cache):
    # Normal(0, 1) and Normal(1, 1) differ by 2 * Phi(1/2) - 1. The error of a total variation is less
    # than the one of the share of weight on either side.
    found = cache.compare({"a": plain(0.0, 1.0), "b": plain(1.0, 1.0)}, 100)
    distance = found.overlap().loc[("a", "b"), "total_variation"]
    error = math.sqrt(0.25 / found.weights["a"].ess)
    assert abs(distance - (1 - 2 * above(0.0, 1.0, 0.5))) < 5 * error


def test_ess_by_site_finds_the_site_that_costs_most():
    def program(df):
        def run():
            pyro.sample("mu", dist.Normal(0.0, 1.0))
            pyro.sample("df", dist.LogNormal(0.0, df))

        return run

    cache = Resampler(program(1.0), num_guide_samples=50_000, random_seed=0)
    found = cache.compare({"same": program(1.0), "narrow": program(0.1)}, 100)
    assert found.ess_by_site().index.names == ["variant", "site"]
    narrow = found.ess_by_site().loc["narrow"]
    # The ESS fraction of a LogNormal with a tenth of the spread is 0.1 * sqrt(2 - 0.01) = 0.141.
    assert abs(narrow.loc["df", "cost"] - (1 - 0.1 * math.sqrt(1.99))) < 0.01
    assert narrow.loc["df", "ess_without"] == pytest.approx(50_000)
    assert narrow.loc["df", "ess_alone"] == pytest.approx(found.weights["narrow"].ess)
    assert narrow.loc["mu", "cost"] == pytest.approx(0.0, abs=1e-9)
    assert found.ess_by_site().loc[("same", "df"), "cost"] == pytest.approx(0.0, abs=1e-9)


def test_the_table_says_what_the_containers_say(comparison):
    for name, row in comparison.diagnostics().iterrows():
        attrs = groups_of(comparison[name])["sample_stats_prior"].attrs
        for column, value in row.items():
            assert value == attrs[column], column


def test_a_comparison_prints_its_table_and_cannot_be_changed(comparison):
    text = repr(comparison)
    assert text.startswith("Comparison of 2 variants, 2000 draws each\n")
    assert re.search(r"^a .*%.* good$", text, re.MULTILINE)
    with pytest.raises(AttributeError):
        comparison.weights = {}
    for change in (lambda c: c.pop("a"), lambda c: c.update(a=1), lambda c: c.clear(), lambda c: c.popitem()):
        with pytest.raises(ArgumentError, match="cannot be changed"):
            change(comparison)
    with pytest.raises(ArgumentError, match="cannot be changed"):
        del comparison["a"]
    with pytest.raises(ArgumentError, match="cannot be changed"):
        comparison["b"] = None
    table = comparison.diagnostics()
    table.loc["a", "verdict"] = "bad"
    assert "a" in comparison
    assert comparison.diagnostics().loc["a", "verdict"] == "good"


def test_a_missed_mass_that_is_not_known_has_a_dash():
    def program(strength):
        def run():
            mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
            pyro.factor("soft", -strength * mu**2)

        return run

    resampler = Resampler(lambda: pyro.sample("mu", dist.Normal(0.0, 1.0)), num_guide_samples=5000)
    text = repr(resampler.compare({"a": program(0.1), "b": program(0.2)}, 100))
    assert "missed_mass" in text
    assert "nan" not in text
    assert re.search(r"^a .* - .* good$", text, re.MULTILINE)


def test_a_comparison_survives_pickling(comparison):
    back = pickle.loads(pickle.dumps(comparison))
    pd.testing.assert_frame_equal(back.contrast("a", "b"), comparison.contrast("a", "b"))
    assert list(pickle.loads(pickle.dumps(comparison))) == ["a", "b"]


# ---------------------------------------------------------------- variants that do not work


def uniform(low, high):
    return lambda: pyro.sample("mu", dist.Uniform(low, high))


@pytest.fixture
def with_lost(cache):
    with pytest.warns(WeightWarning, match="variant 'lost' has no draws: no particle has positive weight"):
        return cache.compare({"lost": uniform(900.0, 901.0), "a": plain(*A), "b": plain(*B)}, 100)


def test_a_variant_without_support_does_not_take_the_others_down(with_lost):
    assert list(with_lost) == ["a", "b"]
    assert with_lost.dataset()["variant"].values.tolist() == ["a", "b"]
    row = with_lost.diagnostics().loc["lost"]
    assert (row["ess"], row["n_unique"], row["verdict"]) == (0.0, 0, "unreliable")
    assert math.isnan(row["pareto_k"])
    assert "no particle has positive weight" in repr(with_lost)
    assert with_lost.overlap().loc[("lost", "a")].isna().all()
    assert with_lost.overlap().loc[("lost", "lost")].isna().all()
    assert with_lost.ess_by_site().loc[("lost", "mu")].tolist() == [0.0, 20_000.0, 1.0]
    with pytest.warns(WeightWarning, match="The weights of variant 'lost' are unreliable"):
        table = with_lost.summary("mu")
    assert numbers(table).loc[("mu", "lost")].isna().all()
    assert not table.loc[("mu", "lost"), "reliable_mean"]
    assert table.loc[("mu", "a")].notna().all()
    with pytest.warns(WeightWarning, match="The weights of variant 'lost' are unreliable"):
        contrast = with_lost.contrast("a", statistic="mu")
    assert numbers(contrast).loc[("mu", "a", "lost")].isna().all()
    assert contrast.loc[("mu", "a", "b"), "difference"] != 0


def test_asking_for_what_a_variant_without_support_lacks_is_an_error(with_lost):
    with pytest.raises(WeightError, match="no draw of variant 'lost' can be made: no particle has positive"):
        with_lost["lost"]
    with pytest.raises(WeightError, match="variant 'lost' has no mean: no particle has positive weight"):
        with_lost.contrast("lost", "a")
    with pytest.raises(WeightError, match="variant 'lost' has no mean"):
        with_lost.contrast("a", "lost")


def test_without_any_support_there_is_a_table_and_no_dataset(cache):
    with pytest.warns(WeightWarning, match="has no draws"):
        found = cache.compare({"x": uniform(900.0, 901.0), "y": uniform(800.0, 801.0)})
    assert (found.diagnostics()["ess"] == 0).all()
    assert dict(found) == {}
    with pytest.raises(WeightError, match="no variant has a particle in its support"):
        found.dataset()


def test_a_variant_that_the_weights_do_not_carry_is_named_in_the_warning(cache):
    with pytest.warns(WeightWarning, match=r"weights of variant 'tiny' are unreliable: .*costs most"):
        cache.compare({"a": plain(*A), "tiny": plain(0.0, 0.001)}, 100)


def test_warnings_point_at_the_line_of_the_caller(cache):
    models = {"lost": uniform(900.0, 901.0), "tiny": plain(0.0, 0.001)}
    with pytest.warns(WeightWarning) as made:
        found = cache.compare(models, 100)
    with pytest.warns(WeightWarning) as used:
        found.summary("mu")
    assert len(made) == 2
    assert len(used) == 1  # of both variants
    assert {warning.filename for warning in [*made, *used]} == {__file__}


@pytest.mark.parametrize(
    ("program", "error", "message"),
    [
        (lambda: pyro.sample("nu", dist.Normal(0, 1)), MismatchError, "site 'nu' of the model was not drawn"),
        (lambda: 1 / 0, ProgramError, "the model failed"),
        (lambda x: None, ArgumentError, "model must run without arguments"),
        (3, ArgumentError, "model must be a callable"),
    ],
)
def test_an_error_in_a_variant_names_it(cache, program, error, message):
    with pytest.raises(error, match=f"^variant 'broken': {message}"):
        cache.compare({"a": plain(*A), "broken": program})


@pytest.fixture(scope="module")
def half_failed():
    """Runs fail where mu is above 2."""

    def failing():
        mu = plain(0.0, 3.0)()
        pyro.sample("y", dist.Normal(torch.where(mu > 2.0, torch.nan, mu), 1.0))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DrawWarning)
        cache = Resampler(plain(0.0, 3.0), failing, num_guide_samples=20_000, random_seed=0)
        return cache.compare({str(sd): plain(0.0, sd) for sd in (1.0, 2.0, 3.0)}, 100)


@pytest.mark.parametrize("sd", [1.0, 2.0, 3.0])
def test_the_probability_of_an_event_is_between_bounds_where_simulations_failed(half_failed, sd):
    with pytest.warns(DrawWarning, match="particles leave the event 'p' open"):
        table = half_failed.summary([], statistics={"p": lambda ds: ds.y > 2.0})
    row = table.loc[("p", str(sd))]
    truth = NormalDist(0.0, math.sqrt(sd**2 + 1)).cdf(-2.0)
    failed = NormalDist(0.0, sd).cdf(-2.0)
    assert row["lower_mean"] < truth < row["upper_mean"]
    # Bounds are as far apart as the mass that failed, and four intervals of at most 0.0075 to a side.
    assert failed < row["upper_mean"] - row["lower_mean"] < failed + 0.03
    assert row[["mean", "sd", "q50"]].isna().all()
    assert not row["reliable_mean"]
    assert f"{row['lower_mean']:.2g} to {row['upper_mean']:.2g}" in repr(table)


def test_a_difference_of_events_is_between_bounds_where_simulations_failed(half_failed):
    with pytest.warns(DrawWarning, match="particles leave the event 'p' open"):
        row = half_failed.contrast("1.0", "3.0", statistic={"p": lambda ds: ds.y > 2.0}).iloc[0]
    first, other = (NormalDist(0.0, math.sqrt(sd**2 + 1)).cdf(-2.0) for sd in (1.0, 3.0))
    assert row["lower"] < first - other < row["upper"] < row["lower"] + 0.35
    assert math.isnan(row["difference"])


def test_values_that_are_not_finite_are_named_and_leave_the_rest():
    def failing():
        mu = plain(0.0, GUIDE)()
        pyro.sample("y", dist.Normal(torch.where(mu > 3.0, torch.nan, mu), 1.0))

    with pytest.warns(DrawWarning):
        cache = Resampler(plain(0.0, GUIDE), failing, num_guide_samples=5000, random_seed=0)
    with pytest.warns(DrawWarning):
        found = cache.compare({"a": plain(0.0, 2.0), "b": plain(0.0, 2.2), "low": uniform(-3.0, 2.9)}, 100)
    with pytest.warns(DrawWarning, match="particles with weight are NaN or infinite in 'y', which get NaN"):
        table = found.summary()
    assert numbers(table).loc[("y", "a")].isna().all()
    # No particle with weight failed there: the truth is the mean of the uniform prior.
    row = table.loc[("y", "low")]
    assert abs(row["mean"] + 0.05) < 5 * row["mcse_mean"]
    assert table.loc["mu"].notna().all(axis=None)
    with pytest.warns(DrawWarning, match="NaN or infinite in 'y'"):
        assert numbers(found.contrast("a", "b")).loc[("y", "a", "b")].isna().all()


def test_renamed_sites_go_by_the_names_of_the_container():
    def program(sd):
        return lambda: pyro.sample("draw", dist.Normal(0.0, sd))

    cache = Resampler(program(4.0), num_guide_samples=5000, random_seed=0)
    with pytest.warns(NameWarning, match="'draw' is 'draw_site'"):
        found = cache.compare({"a": program(2.0), "b": program(1.0)}, 100)
    assert found.summary().index.get_level_values("quantity").unique().tolist() == ["draw_site"]


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({}, "models must hold two programs or more by name, got none"),
        ({"a": None}, "models must hold two programs or more by name, got 'a'"),
        ([1, 2], "models must be a mapping from names to values, got [1, 2]"),
        (None, "models must hold two programs or more by name, got none"),
        ({"a": None, 3: None}, "the keys of models must be strings, got 3"),
        ({"a": None, "": None}, "names of variants must not be empty"),
        ({"a b": None, "A/b": None}, "variant names 'a b' and 'A/b' both become 'a_b' in file names"),
    ],
)
def test_mappings_that_name_no_variants_are_refused(cache, models, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        cache.compare(models)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 0}, "num_samples must be a positive integer, got 0"),
        ({"scheme": "best"}, "scheme must be one of .*, got 'best'"),
        ({"container": "list"}, "container must be one of .*, got 'list'"),
        ({"random_seed": -1}, "random_seed must be a non-negative integer, a numpy"),
    ],
)
def test_options_are_checked_as_in_single_calls(cache, options, message):
    with pytest.raises(ArgumentError, match=message):
        cache.compare({"a": plain(*A), "b": plain(*B)}, **options)


def test_unknown_names_are_refused(comparison):
    with pytest.raises(ArgumentError, match=re.escape("there is no variant 'c'; there are 'a', 'b'.")):
        comparison.contrast("c")
    with pytest.raises(ArgumentError, match="there is no variant 'c'"):
        comparison.contrast("a", "c")
    with pytest.raises(KeyError, match="'c'"):
        comparison["c"]
    with pytest.raises(ArgumentError, match=r"there is no group 'priors'; .* Did you mean 'prior'\?"):
        comparison.dataset("priors")
    with pytest.raises(ArgumentError, match="var_names holds 'nu', which is no variable"):
        comparison.contrast("a", "b", "nu")
    with pytest.raises(ArgumentError, match="var_names holds 'nu', which is no variable"):
        comparison.summary("nu")


@pytest.mark.parametrize("q", [[1.1], [-0.1, 0.5], 1.5, [[0.5]], [math.nan]])
def test_quantiles_must_be_probabilities(comparison, q):
    with pytest.raises(
        ArgumentError, match=re.escape(f"quantiles must be probabilities in [0, 1], got {q!r}")
    ):
        comparison.summary(quantiles=q)


def test_quantiles_that_share_digits_have_columns_of_their_own(comparison):
    table = comparison.summary("mu", quantiles=[0.12345678, 0.12345679, 0.5, 0.5])
    assert [c for c in table.columns if c.startswith("q")] == ["q12.345678", "q12.345679", "q50"]
    assert (table["q12.345678"] <= table["q12.345679"]).all()


@pytest.mark.parametrize(
    ("statistic", "message"),
    [
        (lambda ds: ds.y.mean("particle"), "without 'particle'"),
        (lambda ds: np.log(ds.mu), "is NaN or infinite for"),
        (lambda ds: ds.mu[:7], "has 7 values along 'particle', but there are 20000 particles"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in log:RuntimeWarning")
def test_statistics_that_cannot_be_used_are_refused(comparison, statistic, message):
    for call in (
        lambda: comparison.contrast("a", "b", statistic),
        lambda: comparison.summary([], {"statistic": statistic}),
    ):
        with pytest.raises(ArgumentError, match=f"the statistic 'statistic' .*{message}"):
            call()


# ---------------------------------------------------------------- weighted particles


def test_weighted_particles_are_labeled_as_the_container_is(cache):
    particles, weights = cache.weighted(plain(*A))
    assert list(particles.data_vars) == ["mu", "square", "y"]
    assert particles["y"].dims == ("particle", "student")
    assert particles["student"].values.tolist() == list("abc")
    assert weights.dims == ("particle",)
    assert float(weights.sum()) == pytest.approx(1.0)
    own = cache.weigh(plain(*A))
    np.testing.assert_array_equal(weights, own.normalized)
    # One particle by its number is the one that the draws point to.
    draws = groups_of(cache.sample_prior_predictive(plain(*A), 50))
    number = draws["sample_stats_prior"]["particle"]
    np.testing.assert_array_equal(particles["y"].sel(particle=number[0]), draws["prior_predictive"]["y"][0])


def test_weighted_statistics_of_xarray_are_within_their_error(cache):
    particles, weights = cache.weighted(plain(*A))
    own = cache.weigh(plain(*A))
    mean = float(particles["mu"].weighted(weights).mean("particle"))
    assert abs(mean - A[0]) < 5 * own.mcse(particles["mu"])
    low, high = particles["mu"].weighted(weights).quantile([0.05, 0.95], dim="particle")
    # The density of a Normal at its 5 % quantile is 0.103 over its sd.
    error = math.sqrt(0.05 * 0.95 / own.ess) / (0.103 / A[1])
    assert abs(float(low) - (A[0] - 1.6449 * A[1])) < 5 * error
    assert abs(float(high) - (A[0] + 1.6449 * A[1])) < 5 * error


def test_weighted_particles_have_the_models_own_deterministic_sites_and_share_the_rest(cache):
    def own():
        pyro.deterministic("square", 2 * plain(*A)() ** 2)

    particles, _ = cache.weighted(own)
    np.testing.assert_allclose(particles["square"], 2 * particles["mu"] ** 2, rtol=1e-6)
    assert np.shares_memory(particles["y"].values, cache.weighted(plain(*A))[0]["y"].values)
    with pytest.raises(ValueError, match="read-only"):
        particles["mu"].values[0] = 3.0


def test_weights_that_do_not_carry_a_mean_are_refused_or_warned_of(cache):
    with pytest.raises(WeightError, match="there is nothing to average: no particle has positive weight"):
        cache.weighted(uniform(900.0, 901.0))
    with pytest.warns(WeightWarning, match="weights are unreliable: effective sample size"):
        cache.weighted(plain(0.0, 0.001))


def test_a_plate_called_particle_makes_way_for_the_dim():
    def program():
        with pyro.plate("particle", 3):
            pyro.sample("x", dist.Normal(0.0, 1.0))

    cache = Resampler(program, num_guide_samples=500, random_seed=0)
    with pytest.warns(NameWarning, match="'dim particle' is 'particle_plate'"):
        particles, _ = cache.weighted(program)
    assert particles["x"].dims == ("particle", "particle_plate")


def test_half_precision_and_discrete_particles_keep_their_values():
    def program():
        pyro.sample("k", dist.Poisson(3.0))
        pyro.deterministic("flag", pyro.sample("x", dist.Normal(0.0, 1.0)) > 0)
        pyro.deterministic("short", torch.zeros(4, dtype=torch.bfloat16) + 0.5)

    cache = Resampler(program, num_guide_samples=400, random_seed=0)
    particles, weights = cache.weighted(program)
    assert (particles["short"] == 0.5).all()
    assert particles["flag"].dtype == bool
    assert float(particles["k"].weighted(weights).mean("particle")) == pytest.approx(
        float(particles["k"].mean()), rel=1e-6
    )
