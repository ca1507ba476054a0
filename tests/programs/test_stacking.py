"""Runs of one particle each, stacked."""

import dataclasses
import re
import weakref

import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import ProgramError
from arviz_resampler.densities.kinds import Kind
from arviz_resampler.densities.together import asked_later
from arviz_resampler.programs import stacking
from arviz_resampler.programs.columns import to_column
from arviz_resampler.programs.runs import Invalid, ScoredRun, SiteRun
from arviz_resampler.programs.stacking import _TOGETHER, SampleStack, ScoreStack


def sample(value, *, bad=None, **more):
    value = torch.as_tensor(value)
    flags = None if bad is None else torch.tensor([True])
    site = SiteRun("x", "latent", value[None], [], bad=flags, bad_text=bad or "", **more)
    return {"x": site}


def stacked(role, runs, failed=None, first=0, like=None):
    stack = SampleStack(role, first, like)
    for i, run in enumerate(runs):
        stack.add(run, (failed or {}).get(i))
    assert stack.failed == (failed or {})
    return stack.whole()


def test_values_and_densities_stand_in_the_order_of_the_runs():
    runs = [sample(float(i), log_density=torch.tensor([10.0 * i])) for i in range(3)]
    site = stacked("guide", runs)["x"]
    assert site.value.tolist() == [0.0, 1.0, 2.0]
    assert site.log_density.tolist() == [0.0, 10.0, 20.0]
    assert site.bad is None


def test_a_run_that_failed_leaves_nan_where_it_did_not_come_to_a_site():
    site = stacked("simulator", [sample(1.0), {}, sample(3.0)], {1: "failed"})["x"]
    assert site.value.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("order", [1, -1])
def test_a_site_has_no_density_where_any_run_has_none_whichever_comes_first(order):
    runs = [sample(1.0, log_density=torch.zeros(1)), sample(2.0, unscorable="it has its mass at its samples")]
    site = stacked("simulator", runs[::order])["x"]
    assert site.log_density is None
    assert site.unscorable == "it has its mass at its samples"
    assert sorted(site.value.tolist()) == [1.0, 2.0]


def test_invalid_particles_are_flagged_with_the_first_reason():
    site = stacked("simulator", [sample(1.0), sample(torch.nan, bad="scale is -1")])["x"]
    assert site.bad.tolist() == [False, True]
    assert site.bad_text == "scale is -1"


def test_runs_must_have_the_same_sites_and_shapes():
    with pytest.raises(ProgramError, match="site 'x' of the guide is in particle 10 and not in particle 11"):
        stacked("guide", [sample(1.0), {}], first=10)
    with pytest.raises(ProgramError, match="site 'x' of the guide is in particle 1 and not in particle 0"):
        stacked("guide", [{}, sample(1.0)])
    with pytest.raises(ProgramError, match=r"shape \(2,\) and dtype torch.float32 in particle 1"):
        stacked("guide", [sample(1.0), sample([1.0, 2.0])])
    with pytest.raises(ProgramError, match="in particle 170, "):
        stacked("guide", [sample(1.0)] * 70 + [sample([1.0, 2.0])], first=100)
    with pytest.raises(ProgramError, match="every particle failed: it broke"):
        stacked("guide", [{}], {0: "it broke"})
    site = stacked("guide", [{}], {0: "it broke"}, like=sample(1.0))["x"]
    assert site.value.isnan().tolist() == [True]


NUM = 3 * _TOGETHER + 5
LATE = _TOGETHER + 3
KINDS = {
    "values and densities": lambda i: sample(float(i), log_density=torch.tensor([10.0 * i])),
    "densities asked later": lambda i: sample(
        float(i), asked=asked_later(dist.Normal(float(i), 2.0), None), data=torch.tensor(1.0)
    ),
    "data that differ late": lambda i: sample(float(i), data=torch.tensor(float(i == LATE))),
    "supports that differ late": lambda i: sample(float(i), support="wide" if i == LATE else "narrow"),
    "invalid from the first on": lambda i: sample(
        torch.nan if i < LATE else torch.tensor(float(i), dtype=torch.float64),
        bad="it is" if i < LATE else None,
    ),
    "invalid ones among others": lambda i: sample(
        torch.nan if i % LATE == 7 else float(i), bad=f"the {i}th" if i % LATE == 7 else None
    ),
    "masked late": lambda i: sample(float(i), masked=i == LATE),
    "kinds that differ late": lambda i: sample(
        float(i), kind_of=Kind(continuous=i != LATE, point_mass=i == LATE), log_density=torch.zeros(1)
    ),
    "no density in one": lambda i: (
        sample(float(i), unscorable="it has none")
        if i == LATE
        else sample(float(i), log_density=torch.tensor([1.0]))
    ),
    "densities that are double late": lambda i: sample(
        float(i), log_density=torch.tensor([float(i)], dtype=torch.float64 if i == LATE else torch.float32)
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("failed", [(), (0,), range(LATE), range(2, LATE + _TOGETHER), range(LATE, NUM)])
def test_many_runs_give_what_they_give_at_once(kind, failed, monkeypatch):
    failures = {i: f"failure {i}" for i in failed}
    runs = [{} if i in failures else KINDS[kind](i) for i in range(NUM)]
    found = stacked("guide", runs, failures)["x"]
    monkeypatch.setattr(stacking, "_TOGETHER", NUM + 1)
    whole = stacked("guide", runs, failures)["x"]
    for field in dataclasses.fields(SiteRun):
        here, there = getattr(found, field.name), getattr(whole, field.name)
        if isinstance(there, torch.Tensor):
            torch.testing.assert_close(here, there, rtol=0, atol=0, equal_nan=True)
        else:
            assert here == there, field.name


NORMAL, DELTA, POISSON = Kind(continuous=True), Kind(point_mass=True), Kind(discrete=True)


@pytest.mark.parametrize("kinds", [(NORMAL, DELTA), (NORMAL, POISSON), (POISSON, DELTA)])
@pytest.mark.parametrize("late", [1, LATE])
def test_a_site_of_several_kinds_has_no_density_whichever_comes_first(kinds, late):
    for first, other in (kinds, kinds[::-1]):
        runs = [
            sample(float(i), kind_of=other if i == late else first, log_density=torch.zeros(1))
            for i in range(NUM)
        ]
        site = stacked("guide", runs)["x"]
        assert site.log_density is None
        words = " for some particles and ".join(sorted(kind.word for kind in kinds))
        assert site.unscorable == f"it is {words} for others: it has no density"
        assert not site.kind_of.point_mass
        assert not site.kind_of.continuous


@pytest.mark.parametrize("late", [0, 1, LATE])
def test_a_site_is_masked_if_it_is_for_any_particle(late):
    runs = [sample(float(i), masked=i == late, kind_of=NORMAL) for i in range(NUM)]
    assert stacked("guide", runs)["x"].masked
    assert not stacked("guide", [sample(float(i)) for i in range(NUM)])["x"].masked


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"kind": "deterministic"},
            r"deterministic over \(n=1\) in particle 1, latent over \(n=1\) in another",
        ),
        ({"auxiliary": True}, "auxiliary latent over"),
        ({"axes": [("m", 1)]}, r"latent over \(m=1\) in particle 1, latent over \(n=1\) in another"),
    ],
)
def test_a_site_is_of_one_kind_and_has_one_order_of_plates(changes, words):
    run = sample([1.0])
    run["x"].axes = [("n", 1)]
    other = {"x": dataclasses.replace(run["x"], **changes)}
    with pytest.raises(ProgramError, match=f"site 'x' of the guide is {words}"):
        stacked("guide", [run, other])


def test_few_runs_stay_by_themselves():
    stack = SampleStack("guide", 0)
    alive = weakref.WeakSet()
    for i in range(NUM):
        run = sample(float(i))
        alive.add(run["x"].value)
        stack.add(run)
        del run
        assert len(alive) <= _TOGETHER + 1  # the first, which the others are compared with
    assert stack.whole()["x"].value.tolist() == list(range(NUM))


def score(log_p, **more):
    return ScoredRun(log_p={"x": torch.tensor([log_p])}, **more)


def computed(value):
    return {"d": SiteRun("d", "deterministic", torch.as_tensor(value)[None], [])}


def stacked_scores(runs, columns=None, failed=None, lost=None, first=0):
    stack = ScoreStack(columns or {}, lost, first)
    for i, run in enumerate(runs):
        stack.add(run, (failed or {}).get(i))
    return stack.whole()


def test_scores_stand_in_the_order_of_the_runs_and_invalid_ones_are_counted():
    runs = [
        score(1.0),
        score(2.0, notes={"x": Invalid("bad", 1)}),
        score(3.0, notes={"x": Invalid("bad", 1)}),
    ]
    whole = stacked_scores(runs)
    assert whole.log_p["x"].tolist() == [1.0, 2.0, 3.0]
    assert whole.notes == {"x": Invalid("bad", 2)}
    assert not whole.unnormalized
    scores = [score(1.0), score(2.0, unnormalized={"x"})]
    assert stacked_scores(scores).unnormalized == {"x"}


def test_a_score_that_is_missing_is_nan_for_a_lost_particle_and_an_error_for_another():
    columns = {"x": to_column(SiteRun("x", "latent", torch.tensor([1.0, 2.0]), []), 2)}
    runs, failed = [score(1.0), ScoredRun()], {1: ProgramError("it broke")}
    whole = stacked_scores(runs, columns, failed, torch.tensor([False, True]))
    assert whole.log_p["x"].isnan().tolist() == [False, True]
    with pytest.raises(ProgramError, match="particle 1, at x = 2: it broke"):
        stacked_scores(runs, columns, failed)
    with pytest.raises(ProgramError, match="site 'x' of the model is in particle 0 and not in particle 1"):
        stacked_scores(runs, columns)


def test_failures_before_the_first_score_are_compared_with_it():
    columns = {"x": to_column(SiteRun("x", "latent", torch.tensor([1.0, 2.0]), []), 2)}
    runs, failed = [ScoredRun(), score(1.0)], {0: ProgramError("it broke")}
    whole = stacked_scores(runs, columns, failed, torch.tensor([True, False]))
    assert whole.log_p["x"].isnan().tolist() == [True, False]
    with pytest.raises(ProgramError, match="particle 0, at x = 1: it broke"):
        stacked_scores(runs, columns, failed)
    with pytest.raises(ProgramError, match="particle 100, at x = 1: it broke"):
        stacked_scores(runs, columns, failed, first=100)
    with pytest.raises(ProgramError, match="every particle failed: it broke"):
        stacked_scores(runs[:1], columns, failed)


@pytest.mark.parametrize("sites", ["log_p", "deterministic"])
@pytest.mark.parametrize("first", [0, 100])
def test_scores_must_have_the_same_sites_whichever_comes_first(sites, first):
    without = ScoredRun(log_p={"y": torch.zeros(1)})
    found = {"log_p": without.log_p | {"d": torch.zeros(1)}, "deterministic": computed(1.0)}[sites]
    runs = [without, dataclasses.replace(without, **{sites: found})]
    has, lacks = f"particle {first + 1}", f"particle {first}"
    for order in (runs, runs[::-1]):
        with pytest.raises(ProgramError, match=f"site 'd' of the model is in {has} and not in {lacks}:"):
            stacked_scores(order, first=first)
        has, lacks = lacks, has


@pytest.mark.parametrize("other", [[1.0, 2.0], 1])
def test_computed_values_must_have_the_same_shape_and_dtype_whichever_comes_first(other):
    runs = [score(0.0, deterministic=computed(1.0)), score(0.0, deterministic=computed(other))]
    shapes = [str(tuple(run.deterministic["d"].value.shape[1:])) for run in runs]
    dtypes = [run.deterministic["d"].value.dtype for run in runs]
    for order in ((0, 1), (1, 0)):
        (one, last), (dtype, last_dtype) = ([of[i] for i in order] for of in (shapes, dtypes))
        message = (
            f"site 'd' of the model has shape {last} and dtype {last_dtype} in particle 1, {one} and {dtype} "
            f"in another: every particle must have the same"
        )
        with pytest.raises(ProgramError, match=re.escape(message)):
            stacked_scores([runs[i] for i in order])


def test_a_particle_that_fails_may_lack_computed_values_or_have_others():
    runs = [
        score(0.0, deterministic=computed([1.0])),
        score(0.0),
        score(0.0, deterministic=computed([1.0, 2.0])),
    ]
    failed = dict.fromkeys((1, 2), ProgramError("it broke"))
    whole = stacked_scores(runs, failed=failed)
    assert whole.deterministic["d"].value.isnan().tolist() == [[False], [True], [True]]


SCORES = {
    "log densities": lambda i: score(float(i), observed=["y"], kinds={"x": "latent"}),
    "notes": lambda i: score(float(i), notes={"x": Invalid("bad", 1)} if i % LATE == 5 else {}),
    "unnormalized late": lambda i: score(float(i), unnormalized={"x"} if i == LATE else set()),
    "computed": lambda i: score(float(i), deterministic=computed([float(i), 1.0])),
    "computed whole numbers": lambda i: score(float(i), deterministic=computed(i)),
}


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("failed", [(), (0,), range(LATE), range(2, LATE + _TOGETHER), range(LATE, NUM)])
def test_many_scores_give_what_they_give_at_once(kind, failed, monkeypatch):
    failures = {i: ProgramError(f"failure {i}") for i in failed}
    runs = [ScoredRun() if i in failures else SCORES[kind](i) for i in range(NUM)]
    lost = torch.tensor([i in failures for i in range(NUM)])
    found = stacked_scores(runs, None, failures, lost)
    monkeypatch.setattr(stacking, "_TOGETHER", NUM + 1)
    whole = stacked_scores(runs, None, failures, lost)
    torch.testing.assert_close(found.log_p, whole.log_p, rtol=0, atol=0, equal_nan=True)
    values = [{name: site.value for name, site in each.deterministic.items()} for each in (found, whole)]
    torch.testing.assert_close(*values, rtol=0, atol=0, equal_nan=True)
    for field in ("observed", "notes", "unnormalized", "kinds"):
        assert getattr(found, field) == getattr(whole, field)


def test_few_scores_stay_by_themselves():
    stack, alive = ScoreStack({}, None), weakref.WeakSet()
    for i in range(NUM):
        run = score(float(i))
        alive.add(run.log_p["x"])
        stack.add(run)
        del run
        assert len(alive) <= _TOGETHER + 1
    assert stack.whole().log_p["x"].tolist() == list(range(NUM))
