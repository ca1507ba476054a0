"""What is asked of a run before its draws are kept."""

from dataclasses import replace

import pytest
import torch

from arviz_resampler import ArgumentError, DrawWarning, ProgramError, ProgramWarning, WeightError
from arviz_resampler.densities.kinds import Kind
from arviz_resampler.particles.checks import (
    Run,
    check_structure,
    mark_failed,
    unpredicted,
    warn_failed,
    warn_infinite,
)
from arviz_resampler.programs.columns import to_column
from arviz_resampler.programs.runs import SiteRun

N = 3


def site(name, kind="latent", **more):
    return SiteRun(name, kind, torch.arange(float(N)), [], **more)


def run(guide, simulator=None):
    columns = {s.name: replace(to_column(s, N), from_guide=True) for s in guide}
    columns |= {s.name: to_column(s, N) for s in simulator or () if s.kind != "factor" and not s.replayed}
    found = [None if part is None else {s.name: s for s in part} for part in (guide, simulator)]
    return Run(found[0], found[1], columns)


def test_data_of_no_site_are_kept_where_nothing_is_predicted():
    nothing, data = run([site("x")]), frozenset({"y"})
    with pytest.warns(ProgramWarning, match="observed data 'y' belong to no site"):
        assert unpredicted(nothing, frozenset(), data) == data
    predicting = run([site("x")], [site("x", replayed=True), site("z")])
    assert unpredicted(predicting, frozenset(), data) == frozenset()
    assert unpredicted(nothing, frozenset({"x"}), data) == frozenset()


@pytest.mark.parametrize(
    ("guide", "text"),
    [
        ([site("d", "deterministic")], "the guide has no latent sample site"),
        ([site("x"), site("f", "factor")], "pyro.factor site 'f' in the guide changes the score"),
        ([site("x", unscorable="it has no density")], "it has no density, so it has no weights"),
    ],
)
def test_a_guide_that_nothing_can_be_resampled_from_is_refused(guide, text):
    with pytest.raises(ProgramError, match=text):
        check_structure(run(guide), frozenset())


def test_what_does_not_act_is_said():
    simulator = [site("x", replayed=True), site("f", "factor")]
    with pytest.warns(ProgramWarning, match="'f' in the simulator does not act on the draws"):
        check_structure(run([site("x")], simulator), frozenset())
    other = site("x", kind_of=Kind(drawn_otherwise="it is drawn by hand"))
    with pytest.warns(DrawWarning, match="not drawn as its density says: it is drawn by hand"):
        check_structure(run([other]), frozenset())
    with pytest.warns(ProgramWarning, match="'y' has obs= that depends on what was drawn"):
        check_structure(run([site("x"), site("y", "observed")]), frozenset())


def test_a_prediction_of_no_site_is_refused_with_the_closest_name():
    with pytest.raises(ArgumentError, match=r"'xx', which is no site .* Did you mean 'x'"):
        check_structure(run([site("x")]), frozenset({"xx"}))


def test_a_density_that_is_not_finite_is_said_and_refused_for_all():
    columns = run([site("x", log_density=torch.tensor([0.0, -torch.inf, 0.0]))]).columns
    columns["x"] = replace(columns["x"], finite=False)
    with pytest.warns(DrawWarning, match=r"no finite density for 1 of 3 .* value 1"):
        warn_infinite(columns, N)
    columns["x"] = replace(columns["x"], log_q=torch.full((N,), -torch.inf))
    with pytest.raises(WeightError, match="for 3 of 3 particles"):
        warn_infinite(columns, N)


def test_predictions_of_particles_that_failed_are_missing():
    columns = run([site("x")], [site("y"), site("k")]).columns
    for name in ("y", "k"):
        columns[name] = replace(columns[name], site=replace(columns[name].site, role="predictive"))
    columns["k"] = replace(columns["k"], value=torch.tensor([4, 5, 6]))
    columns["y"] = replace(columns["y"], log_q=torch.zeros(N))
    assert mark_failed(columns, {}, N) is None
    flags = mark_failed(columns, {2: "it broke"}, N)
    assert flags.tolist() == [False, False, True]
    assert columns["y"].value.isnan().tolist() == [False, False, True]
    assert columns["y"].log_q.isnan().tolist() == [False, False, True]
    assert not columns["y"].finite
    assert columns["k"].value[:2].tolist() == [4.0, 5.0]
    assert columns["k"].site.dtype == "float64"  # whole numbers have no NaN
    assert columns["x"].value.tolist() == [0.0, 1.0, 2.0]


def test_particles_that_failed_are_counted_and_the_first_is_named():
    warn_failed({}, N)
    with pytest.warns(DrawWarning, match=r"2 of 3 particles failed; .*Particle 11: it broke"):
        warn_failed({2: "so did it", 1: "it broke"}, N, start=10)
