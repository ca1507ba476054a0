"""Models that were scored before are known by their code."""

import functools
import pickle

import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import ProgramWarning, Resampler
from arviz_resampler.programs.program import Program
from arviz_resampler.scoring.seen import SeenModels


def make(scale):
    def model():
        mu = pyro.sample("mu", dist.Normal(0.0, scale))
        pyro.sample("y", dist.Normal(mu, 1.0), obs=torch.tensor(0.0))

    return model


def test_models_of_one_code_are_new_once():
    seen = SeenModels()
    assert seen.is_new(make(1.0))
    assert not seen.is_new(make(2.0))
    assert not seen.is_new(functools.partial(make(3.0)))
    assert seen.is_new(lambda: pyro.sample("mu", dist.Normal(0.0, 1.0)))
    module = torch.nn.Linear(1, 1)
    assert seen.is_new(module)
    assert seen.is_new(module)  # it may make its parts at first use


def test_a_model_is_said_to_run_singly_once_for_its_code():
    seen = SeenModels()
    seen.warn_once(make(1.0), "")
    with pytest.warns(ProgramWarning, match="slow"):
        seen.warn_once(make(1.0), "slow")
    seen.warn_once(make(2.0), "slow")  # a warning would be an error


def test_an_early_end_is_looked_for_where_it_is_expected():
    columns = Resampler(model_of_mu, num_guide_samples=3).pipeline.particles.columns
    seen = SeenModels()
    program = Program(make(1.0), "model")
    assert seen.early_end(program, columns) is None
    seen.expect_data(make(2.0))
    early = seen.early_end(program, columns)
    assert early.sites == {"mu"}
    assert early.observed == ["y"]


def test_an_early_end_that_there_is_not_is_looked_for_no_more():
    def model():
        pyro.sample("mu", dist.Normal(0.0, 1.0))
        looked.append(1)

    columns = Resampler(model_of_mu, num_guide_samples=3).pipeline.particles.columns
    looked, seen = [], SeenModels()
    seen.expect_data(model)
    program = Program(model, "model")
    assert seen.early_end(program, columns) is None
    assert seen.early_end(program, columns) is None
    assert len(looked) == 1


def model_of_mu():
    pyro.sample("mu", dist.Normal(0.0, 1.0))


def test_a_copy_has_seen_nothing():
    seen = SeenModels()
    seen.is_new(model_of_mu)
    assert pickle.loads(pickle.dumps(seen)).is_new(model_of_mu)
