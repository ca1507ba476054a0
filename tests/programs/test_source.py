import keyword
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import tensor

from arviz_resampler import Resampler
from arviz_resampler.programs.columns import select
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.source import write_source
from arviz_resampler.programs.source_parts import Unwritable, literal


def source(model, guide=None, size=400):
    """The source of a model, and a resampler whose particles it was read on."""
    resampler = Resampler(guide or model, num_guide_samples=size, random_seed=0)
    inside = tensor(resampler.weigh(model).log_ratio > -math.inf).nonzero()[:16, 0]
    columns = select(resampler.pipeline.particles.columns, inside)
    return write_source(Program(model, "model"), columns, len(inside)), resampler


def executed(text):
    namespace = {}
    exec(text, namespace)
    return namespace["prior"]


def check(model, guide=None):
    """The source of a model, which gives every particle the log density that the model gives."""
    text, resampler = source(model, guide)
    wanted, found = (resampler.weigh(program).log_ratio_by_site for program in (model, executed(text)))
    assert wanted.keys() == found.keys()
    for name in wanted:
        # Float32 has a relative error of 6e-8; sums over a site have less than a hundred terms.
        assert found[name] == pytest.approx(wanted[name], rel=1e-5, abs=1e-5), name
    return text


def body(text):
    return text.partition("def prior():\n")[2]


x = 0.1 + torch.arange(3.0) / 7  # no short decimals
ZOO = {
    "AffineBeta": lambda: dist.AffineBeta(tensor(2.3), tensor(2.0), 1.0, 3.0),
    "AsymmetricLaplace": lambda: dist.AsymmetricLaplace(0.1, 1.0, 1.5),
    "Bernoulli": lambda: dist.Bernoulli(0.3),
    "Bernoulli by logits": lambda: dist.Bernoulli(logits=tensor(0.3)),
    "Beta": lambda: dist.Beta(2.3, 1.7),
    "BetaBinomial": lambda: dist.BetaBinomial(2.3, 1.7, 12),
    "Binomial": lambda: dist.Binomial(12, 0.3),
    "Categorical": lambda: dist.Categorical(logits=x),
    "Cauchy": lambda: dist.Cauchy(0.1, 1.3),
    "Chi2": lambda: dist.Chi2(3.3),
    "ContinuousBernoulli": lambda: dist.ContinuousBernoulli(0.3),
    "Dirichlet": lambda: dist.Dirichlet(x),
    "DirichletMultinomial": lambda: dist.DirichletMultinomial(x, 5),
    "Exponential": lambda: dist.Exponential(1.3),
    "FoldedDistribution": lambda: dist.FoldedDistribution(dist.Normal(0.3, 1.1)),
    "Gamma": lambda: dist.Gamma(2.3, 1.7),
    "GammaPoisson": lambda: dist.GammaPoisson(2.3, tensor(1.7)),
    "Geometric": lambda: dist.Geometric(0.3),
    "Gumbel": lambda: dist.Gumbel(0.1, 1.3),
    "HalfCauchy": lambda: dist.HalfCauchy(1.3),
    "HalfNormal": lambda: dist.HalfNormal(1.3),
    "InverseGamma": lambda: dist.InverseGamma(2.3, 1.7),
    "Kumaraswamy": lambda: dist.Kumaraswamy(2.3, 1.7),
    "LKJCholesky": lambda: dist.LKJCholesky(2, 1.7),
    "Laplace": lambda: dist.Laplace(0.1, 1.3),
    "LogNormal": lambda: dist.LogNormal(0.1, 1.3),
    "LogNormal, a loc that is left out": lambda: dist.StudentT(3.3, 0.0, 2.0),
    "LowRankMultivariateNormal": lambda: dist.LowRankMultivariateNormal(x, torch.ones(3, 1), x),
    "Mixture": lambda: dist.MixtureSameFamily(dist.Categorical(x), dist.Normal(x, 0.3)),
    "Multinomial": lambda: dist.Multinomial(5, x),
    "MultivariateNormal": lambda: dist.MultivariateNormal(x, torch.eye(3) + 0.3),
    "MultivariateNormal by scale_tril": lambda: dist.MultivariateNormal(x, scale_tril=torch.diag(x)),
    "NegativeBinomial": lambda: dist.NegativeBinomial(3.0, 0.3),
    "OneHotCategorical": lambda: dist.OneHotCategorical(x),
    "OrderedLogistic": lambda: dist.OrderedLogistic(tensor(0.3), tensor([-1.0, 0.0, 1.0])),
    "Pareto": lambda: dist.Pareto(1.0, 2.3),
    "Poisson": lambda: dist.Poisson(3.3),
    "RelaxedBernoulli": lambda: dist.RelaxedBernoulli(tensor(2.0), probs=tensor(0.3)),
    "SkewLogistic": lambda: dist.SkewLogistic(0.1, 1.0, 1.5),
    "SoftLaplace": lambda: dist.SoftLaplace(0.1, 1.3),
    "Stable": lambda: dist.Stable(1.7, 0.3, 1.0, 0.2),
    "StudentT": lambda: dist.StudentT(4.3, 0.1, 1.3),
    "Transformed": lambda: dist.TransformedDistribution(
        dist.Exponential(1.3), [dist.transforms.AffineTransform(1.0, 2.3)]
    ),
    "Transformed twice": lambda: dist.TransformedDistribution(
        dist.Normal(0.1, 1.3),
        dist.transforms.ComposeTransform(
            [dist.transforms.AffineTransform(0.1, 2.3), dist.transforms.ExpTransform()]
        ),
    ),
    "Uniform": lambda: dist.Uniform(-0.1, 2.3),
    "VonMises": lambda: dist.VonMises(0.1, 2.3),
    "Weibull": lambda: dist.Weibull(1.3, 1.7),
    "Wishart": lambda: dist.Wishart(tensor(4.3), torch.eye(2) + 0.3),
    "ZeroInflatedPoisson": lambda: dist.ZeroInflatedPoisson(tensor(3.3), gate=tensor(0.3)),
    "a vector": lambda: dist.Normal(x, 1.3).to_event(1),
    "a matrix": lambda: dist.Normal(x, torch.ones(2, 3)).to_event(2),
    "an expanded vector": lambda: dist.Normal(0.1, 1.3).expand([4]).to_event(1),
    "an expanded vector of matrices": lambda: dist.LKJCholesky(2, 1.7).expand([3]).to_event(1),
    "a vector of vectors": lambda: dist.Dirichlet(torch.ones(3, 2)).to_event(1),
    "masked": lambda: dist.Normal(0.1, 1.3).mask(False),
    "float64": lambda: dist.Normal(tensor(0.1, dtype=torch.float64), 1.3),
}


@pytest.mark.filterwarnings("ignore:Singular sample")
@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("plate", [False, True])
def test_a_distribution_is_written_so_that_it_scores_the_same(name, plate):
    def model():
        if not plate:
            pyro.sample("x", ZOO[name]())
        else:
            with pyro.plate("unit", 4):
                pyro.sample("x", ZOO[name]())

    assert ('with pyro.plate("unit", 4):' in check(model)) == plate


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.1, "0.1"), (1 / 3, "0.33333334"), (1e10, "10000000000.0"), (3.0, "3.0"), (math.inf, "torch.inf")],
)
def test_numbers_are_written_in_the_fewest_digits_that_give_them_back(number, text):
    assert literal(tensor(number)) == text
    assert tensor(eval(text)) == tensor(number)


def test_arrays_keep_their_dtype():
    for array in (
        tensor([1, 2]),
        tensor([True, False]),
        tensor([0.1, 1e-40]),
        tensor(0.1, dtype=torch.float64),
    ):
        again = eval(literal(array))
        assert again.dtype == array.dtype
        assert torch.equal(again, array)


def test_a_hierarchical_prior_keeps_its_links_and_what_it_returns():
    def model():
        mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = pyro.sample("tau", dist.HalfNormal(5.0))
        with pyro.plate("school", 8):
            theta = pyro.sample("theta", dist.Normal(mu, tau))
            pyro.sample("eta", dist.StudentT(4.0, theta, torch.arange(1.0, 9.0)))
        return mu, theta

    assert body(check(model)) == (
        '    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))\n'
        '    tau = pyro.sample("tau", dist.HalfNormal(5.0))\n'
        '    with pyro.plate("school", 8):\n'
        '        theta = pyro.sample("theta", dist.Normal(mu, tau))\n'
        '        pyro.sample("eta", dist.StudentT(4.0, loc=theta, scale=torch.tensor('
        "[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])))\n"
        "    return mu, theta\n"
    )


def test_a_vector_and_a_number_are_linked_to_events():
    def model():
        z = pyro.sample("z", dist.Normal(0.0, 5.0).expand([2]).to_event(1))
        scale = pyro.sample("scale", dist.HalfNormal(1.0))
        pyro.sample("w", dist.Normal(z, scale[..., None]).to_event(1))

    assert "dist.Normal(z, scale[..., None]).to_event(1)" in check(model)


def test_a_discrete_parent_is_told_from_a_constant():
    def model():
        count = pyro.sample("count", dist.Binomial(4, 0.5))
        pyro.sample("y", dist.Normal(count, 1.0))

    assert "dist.Normal(count, 1.0)" in check(model)


def test_plates_keep_their_places():
    def model():
        with pyro.plate("row", 3, dim=-2):
            pyro.sample("a", dist.Normal(0.0, 1.0))
            with pyro.plate("column", 2, dim=-1):
                pyro.sample("b", dist.Normal(torch.arange(6.0).reshape(3, 2), 1.0))
        with pyro.plate("column", 2, dim=-1):
            pyro.sample("c", dist.Normal(torch.arange(2.0), 1.0))
        for i in pyro.plate("step", 2):
            pyro.sample(f"d_{i}", dist.Normal(0.0, 1.0))

    text = check(model)
    assert 'with pyro.plate("row", 3, dim=-2):' in text
    assert '    with pyro.plate("column", 2):\n        pyro.sample("c"' in text
    assert '    pyro.sample("d_1", dist.Normal(0.0, 1.0))\n' in text


def test_names_that_python_cannot_have_are_changed_for_variables_only():
    names = ["a b", "a_b", "lambda", "dist", "0", 'quo"te']

    def model():
        values = [pyro.sample(name, dist.Normal(0.0, 1.0)) for name in names]
        return tuple(values)

    text = check(model)
    variables = body(text).splitlines()[-1].removeprefix("    return ").split(", ")
    assert len(set(variables)) == len(names)
    assert all(v.isidentifier() and not keyword.iskeyword(v) and v != "dist" for v in variables)
    assert set(poutine.trace(executed(text)).get_trace().stochastic_nodes) == set(names)


@pytest.mark.parametrize("kind", [tuple, list])
def test_what_a_program_returns_in_a_sequence_stays_one(kind):
    text = check(lambda: kind([pyro.sample("mu", dist.Normal(0.0, 1.0))]))
    assert type(executed(text)()) is kind


def test_what_is_no_latent_is_left_out_and_said_to_be():
    def model():
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        pyro.deterministic("twice", 2 * mu)

    assert "# Left out: 'twice'.\ndef prior():" in check(model)


def test_the_source_can_be_vectorised_as_a_guide():
    def model():
        mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
        with pyro.plate("school", 8):
            pyro.sample("theta", dist.Normal(mu, torch.arange(1.0, 9.0)))

    prior = executed(check(model))
    assert Resampler(prior, num_guide_samples=1000, random_seed=0).weigh(model).ess == pytest.approx(1000)


class Odd(dist.Normal):
    """A distribution of a user's own."""


def scaled():
    with poutine.scale(scale=2.0):
        pyro.sample("x", dist.Normal(0.0, 1.0))


def expression():
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(2 * mu, 1.0))


def factor():
    pyro.sample("mu", dist.Normal(0.0, 1.0))
    pyro.factor("x", tensor(0.5))


def vector():
    pyro.sample("x", dist.Normal(torch.arange(2000.0), 1.0).to_event(1))


def inverse():
    inv = dist.transforms.ExpTransform().inv
    pyro.sample("x", dist.TransformedDistribution(dist.LogNormal(0.0, 1.0), [inv]))


def plain():
    pyro.sample("mu", dist.Normal(0.0, 3.0))


def wide():
    pyro.sample("x", dist.Normal(0.0, 3.0))


@pytest.mark.parametrize(
    ("model", "guide", "why"),
    [
        (expression, expression, "a parameter is computed from other sites"),
        (lambda: pyro.sample("x", Odd(0.0, 1.0)), wide, "Odd is no distribution of Pyro"),
        (scaled, wide, "its density is scaled or masked"),
        (factor, plain, "it is a pyro.factor"),
        (vector, vector, "a parameter has 2000 numbers"),
        (inverse, inverse, "it is transformed by InverseTransform"),
    ],
)
def test_a_site_that_cannot_be_written_is_named_with_the_reason(model, guide, why):
    with pytest.raises(Unwritable, match=f"^site 'x' cannot be written as source: {why}"):
        source(model, guide)


def test_all_sites_that_cannot_be_written_are_named():
    def model():
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(2 * mu, 1.0))
        pyro.sample("y", dist.Normal(3 * mu, 1.0))

    with pytest.raises(Unwritable, match=r"(?s)site 'x'.*\n.*site 'y'"):
        source(model)
