"""Runs of one particle each, stacked."""

import pytest
import torch

from arviz_resampler import ProgramError
from arviz_resampler.programs.columns import to_column
from arviz_resampler.programs.runs import Invalid, ScoredRun, SiteRun
from arviz_resampler.programs.stacking import stack_samples, stack_scores


def sample(value, *, bad=None, **more):
    value = torch.as_tensor(value)
    flags = None if bad is None else torch.tensor([True])
    site = SiteRun("x", "latent", value[None], [], bad=flags, bad_text=bad or "", **more)
    return {"x": site}


def test_values_and_densities_stand_in_the_order_of_the_runs():
    runs = [sample(float(i), log_density=torch.tensor([10.0 * i])) for i in range(3)]
    stacked = stack_samples("guide", runs, {}, 0)["x"]
    assert stacked.value.tolist() == [0.0, 1.0, 2.0]
    assert stacked.log_density.tolist() == [0.0, 10.0, 20.0]
    assert stacked.bad is None


def test_a_run_that_failed_leaves_nan_where_it_did_not_come_to_a_site():
    stacked = stack_samples("simulator", [sample(1.0), {}, sample(3.0)], {1: "failed"}, 0)["x"]
    assert stacked.value.isnan().tolist() == [False, True, False]


def test_invalid_particles_are_flagged_with_the_first_reason():
    stacked = stack_samples("simulator", [sample(1.0), sample(torch.nan, bad="scale is -1")], {}, 0)["x"]
    assert stacked.bad.tolist() == [False, True]
    assert stacked.bad_text == "scale is -1"


def test_runs_must_have_the_same_sites_and_shapes():
    with pytest.raises(ProgramError, match="site 'x' of the guide is in particle 10 and not in particle 11"):
        stack_samples("guide", [sample(1.0), {}], {}, 10)
    with pytest.raises(ProgramError, match=r"shape \(2,\) and dtype torch.float32 in particle 1"):
        stack_samples("guide", [sample(1.0), sample([1.0, 2.0])], {}, 0)
    with pytest.raises(ProgramError, match="every particle failed: it broke"):
        stack_samples("guide", [{}], {0: "it broke"}, 0)


def score(log_p, **more):
    return ScoredRun(log_p={"x": torch.tensor([log_p])}, **more)


def test_scores_stand_in_the_order_of_the_runs_and_invalid_ones_are_counted():
    runs = [
        score(1.0),
        score(2.0, notes={"x": Invalid("bad", 1)}),
        score(3.0, notes={"x": Invalid("bad", 1)}),
    ]
    stacked = stack_scores(runs, {}, {}, None)
    assert stacked.log_p["x"].tolist() == [1.0, 2.0, 3.0]
    assert stacked.notes == {"x": Invalid("bad", 2)}
    assert not stacked.unnormalized
    scores = [score(1.0), score(2.0, unnormalized={"x"})]
    assert stack_scores(scores, {}, {}, None).unnormalized == {"x"}


def test_a_score_that_is_missing_is_nan_for_a_lost_particle_and_an_error_for_another():
    columns = {"x": to_column(SiteRun("x", "latent", torch.tensor([1.0, 2.0]), []), 2)}
    runs, failed = [score(1.0), ScoredRun()], {1: ProgramError("it broke")}
    stacked = stack_scores(runs, columns, failed, torch.tensor([False, True]))
    assert stacked.log_p["x"].isnan().tolist() == [False, True]
    with pytest.raises(ProgramError, match="particle 1, at x = 2: it broke"):
        stack_scores(runs, columns, failed, None)
    with pytest.raises(ProgramError, match="site 'x' of the model is in one of particles 0 and 1"):
        stack_scores(runs, columns, {}, None)
