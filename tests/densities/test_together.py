"""Densities of particles that ran one at a time, asked for all of them at once."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import Resampler
from arviz_resampler.densities import density
from arviz_resampler.densities.together import asked_later, log_prob_of_each

NUM = 12
KINDS = {
    "Normal": lambda a, b: dist.Normal(a, b),
    "Laplace": lambda a, b: dist.Laplace(a, b),
    "Cauchy": lambda a, b: dist.Cauchy(a, b),
    "StudentT": lambda a, b: dist.StudentT(b + 1, a, b),
    "Gamma": lambda a, b: dist.Gamma(a.abs() + 1, b),
    "Exponential": lambda _, b: dist.Exponential(b),
    "scalar beside a vector": lambda a, b: dist.Normal(0.0, b),
    "an expanded one": lambda a, b: dist.Normal(a.sum(), b.sum()).expand(a.shape),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 1), (1001,)])
def test_the_answer_is_that_of_each_by_itself(kind, shape):
    torch.manual_seed(0)
    fns = [KINDS[kind](torch.randn(shape), torch.rand(shape) + 0.5) for _ in range(NUM)]
    values = torch.stack([fn() for fn in fns])
    values[0] = -1.5  # outside the support of some
    asked = [asked_later(fn, None) for fn in fns]
    assert len({one.key for one in asked}) == 1
    each = torch.cat([density.log_prob(fn, value[None]) for fn, value in zip(fns, values, strict=True)])
    torch.testing.assert_close(log_prob_of_each(asked, values).double(), each, rtol=1e-6, atol=1e-6)


def test_one_distribution_stands_for_those_of_its_class_and_shape():
    first = asked_later(dist.Normal(torch.zeros(2), 1.0), None)
    same = asked_later(dist.Normal(torch.ones(2), 3.0), first)
    assert same.fn is first.fn
    assert same.parameters[1].tolist() == [3.0, 3.0]
    for other in (dist.Normal(0.0, 1.0), dist.Laplace(torch.zeros(2), 1.0)):
        assert asked_later(other, first).fn is other


def test_what_becomes_of_a_parameter_after_the_draw_does_not_count():
    scale = torch.tensor(1.0)
    asked = asked_later(dist.Normal(0.0, scale), None)
    assert asked is not None
    scale += 100.0
    assert log_prob_of_each([asked], torch.zeros(1)).item() == pytest.approx(-0.918938533)


def test_distributions_that_cannot_be_stacked_are_not_put_off():
    class Mine(dist.Normal):
        def log_prob(self, value):
            return super().log_prob(value) + 1

    mine, masked = Mine(0.0, 1.0), dist.Normal(0.0, 1.0).mask(False)
    for fn in (mine, masked, dist.LogNormal(0.0, 1.0), dist.Uniform(0.0, 1.0), dist.Beta(1.0, 1.0)):
        assert asked_later(fn, None) is None


def guide():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    if a > 0:  # another class, another shape of the parameters, and one that is not put off
        return pyro.sample("b", dist.Normal(a, 1.0))
    if a > -0.5:
        return pyro.sample("b", dist.StudentT(5.0, a, 1.0))
    return pyro.sample("b", dist.LogNormal(a, 1.0))


def test_particles_whose_distributions_differ_are_each_scored_by_their_own():
    resampler = Resampler(guide, num_guide_samples=200, random_seed=0, vectorize=False, progressbar=False)
    columns = resampler.pipeline.particles.columns
    a, b = (columns[name].value for name in "ab")
    expected = torch.where(
        a > 0,
        dist.Normal(a, 1.0).log_prob(b),
        torch.where(
            a > -0.5,
            dist.StudentT(5.0, a, 1.0).log_prob(b),
            dist.LogNormal(a, 1.0).log_prob(b.clamp(min=1e-9)),
        ),
    )
    assert min((a > 0).sum(), (a > -0.5).sum() - (a > 0).sum(), (a <= -0.5).sum()) > 10
    torch.testing.assert_close(columns["b"].log_q, expected, rtol=1e-6, atol=1e-6, check_dtype=False)


def test_particles_that_fail_leave_the_densities_of_the_others_as_they_are():
    def simulator():
        x = guide_x()
        y = pyro.sample("y", dist.Normal(x, 1.0))
        if x > 1:
            raise ValueError("diverged")
        pyro.sample("z", dist.Normal(y, 1.0))

    def guide_x():
        return pyro.sample("x", dist.Normal(0.0, 1.0))

    with pytest.warns(match="failed"):
        resampler = Resampler(
            guide_x,
            simulator,
            num_guide_samples=100,
            random_seed=0,
            vectorize=False,
            on_error="mask",
            progressbar=False,
        )
    columns = resampler.pipeline.particles.columns
    failed = columns["x"].value > 1
    assert 5 < failed.sum() < 50
    assert torch.equal(columns["z"].log_q.isnan(), failed)
    y, z = (columns[name].value[~failed] for name in "yz")
    torch.testing.assert_close(
        columns["z"].log_q[~failed], dist.Normal(y, 1.0).log_prob(z), check_dtype=False
    )
