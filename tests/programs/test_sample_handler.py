"""A guide or simulator: what is drawn, what is replayed, and the density of both."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import MismatchError, ProgramError
from arviz_resampler.mapping.streams import Streams
from arviz_resampler.programs.columns import to_column
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.runs import SiteRun
from arviz_resampler.programs.sample_handler import SampleHandler

N = 6
VALUES = torch.linspace(-2.0, 3.0, N)
X = {"x": to_column(SiteRun("x", "latent", VALUES, []), N)}


def program():
    x = pyro.sample("x", dist.Normal(0.0, 2.0))
    pyro.sample("y", dist.Normal(x, 1.0), obs=torch.tensor(0.5))


def sample(program, *, role="guide", replay=None, predictive=(), given=None, streams=None):
    handler = SampleHandler(role, replay or {}, predictive, streams or Streams(0), given=given)
    Program(program, role).run_mapped(handler, N, handler.streams)
    return handler.found


def test_sites_are_drawn_with_their_density_and_data_are_kept():
    found = sample(program)
    x, y = found["x"], found["y"]
    assert len(x.value.unique()) == N
    torch.testing.assert_close(x.log_density, dist.Normal(0.0, 2.0).log_prob(x.value))
    torch.testing.assert_close(y.log_density, dist.Normal(x.value, 1.0).log_prob(y.value))
    assert (x.kind, y.kind) == ("latent", "observed")
    assert x.data is None
    assert y.data == 0.5


def test_draws_depend_on_the_seed_and_the_particle():
    first, again = sample(program), sample(program)
    assert torch.equal(first["x"].value, again["x"].value)
    assert not torch.equal(first["x"].value, sample(program, streams=Streams(1))["x"].value)


def test_replayed_sites_keep_their_values_and_have_a_density_where_they_are_predictive():
    found = sample(program, role="simulator", replay=X)
    assert torch.equal(found["x"].value, VALUES)
    assert found["x"].replayed
    assert found["x"].log_density is None
    again = sample(program, role="simulator", replay=X, predictive=["x"])
    torch.testing.assert_close(again["x"].log_density, dist.Normal(0.0, 2.0).log_prob(VALUES))


def test_what_an_earlier_try_has_drawn_is_no_replay():
    found = sample(program, given=X)
    assert torch.equal(found["x"].value, VALUES)
    assert not found["x"].replayed
    torch.testing.assert_close(found["x"].log_density, dist.Normal(0.0, 2.0).log_prob(VALUES))


def test_a_latent_without_a_value_is_refused_and_a_prediction_is_missing():
    def bad():
        x = pyro.sample("x", dist.Normal(0.0, 2.0))
        pyro.sample("z", dist.Normal(0.0, x))

    with pytest.raises(ProgramError, match="a particle without a value of a latent has no weight"):
        sample(bad, given=X)
    found = sample(bad, given=X, predictive=["z"])
    assert found["z"].bad.tolist() == (VALUES <= 0).tolist()
    assert found["z"].value.isnan().tolist() == (VALUES <= 0).tolist()


def test_a_site_may_not_be_drawn_by_the_guide_and_computed_by_the_simulator():
    with pytest.raises(MismatchError, match="deterministic in the simulator, but the guide draws it"):
        sample(lambda: pyro.deterministic("x", torch.tensor(1.0)), role="simulator", replay=X)


def test_draws_of_another_shape_than_the_distribution_says_are_refused():
    class Short(dist.Normal):
        def __call__(self):
            return super().__call__()[..., :2]

    with pytest.raises(ProgramError, match=r"have shape \(2,\), but it says \(3,\)"):
        sample(lambda: pyro.sample("x", Short(torch.zeros(3), 1.0)))
