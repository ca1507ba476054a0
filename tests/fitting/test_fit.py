"""`Fit`: what it holds and how it prints itself."""

import pyro
import pytest
from fit_cases import RANGES, build, exact, noisy, normal, shared

from arviz_resampler import ProgramWarning, mean, quantiles

TRUTH = {"mean": 2.0, "sd": 1.5}


@pytest.fixture(scope="module")
def fit():
    return shared().fit(normal, exact(**TRUTH), **RANGES)


def test_it_prints_itself_in_a_dozen_lines(fit):
    lines = repr(fit).splitlines()
    assert len(lines) <= 12
    assert lines[0].startswith("Fit of normal to 3 targets, misfit ")
    assert lines[1].split()[:3] == ["mean", *repr(fit).split("mean")[1].split()[:2]]
    assert "region" in lines[1]
    assert lines[3].split() == ["target", "wished", "reached", "fresh"]
    assert lines[-1].strip().startswith("ESS ")


def test_it_holds_program_source_weights_and_draws(fit):
    assert fit.weights.ess == shared().weigh(fit.model).ess
    made = {}
    exec(fit.code(), made)  # the source it gives
    assert shared().weigh(made["prior"]).ess == pytest.approx(fit.weights.ess, rel=1e-5)
    draws = fit.prior.prior["x"].values
    assert draws.shape == (1, 1000)
    # The error of a mean of draws, and that of the fit.
    assert abs(draws.mean() - fit.hyper["mean"]) < 4 * fit.hyper["sd"] / 1000**0.5 + 4 * fit.mcse["mean"]


def test_the_history_goes_from_starts_to_ends(fit):
    assert fit.history.columns.tolist() == ["start", "mean", "sd", "loss", "ess", "num_particles", "action"]
    for _, each in fit.history.groupby("start"):
        assert each["action"].iloc[0] == "start"
        assert each["loss"].iloc[-1] <= each["loss"].iloc[0]


def test_what_the_targets_reach_is_said_in_a_line(fit):
    assert fit.summary.startswith("fit: x[0.1] ")
    assert "(wished 0.07767)" in fit.summary


def test_ranges_are_those_of_a_family_guide():
    fit = build().fit(normal, exact(**TRUTH))
    assert set(fit.hyper) == set(RANGES)


def test_fresh_draws_are_of_the_model_and_not_added():
    resampler = build(noisy, n=2000)
    drawn = resampler.fresh(normal(3.0, 1.0), 4000)
    assert drawn.sizes["particle"] == 4000
    assert set(drawn.data_vars) == {"x", "y"}
    assert abs(float(drawn.x.mean()) - 3.0) < 4 / 4000**0.5
    assert abs(float(drawn.y.std()) - 2.0**0.5) < 4 * 1 / 4000**0.5
    assert resampler.pipeline.particles.num_particles == 2000


def test_a_fit_is_not_lost_to_the_statistics_of_its_check():
    def unusable(ds):
        return ds.x.where(ds.sizes["particle"] != 100)

    def failing(ds):
        if ds.sizes["particle"] == 100:
            raise KeyError("no such particle")
        return ds.x

    for statistic, what in ((unusable, "ArgumentError: the statistic"), (failing, "KeyError: 'no such")):
        with pytest.warns(ProgramWarning, match=f"could not be checked by a fresh simulation: {what}"):
            fit = build(n=4000).fit(normal, {"x": mean(statistic, 2.0)}, ess=100, mean=RANGES["mean"])
        assert abs(fit.hyper["mean"] - 2.0) < 4 * fit.mcse["mean"]
        assert fit.table["fresh"].isna().all()


def test_particles_from_elsewhere_need_a_simulator_for_fresh_ones():
    from arviz_resampler import ArgumentError, Resampler

    made = build(noisy, n=4000).fresh(normal(0.0, 4.0), 4000)
    there = {name: made[name].values for name in ("x", "y")}
    resampler = Resampler.from_simulations(there, latents="x", guide=normal(0.0, 4.0), random_seed=0)
    with pytest.raises(ArgumentError, match="pass simulator= for new ones"):
        resampler.fresh(normal(1.0, 2.0))
    targets = {"y": quantiles(lambda ds: ds.y, {0.1: -1.0, 0.9: 3.0})}
    without = resampler.fit(normal, targets, ess=200, mean=(-3.0, 3.0), sd=(0.5, 4.0))
    assert without.table["fresh"].isna().all()

    def simulator():
        pyro.sample("y", pyro.distributions.Normal(normal()(), 1.0))

    given = resampler.fit(normal, targets, ess=200, simulator=simulator, mean=(-3.0, 3.0), sd=(0.5, 4.0))
    assert (abs(given.table["fresh"] - given.table["wished"]) < 4 * given.table["mcse_fresh"]).all()
