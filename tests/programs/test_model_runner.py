"""A model at cached particles, mapped or one at a time: the same densities."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import ProgramError, ProgramWarning
from arviz_resampler.programs.columns import to_column
from arviz_resampler.programs.model_runner import early_end, look, run_model
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.runs import SiteRun

N = 5
VALUES = torch.linspace(-1.0, 2.0, N)
COLUMNS = {"x": to_column(SiteRun("x", "latent", VALUES, []), N)}


def generative():
    x = pyro.sample("x", dist.Normal(0.5, 2.0))
    pyro.sample("y", dist.Normal(x, 1.0), obs=torch.tensor(0.0))


def branching():
    x = pyro.sample("x", dist.Normal(0.5, 2.0))
    pyro.deterministic("d", x if x > 0 else -x)


def scores(fn, vectorize="auto", **options):
    return run_model(Program(fn, "model"), COLUMNS, N, vectorize, **options)


EXPECTED = dist.Normal(0.5, 2.0).log_prob(VALUES)


@pytest.mark.parametrize("vectorize", ["auto", True, False])
def test_a_model_has_the_same_densities_in_every_way(vectorize):
    run = scores(generative, vectorize)
    torch.testing.assert_close(run.log_p["x"], EXPECTED)
    assert run.observed == ["y"]
    assert run.singly == ""
    assert run.early == {"x"}


def test_a_model_that_cannot_be_mapped_runs_singly_and_says_why():
    run = scores(branching)
    torch.testing.assert_close(run.log_p["x"], EXPECTED)
    torch.testing.assert_close(run.deterministic["d"].value, VALUES.abs())
    assert run.singly.startswith("the model runs one particle at a time: a value that differs")
    with pytest.raises(ProgramError, match="the model cannot be mapped over particles"):
        scores(branching, True)


def test_a_model_ends_early_where_only_data_is_left():
    early = early_end(Program(generative, "model"), COLUMNS)
    assert early is not None
    assert (early.sites, early.observed) == ({"x"}, ["y"])
    run = scores(generative, early=early)
    torch.testing.assert_close(run.log_p["x"], EXPECTED)
    assert run.observed == ["y"]  # though the run did not come to it
    assert early_end(Program(branching, "model"), COLUMNS) is None


def test_linear_algebra_that_fails_has_no_density_but_for_particles_that_are_lost():
    def model():
        x = pyro.sample("x", dist.Normal(0.5, 2.0))
        pyro.factor("f", torch.linalg.cholesky(x.expand(1, 1)).sum())

    failed = VALUES < 0
    run = scores(model)
    assert run.log_p["f"].isnan().tolist() == failed.tolist()
    assert run.log_p["x"].isnan().sum() == 0  # it was met before
    assert run.notes["f"].particles == int(failed.sum())
    assert "f" not in scores(model, lost=failed).notes


def test_a_model_that_keeps_a_state_is_said_to_be_of_one_run():
    count = []

    def model():
        count.append(1)
        pyro.sample("x", dist.Normal(float(len(count)), 2.0))

    with pytest.warns(ProgramWarning, match="the density of the model is that of one run"):
        look(Program(model, "model"), COLUMNS)
    look(Program(generative, "model"), COLUMNS)  # a warning would be an error
