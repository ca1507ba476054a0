"""Densities of single distributions, against torch's own and against what they should be."""

import contextlib
import math

import pyro.distributions as dist
import pytest
import torch
from density_cases import TABLE, ZERO, N, affine, bad_parameter, draws, state_of
from pyro.distributions import transforms

from arviz_resampler.densities import density, kinds, parameters, support

# ---------------------------------------------------------------- inside the support


@pytest.mark.parametrize("name", TABLE)
def test_the_log_density_in_the_support_is_that_of_the_distribution(name):
    fn = TABLE[name]()
    value = draws(fn)
    result = density.log_prob(fn, value)
    assert result.dtype == torch.float64
    assert result.shape == (N, *fn.batch_shape)
    with support.lenient(parameters.nested(fn)):  # a component must not be asked about values of another
        expected = fn.log_prob(value)
    torch.testing.assert_close(result, expected.double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", TABLE)
def test_the_log_density_is_the_same_bits_for_a_known_support_and_in_an_expanded_batch(name):
    fn = TABLE[name]()
    value = draws(fn)
    result = density.log_prob(fn, value)
    key = support.support_key(fn)
    assert torch.equal(density.log_prob(fn, value, known=key), result)
    if name == "OneOneMatching":
        return  # has no batches
    expanded = TABLE[name]().expand((N, *fn.batch_shape))
    torch.testing.assert_close(density.log_prob(expanded, value), result, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", TABLE)
def test_a_distribution_is_left_as_it_was_found(name):
    fn = TABLE[name]()
    value = draws(fn)
    for part, _ in state_of(fn):
        part._validate_args = True
    before = state_of(fn)
    density.log_prob(fn, value)
    support.support_key(fn)
    bad_parameter(fn)
    after = state_of(fn)
    assert len(after) == len(before)
    for (part, now), (same, then) in zip(after, before, strict=True):
        assert part is same
        assert now.get("_validate_args") == then.get("_validate_args")
        assert all(now[key] is then[key] for key in then)


@pytest.mark.parametrize("explicit", [True, False, None])
def test_validation_is_back_where_it_was_after_scoring_and_after_a_failure(explicit):
    class Broken(dist.Normal):
        def log_prob(self, value):
            raise RuntimeError("broken")

    for fn in (dist.Normal(0.0, 1.0), Broken(0.0, 1.0)):
        vars(fn).pop("_validate_args", None)
        if explicit is not None:
            fn._validate_args = explicit
        before = dict(vars(fn))
        with pytest.raises(RuntimeError) if isinstance(fn, Broken) else contextlib.nullcontext():
            density.log_prob(fn, torch.tensor([0.0]))
        assert vars(fn) == before


def test_a_value_outside_the_support_does_not_meet_sample_validation():
    fn = dist.Exponential(1.0, validate_args=True).expand([2]).to_event(1)
    assert density.log_prob(fn, torch.tensor([[1.0, -1.0]])).item() == -math.inf
    with pytest.raises(ValueError, match="support"):
        fn.log_prob(torch.tensor([[1.0, -1.0]]))


def test_events_are_summed_in_float64():
    # One element of 2e5 after 20,000 of 1e-3: a sum in float32 would lose them.
    scale = torch.ones(20_001)
    value = torch.zeros(1, 20_001)
    value[0, 0] = 632.0
    fn = dist.Normal(torch.zeros(20_001), scale).to_event(1)
    exact = -0.5 * 632.0**2 - 20_001 * 0.5 * math.log(2 * math.pi)
    # float32 elements are off by 6e-8 of themselves each: 0.012 for the first, 1e-3 for the rest.
    assert density.log_prob(fn, value).item() == pytest.approx(exact, abs=0.02)


def test_a_float64_distribution_keeps_its_precision():
    fn = dist.Normal(torch.zeros((), dtype=torch.float64), 1.0)
    value = torch.tensor([1e-9], dtype=torch.float64)
    assert density.log_prob(fn, value).item() == pytest.approx(-0.5 * math.log(2 * math.pi), abs=1e-16)


def test_masks_count_in_a_model_and_not_where_something_was_drawn():
    plain = dist.Normal(torch.zeros(2), 1.0)
    value = draws(plain)
    own = density.log_prob(plain, value)
    some = plain.mask(torch.tensor([True, False]))
    assert torch.equal(density.log_prob(some, value)[:, 0], own[:, 0])
    assert (density.log_prob(some, value)[:, 1] == 0).all()
    assert torch.equal(density.log_prob(some, value, masks=False), own)
    assert (density.log_prob(plain.mask(False), value) == 0).all()
    assert torch.equal(density.log_prob(plain.mask(False), value, masks=False), own)
    assert torch.equal(density.log_prob(plain.mask(True), value), own)
    assert torch.equal(density.log_prob(some.to_event(1), value, masks=False), own.sum(-1))
    assert torch.equal(density.log_prob(some.to_event(1), value), own[:, 0])


def test_a_masked_element_hides_what_is_outside_the_support():
    fn = dist.Exponential(torch.ones(2)).mask(torch.tensor([True, False]))
    assert density.log_prob(fn, torch.tensor([[1.0, -1.0]])).tolist() == [[-1.0, 0.0]]


def test_masks_inside_mixtures_are_left_out_where_something_was_drawn():
    inner = dist.Normal(torch.zeros(2), 1.0)
    masked = dist.MaskedMixture(torch.tensor([True, False]), inner.mask(False), inner.mask(False))
    value = draws(inner)
    assert torch.equal(density.log_prob(masked, value, masks=False), density.log_prob(inner, value))


def test_an_independent_of_zero_dims_is_no_more_than_its_base():
    base = dist.Normal(torch.zeros(3), 1.0)
    value = draws(base)
    result = density.log_prob(dist.Independent(base, 0), value)
    assert result.shape == (N, 3)
    assert torch.equal(result, density.log_prob(base, value))
    assert support.support_key(dist.Independent(base, 0)) == support.support_key(base)
    assert kinds.is_kind(dist.Independent(dist.Delta(ZERO), 0), "Delta")


# ---------------------------------------------------------------- outside the support

OUTSIDE = [
    (dist.Exponential(1.0), -1.0),
    (dist.Gamma(2.0, 1.0), -0.5),
    (dist.Chi2(3.0), -0.5),
    (dist.InverseGamma(2.0, 1.0), -0.5),
    (dist.LogNormal(0.0, 1.0), -0.5),
    (dist.LogNormal(0.0, 1.0), 0.0),
    (dist.HalfNormal(1.0), -0.5),
    (dist.HalfCauchy(1.0), -0.5),
    (dist.Weibull(1.0, 1.5), -0.5),
    (dist.Pareto(2.0, 3.0), 1.5),
    (dist.Beta(2.0, 3.0), 1.5),
    (dist.Beta(2.0, 3.0), -0.5),
    (dist.Kumaraswamy(2.0, 3.0), 1.5),
    (dist.ContinuousBernoulli(0.3), 1.5),
    (dist.RelaxedBernoulli(torch.tensor(0.5), torch.tensor(0.3)), 1.5),
    (dist.AffineBeta(torch.tensor(2.0), torch.tensor(3.0), 1.0, 4.0), 0.5),
    (dist.Uniform(0.0, 1.0), 1.5),
    (dist.FoldedDistribution(dist.Normal(0.5, 1.0)), -0.5),
    (dist.VonMises(torch.tensor(0.0), torch.tensor(4.0)), 2 * math.pi),
    (dist.Stable(0.5, 1.0, 1.0, 0.0), -3.0),
    (dist.Bernoulli(0.5), 0.5),
    (dist.Bernoulli(0.5), 2.0),
    (dist.Poisson(3.0), 1.5),
    (dist.Poisson(3.0), -1.0),
    (dist.Geometric(0.3), 1.5),
    (dist.Geometric(0.3), -1.0),
    (dist.Binomial(3, torch.tensor(0.3)), 4.0),
    (dist.Binomial(3, torch.tensor(0.3)), 1.5),
    (dist.BetaBinomial(2.0, 3.0, 3), 4.0),
    (dist.NegativeBinomial(3.0, 0.3), -1.0),
    (dist.Categorical(torch.ones(3)), 3.0),
    (dist.Categorical(torch.ones(3)), -1.0),
    (dist.Categorical(torch.ones(3)), 0.5),
    (dist.OrderedLogistic(ZERO, torch.tensor([-1.0, 1.0])), 3.0),
    (dist.ZeroInflatedPoisson(torch.tensor(3.0), gate=torch.tensor(0.3)), 1.5),
    (dist.ZeroInflatedDistribution(dist.LogNormal(0.0, 1.0), gate=torch.tensor(0.3)), -0.5),
    (dist.Delta(torch.tensor(1.0)), 1.5),
    (dist.Multinomial(4, torch.ones(3)), [1.0, 1.0, 1.0]),
    (dist.Multinomial(4, torch.ones(3)), [3.0, 3.0, 3.0]),
    (dist.Multinomial(4, torch.ones(3)), [1.5, 1.5, 1.0]),
    (dist.DirichletMultinomial(torch.ones(3), 4), [1.0, 1.0, 1.0]),
    (dist.OneHotCategorical(torch.ones(3)), [1.0, 1.0, 0.0]),
    (dist.OneHotCategorical(torch.ones(3)), [0.5, 0.5, 0.0]),
    (dist.Dirichlet(torch.ones(3)), [0.5, 0.7, -0.2]),
    (dist.Dirichlet(torch.ones(3)), [0.5, 0.5, 0.5]),
    (dist.LogisticNormal(torch.zeros(2), torch.ones(2)), [0.5, 0.5, 0.5]),
    (dist.LKJCholesky(2, 1.0), [[1.0, 0.0], [1.0, 1.0]]),
    (dist.Wishart(torch.tensor(3.0), torch.eye(2)), [[1.0, 2.0], [2.0, 1.0]]),
    (dist.ProjectedNormal(torch.zeros(3)), [1.0, 1.0, 1.0]),
    (dist.SineBivariateVonMises(ZERO, ZERO, torch.ones(()), torch.ones(()), ZERO), [0.0, 4.0]),
    (affine(dist.Exponential(1.0)), 0.5),
    (affine(dist.LogNormal(0.0, 1.0)), 0.5),
    (affine(dist.Normal(0.0, 1.0), transforms.ExpTransform()), 0.5),
    (affine(dist.Normal(0.0, 1.0), transforms.SigmoidTransform()), 3.5),
    (affine(dist.Normal(0.0, 1.0), transforms.ComposeTransform([transforms.ExpTransform()])), 0.5),
    (dist.TransformedDistribution(dist.Normal(0.0, 1.0), transforms.ExpTransform()), -0.5),
    (dist.TransformedDistribution(dist.Uniform(0.0, 1.0), transforms.ExpTransform()), 3.0),
    (affine(dist.Dirichlet(torch.ones(3))), [1.0, 1.0, 1.5]),
    (
        dist.TransformedDistribution(
            dist.Normal(torch.zeros(3), 1.0).to_event(1), transforms.OrderedTransform()
        ),
        [0.0, 2.0, 1.0],
    ),
    (
        dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), dist.Exponential(torch.tensor([1.0, 2.0]))),
        -0.5,
    ),
    (
        dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), dist.Categorical(torch.ones(2, 3))),
        3.0,
    ),
]
if hasattr(dist, "GeneralizedPareto"):  # of later versions of torch
    OUTSIDE.append((dist.GeneralizedPareto(1.0, 1.0, 0.2), 0.5))


@pytest.mark.parametrize(("fn", "value"), OUTSIDE, ids=[f"{type(f).__name__}-{v}" for f, v in OUTSIDE])
def test_the_log_density_outside_the_support_is_minus_infinity(fn, value):
    inside = draws(fn, 3).float()
    values = torch.cat([inside, torch.as_tensor(value).expand_as(inside[:1])])
    result = density.log_prob(fn, values)
    assert result[:3].isfinite().all()
    assert result[3] == -math.inf


def test_what_is_outside_for_all_particles_at_once_does_not_crash():
    # Each particle has one category too many, so none of them can stand in for the others.
    fn = dist.Categorical(torch.ones(3)).expand([2])
    value = torch.tensor([[3, 0], [0, 3]])
    assert (density.log_prob(fn, value) == -math.inf).tolist() == [[True, False], [False, True]]
    assert (density.log_prob(fn.to_event(1), value) == -math.inf).all()


def test_each_element_of_an_event_must_be_in_the_support():
    fn = dist.Gamma(2.0, 1.0).expand([2, 3]).to_event(1)
    value = torch.ones(4, 2, 3)
    value[1, 0, 2] = -1.0
    outside = density.log_prob(fn, value) == -math.inf
    assert outside.nonzero().tolist() == [[1, 0]]


def test_a_component_of_a_mixture_counts_in_its_own_support_alone():
    # At 2, Pareto(scale=5) has no density, whatever its log_prob says there.
    one = dist.Pareto(1.0, 3.0)
    both = dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), dist.Pareto(torch.tensor([1.0, 5.0]), 3.0))
    expected = one.log_prob(torch.tensor(2.0)).item() - math.log(2)
    assert density.log_prob(both, torch.tensor([2.0])).item() == pytest.approx(expected, abs=1e-6)


def test_each_side_of_a_masked_mixture_has_its_own_support():
    fn = dist.MaskedMixture(torch.tensor([False, True]), dist.Normal(0.0, 1.0), dist.Exponential(1.0))
    result = density.log_prob(fn, torch.tensor([[-1.0, -1.0], [-1.0, 1.0]]))
    assert result[0, 0].isfinite()
    assert result[0, 1] == -math.inf
    assert result[1, 1].item() == -1.0


@pytest.mark.parametrize("other", [dist.Delta(torch.tensor(0.0)), dist.Poisson(2.0)])
def test_a_masked_mixture_of_two_kinds_has_no_density(other):
    normal = dist.Normal(0.0, 1.0)
    for parts in ((normal, other), (other, normal)):
        with pytest.raises(NotImplementedError, match="components: it has no density"):
            density.log_prob(dist.MaskedMixture(torch.tensor(True), *parts), torch.zeros(3))


def test_a_folded_distribution_counts_its_base_where_that_has_a_density():
    fn = dist.FoldedDistribution(dist.Exponential(2.0))
    assert density.log_prob(fn, torch.tensor([1.0])).item() == pytest.approx(math.log(2) - 2)


@pytest.mark.parametrize("base", [dist.Normal(0.0, 1.0), dist.LogNormal(0.0, 1.0), dist.Gamma(2.0, 1.0)])
def test_a_zero_inflated_density_has_the_mass_of_the_gate_at_zero(base):
    fn = dist.ZeroInflatedDistribution(base, gate=torch.tensor(0.3))
    result = density.log_prob(fn, torch.tensor([0.0, 1.0])).exp()
    assert result[0].item() == pytest.approx(0.3, abs=1e-6)
    assert result[1].item() == pytest.approx(0.7 * base.log_prob(torch.tensor(1.0)).exp().item(), abs=1e-6)


def test_a_zero_inflated_count_has_the_mass_of_both_at_zero():
    fn = dist.ZeroInflatedDistribution(dist.Poisson(1.0), gate=torch.tensor(0.3))
    total = density.log_prob(fn, torch.arange(30.0)).exp()
    assert total[0].item() == pytest.approx(0.3 + 0.7 * math.exp(-1), abs=1e-6)
    assert total.sum().item() == pytest.approx(1.0, abs=1e-6)


def test_zeros_of_a_zero_inflated_guide_have_no_mass_under_a_density():
    guide = dist.ZeroInflatedDistribution(dist.Normal(0.0, 1.0), gate=torch.tensor(0.3))
    known = support.support_key(guide)
    value = torch.tensor([0.0, 1.0])
    assert density.log_prob(dist.Normal(0.0, 1.0), value, known=known)[0] == -math.inf
    assert density.log_prob(dist.Normal(0.0, 1.0), value)[0].isfinite()
    assert density.log_prob(guide, value, known=known).isfinite().all()
    counts = support.support_key(dist.ZeroInflatedPoisson(torch.tensor(1.0), gate=torch.tensor(0.3)))
    assert density.log_prob(dist.Poisson(1.0), value, known=counts).isfinite().all()


def test_a_stable_distribution_with_full_skew_has_half_a_line():
    torch.manual_seed(0)
    for skew in (-1.0, 1.0):
        for coords in ("S", "S0"):
            fn = dist.Stable(0.5, skew, 2.0, 1.0, coords=coords)
            value = fn.sample((2000,))
            assert support._inside(fn, value).all()
            # The law of (x - edge) is that of 1 / Z**2 in scale: half the draws are beyond 2.2 scales.
            edge = 1.0 - (skew * 2.0 * math.tan(math.pi / 4) if coords == "S0" else 0.0)
            assert not support._inside(fn, torch.tensor([edge - skew])).any()
    assert support.support_key(dist.Stable(1.5, 1.0)) == support.support_key(dist.Normal(0.0, 1.0))


def test_the_support_of_an_elu_reaches_down_to_minus_one():
    base = dist.Normal(0.0, 1.0)
    fn = dist.TransformedDistribution(base, transforms.ELUTransform(), validate_args=False)
    value = draws(fn)
    assert (value < 0).any()
    torch.testing.assert_close(density.log_prob(fn, value), fn.log_prob(value.clone()).double())
    assert density.log_prob(fn, torch.tensor([-1.5])).item() == -math.inf


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_a_matrix_that_is_made_of_a_vector_is_inside_or_not_by_itself(batch):
    base = dist.Normal(torch.zeros(3), 1.0).to_event(1)
    fn = dist.TransformedDistribution(base, transforms.CorrCholeskyTransform()).expand(batch)
    value = draws(fn, 4)
    expected = fn.log_prob(value.clone())
    torch.testing.assert_close(density.log_prob(fn, value), expected.double(), rtol=1e-5, atol=1e-5)
    value = torch.cat([value, 2 * value[:1]])
    log_prob = density.log_prob(fn, value)
    torch.testing.assert_close(log_prob[:4], expected.double(), rtol=1e-5, atol=1e-5)
    assert (log_prob[4] == -math.inf).all()


def test_rounding_of_a_long_simplex_is_no_reason_to_be_outside():
    # A softmax of 10,000 numbers in float32 misses one by more than the 1e-6 that torch allows.
    torch.manual_seed(0)
    value = torch.softmax(3 * torch.randn(200, 10_000), -1)
    fn = dist.Dirichlet(torch.ones(10_000))
    assert not fn.support.check(value).all()
    assert density.log_prob(fn, value).isfinite().all()


def test_the_extremes_of_a_gumbel_are_in_its_support():
    # Its base, a uniform, is at its end there in float32.
    fn = dist.Gumbel(0.0, 1.0)
    assert density.log_prob(fn, torch.tensor([20.0])).item() == pytest.approx(-20.0, abs=1e-4)


@pytest.mark.parametrize(
    "fn",
    [
        dist.Bernoulli(0.3),
        dist.Binomial(1, torch.tensor(0.3)),
        dist.Poisson(1.0),
        dist.Geometric(0.3),
        dist.NegativeBinomial(3.0, 0.3),
        dist.BetaBinomial(2.0, 3.0, 1),
        dist.ZeroInflatedPoisson(torch.tensor(3.0), gate=torch.tensor(0.3)),
        dist.Categorical(torch.ones(2)),
    ],
)
def test_whole_numbers_of_a_categorical_are_scored_by_any_count(fn):
    value = torch.tensor([0, 1, 1])
    expected = fn.log_prob(value.float()).double()
    torch.testing.assert_close(density.log_prob(fn, value), expected)
    torch.testing.assert_close(density.log_prob(fn.expand([3]).to_event(1), value[None])[0], expected.sum())
    assert density.log_prob(dist.Bernoulli(0.3), torch.tensor([0, 2]))[1] == -math.inf


def test_a_support_that_cannot_be_told_is_taken_to_hold():
    fn = dist.Rejector(dist.Normal(0.0, 1.0), torch.zeros_like, ZERO)
    value = draws(dist.Normal(0.0, 1.0))
    torch.testing.assert_close(density.log_prob(fn, value), fn.log_prob(value).double())
    assert support.support_key(fn) is None
    assert not kinds.is_discrete(fn)
    assert not kinds.is_continuous(fn)


def test_an_error_inside_the_support_is_not_hidden():
    class Broken(dist.Exponential):
        def log_prob(self, value):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        density.log_prob(Broken(1.0), torch.tensor([1.0]))


@pytest.mark.parametrize(
    "fn",
    [
        dist.Empirical(torch.arange(3.0), torch.zeros(3)),
        dist.RelaxedBernoulliStraightThrough(torch.tensor(0.5), logits=ZERO),
        dist.RelaxedOneHotCategoricalStraightThrough(torch.tensor(0.5), logits=torch.zeros(3)),
    ],
)
def test_what_has_no_density_says_so_by_name(fn):
    for wrapped in (fn, fn.expand([2]) if fn.has_rsample else fn):
        with pytest.raises(NotImplementedError, match=type(fn).__name__):
            density.log_prob(wrapped, fn.sample((4,)))


def test_a_flow_without_an_inverse_has_no_density():
    fn = dist.TransformedDistribution(dist.Normal(torch.zeros(2), 1.0).to_event(1), [transforms.planar(2)])
    with pytest.raises(NotImplementedError, match="cannot be inverted"):
        density.log_prob(fn, draws(fn).detach().clone())
