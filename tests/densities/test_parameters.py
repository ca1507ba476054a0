"""Parameters of distributions: bad ones are found and named, repeated ones are looked at once."""

import math

import pyro.distributions as dist
import pytest
import torch
from density_cases import TABLE, ZERO, bad_parameter, unchecked
from pyro.distributions import constraints

from arviz_resampler.densities import density, parameters
from arviz_resampler.mapping.functorch import map_particles


@pytest.mark.parametrize(
    ("make", "name", "part"),
    [
        (lambda: dist.Normal(0.0, -1.0), "scale", "Normal"),
        (lambda: dist.Normal(math.nan, 1.0), "loc", "Normal"),
        (lambda: dist.Normal(0.0, -1.0).expand([3]).to_event(1), "scale", "Normal"),
        (lambda: dist.LogNormal(0.0, -1.0), "scale", "Normal"),
        (lambda: dist.Gamma(-1.0, 1.0).mask(False), "concentration", "Gamma"),
        (lambda: dist.Bernoulli(1.5), "probs", "Bernoulli"),
        (lambda: dist.Categorical(torch.tensor([1.5, -0.5])), "probs", "Categorical"),
        (lambda: dist.Dirichlet(torch.tensor([1.0, 0.0])), "concentration", "Dirichlet"),
        (
            lambda: dist.MixtureSameFamily(
                dist.Categorical(torch.ones(2)),
                dist.Normal(torch.zeros(2), torch.tensor([1.0, -1.0])),
            ),
            "scale",
            "Normal",
        ),
        (
            lambda: dist.MultivariateNormal(
                torch.zeros(2), scale_tril=torch.tensor([[1.0, 0.0], [0.0, -1.0]])
            ),
            "scale_tril",
            "MultivariateNormal",
        ),
    ],
)
def test_a_bad_parameter_is_named_with_its_distribution(make, name, part):
    with unchecked():
        fn = make()
    found = bad_parameter(fn)
    assert found is not None
    assert f"parameter '{name}" in found.text
    assert part in found.text
    assert found.bad.any()


def test_a_bad_entry_of_a_parameter_is_bad_for_the_one_particle_there_is():
    with unchecked():
        fn = dist.Normal(0.0, torch.tensor([1.0, -2.0, 3.0]))
    found = bad_parameter(fn)
    assert found.bad.tolist() == [True]
    assert "is -2" in found.text


@pytest.mark.parametrize("high", [0.0, -1.0, math.nan])
def test_a_uniform_without_room_has_a_bad_parameter(high):
    with unchecked():
        fn = dist.Uniform(0.0, high)
    assert bad_parameter(fn) is not None
    assert bad_parameter(dist.Uniform(0.0, 1.0)) is None


@pytest.mark.parametrize("name", TABLE)
def test_good_parameters_pass(name):
    assert bad_parameter(TABLE[name]()) is None


def test_a_distribution_without_constraints_on_its_arguments_passes():
    class Own(dist.TorchDistribution):
        support = constraints.real

        def log_prob(self, value):
            return -value.abs()

    own = Own(validate_args=False)
    assert bad_parameter(own) is None
    assert density.log_prob(own, torch.tensor([-2.0])).item() == -2.0


ELEMENTWISE = {method.__qualname__.split(".")[0] for method in parameters.ELEMENTWISE}


@pytest.mark.parametrize("name", sorted(ELEMENTWISE - {"Uniform"}))  # its bounds cannot be stretched alone
def test_repeated_parameters_give_the_density_of_single_ones(name):
    fn = TABLE[name]()
    batch = (50, *fn.batch_shape, 4)
    columns = {
        key: getattr(fn, key)[..., None] * (1 + torch.rand(50, *(1,) * len(fn.batch_shape), 1))
        for key in fn.arg_constraints
        if isinstance(vars(fn).get(key), torch.Tensor)
    }
    wide = type(fn)(**columns).expand(batch)
    assert any(0 in getattr(wide, key).stride() for key in columns)
    value = wide.sample()
    torch.testing.assert_close(
        density.log_prob(wide, value), wide.log_prob(value).double(), rtol=1e-5, atol=1e-6
    )
    assert all(getattr(wide, key).shape == batch for key in columns)  # the program's own is as it was


def test_tensors_are_found_wherever_a_distribution_holds_them():
    where = dist.Gumbel(torch.tensor(3.0), torch.tensor(1.0))  # holds a transform whose inverse holds it
    held = dist.Rejector(dist.Normal(0.0, 1.0), lambda x: x - three, ZERO)
    three = torch.tensor(3.0)
    for fn in (where, where.expand([2]).to_event(1), held):
        assert parameters.any_tensor(fn, lambda tensor: bool((tensor == 3).any()))
        assert not parameters.any_tensor(fn, lambda tensor: bool((tensor == 7).any()))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: dist.Normal(torch.zeros(2, 3), x.expand(2, 3)),
        lambda x: dist.Uniform(torch.zeros(3), x.expand(3)),
        lambda x: dist.Gamma(torch.ones(3), x).to_event(1),
    ],
)
def test_bad_parameters_are_flagged_particle_by_particle(make):
    found = []

    def look(particles):
        fn = make(particles.enter(torch.tensor([1.0, -1.0, 2.0, 0.0])))
        found.append(bad_parameter(fn, particles))

    with unchecked():
        map_particles(look, 4)
    assert found[0].bad.tolist() == [False, True, False, True]


def test_parameters_that_are_computed_when_asked_for_are_each_checked():
    names = [f"good_{i}" for i in range(30)] + ["bad"]
    positive = torch.distributions.constraints.positive
    computed = {name: property(lambda self: self.loc + 2.0) for name in names}
    computed["bad"] = property(lambda self: self.loc - 2.0)
    kind = type("Computed", (dist.Normal,), {"arg_constraints": dict.fromkeys(names, positive), **computed})
    # A tensor that is gone leaves its id to a later one: it must not pass for the same.
    found = bad_parameter(kind(0.0, 1.0, validate_args=False))
    assert found is not None
    assert "'bad'" in found.text


def test_a_bound_that_differs_between_particles_is_shown_for_one():
    low, high = torch.tensor([0.0, 2.0, 3.0]), torch.tensor([1.0, 1.25, 1.0])

    def work(particles):
        below = constraints.less_than(particles.enter(high))  # as newer versions of torch have for a Uniform
        check = parameters._within("parameter 'low'", particles.enter(low), below, particles)
        assert not check.passed
        said.append(check.fault())

    said = []
    with unchecked():
        map_particles(work, 3)
    assert said[0].text == "parameter 'low' is 2, but must be LessThan(upper_bound=1.25)"
    assert said[0].bad.tolist() == [False, True, True]
