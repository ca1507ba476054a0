"""A model at cached values: densities by site, in the order of the program."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import MismatchError, ProgramError, Resampler
from arviz_resampler.mapping.streams import Streams
from arviz_resampler.programs.columns import to_column
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.runs import SiteRun
from arviz_resampler.programs.score_handler import ScoreHandler

VALUES = torch.tensor([0.5, -1.0, 2.0])
COLUMNS = {
    "x": to_column(SiteRun("x", "latent", VALUES, []), 3),
    "y": to_column(SiteRun("y", "latent", VALUES[:, None] * torch.ones(2), [("p", 2)]), 3),
    "d": to_column(SiteRun("d", "deterministic", VALUES, []), 3),
}


def score(program, *, row=None, **options):
    handler = ScoreHandler(COLUMNS, **options)
    if row is None:
        Program(program, "model").run_mapped(handler, 3, Streams(0))
    else:
        Program(program, "model").run_one(handler, row)
    return handler


def model():
    x = pyro.sample("x", dist.Normal(1.0, 2.0))
    with pyro.plate("p", 2):
        pyro.sample("y", dist.Laplace(x, 1.0))


EXPECTED = {
    "x": dist.Normal(1.0, 2.0).log_prob(VALUES),
    "y": dist.Laplace(VALUES[:, None], 1.0).log_prob(COLUMNS["y"].value).sum(-1),
}


@pytest.mark.parametrize("row", [None, 0, 2])
def test_densities_are_summed_over_plates(row):
    log_p = score(model, row=row).score.log_p
    assert list(log_p) == ["x", "y"]
    for name, expected in EXPECTED.items():
        torch.testing.assert_close(
            log_p[name].double(), (expected if row is None else expected[row : row + 1]).double()
        )


@pytest.mark.parametrize("row", [None, 1])
def test_masks_scales_and_factors_count_as_they_are_written(row):
    def program():
        with pyro.poutine.scale(scale=3.0):
            x = pyro.sample("x", dist.Normal(1.0, 2.0))
        mask = torch.tensor([True, False])
        with pyro.plate("p", 2), pyro.poutine.mask(mask=mask):
            pyro.sample("y", dist.Laplace(x, 1.0))
        mask[0] = False  # what counts is what it is in the end
        pyro.factor("f", -x)

    run = score(program, row=row).score
    index = slice(None) if row is None else slice(row, row + 1)
    torch.testing.assert_close(run.log_p["x"], (3 * EXPECTED["x"])[index])
    assert run.log_p["y"].tolist() == [0.0] * len(VALUES[index])
    torch.testing.assert_close(run.log_p["f"], -VALUES[index].double())
    assert list(run.log_p) == ["x", "y", "f"]
    assert run.unnormalized


def test_a_program_cannot_change_the_particles():
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        x += 1.0

    score(program)
    assert VALUES.tolist() == [0.5, -1.0, 2.0]


def test_a_run_may_end_once_all_sites_that_are_wanted_have_been_met():
    after = []

    def program():
        model()
        after.append(1)

    assert list(score(program, wanted=["x", "y"]).score.log_p) == ["x", "y"]
    assert after == []
    score(program)
    assert after == [1]


def test_each_site_is_shown_before_it_is_scored():
    met = []
    score(model, row=0, visit=lambda msg: met.append((msg["name"], msg["value"])))
    assert [entry for entry in met if entry[0] != "p"] == [("x", None), ("y", None)]


@pytest.mark.parametrize(
    ("name", "fn", "text"),
    [
        ("xx", dist.Normal(0.0, 1.0), "Did you mean 'x'"),
        ("x", dist.Poisson(1.0), "was drawn from a continuous distribution"),
        ("x", dist.Delta(torch.tensor(0.0)), "is a point mass"),
        ("d", dist.Normal(0.0, 1.0), "is drawn in the model, but deterministic in the particles"),
        ("x", dist.Normal(torch.zeros(3), 1.0).to_event(1), "has axes"),
    ],
)
def test_sites_that_do_not_fit_are_refused(name, fn, text):
    if name == "x" and isinstance(fn, dist.Poisson):
        column = {**vars(COLUMNS["x"]), "continuous": True}
        columns = {"x": type(COLUMNS["x"])(**column)}
    else:
        columns = COLUMNS
    with pytest.raises(MismatchError, match=text):
        Program(lambda: pyro.sample(name, fn), "model").run_one(ScoreHandler(columns), 0)


def test_an_invalid_parameter_is_nan_for_its_particles_and_an_error_for_all():
    def some():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(torch.zeros(2), x).to_event(1))

    run = score(some).score
    assert run.log_p["y"].isnan().tolist() == [False, True, False]
    assert run.notes["y"].particles == 1
    with pytest.raises(ProgramError, match="parameter 'scale' of Normal is -1"):
        score(lambda: pyro.sample("x", dist.Normal(0.0, torch.tensor(-1.0))))


def test_a_mask_on_a_distribution_leaves_the_normalizing_constant_unknown():
    guide = Resampler(lambda: pyro.sample("x", dist.Uniform(0.0, 2.0)), num_guide_samples=100, random_seed=0)
    for mask in (torch.tensor(False), torch.tensor(True)):
        weights = guide.weigh(lambda mask=mask: pyro.sample("x", dist.Uniform(0.0, 2.0).mask(mask)))
        assert weights.unnormalized == ("x",)


def extended():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.deterministic("mean", 2 * x)
    pyro.sample("y", dist.Normal(x, 1.0))


def posterior(name):
    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor(name, -0.5 * (0.5 - x) ** 2)

    return program


def test_a_factor_with_the_name_of_a_drawn_site_is_refused():
    resampler = Resampler(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)), extended, num_guide_samples=100)
    with pytest.raises(
        MismatchError, match=r"site 'y' is a factor.*drawn for the particles.*name of its own"
    ):
        resampler.weigh(posterior("y"))


@pytest.mark.parametrize("name", ["data", "mean"])
def test_a_factor_with_another_name_counts_by_itself(name):
    guide = lambda: pyro.sample("x", dist.Normal(0.0, 1.0))  # noqa: E731
    resampler = Resampler(guide, extended, num_guide_samples=20_000, random_seed=0)
    weights = resampler.weigh(posterior(name))
    x = resampler.weighted(guide)[0]["x"].values
    assert abs(weights.mean(x) - 0.25) < 5 * weights.mcse(x)  # normal prior and likelihood of sd 1, data 0.5
