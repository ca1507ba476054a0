"""One distribution of each kind, and what tests of densities share."""

import contextlib
import warnings

import pyro.distributions as dist
import torch
from pyro.distributions import transforms

from arviz_resampler.densities import kinds, parameters
from arviz_resampler.mapping.functorch import OneParticle

N = 64
ZERO = torch.zeros(())

# Distributions whose log_prob may be believed within their support, one of each kind of event.
TABLE = {
    "Normal": lambda: dist.Normal(torch.tensor([0.0, 1.0]), 2.0),
    "StudentT": lambda: dist.StudentT(3.0, 0.5, 2.0),
    "Cauchy": lambda: dist.Cauchy(0.0, 1.0),
    "Gumbel": lambda: dist.Gumbel(0.0, 1.0),
    "Laplace": lambda: dist.Laplace(0.0, 1.0),
    "Logistic": lambda: dist.Logistic(0.0, 1.0),
    "VonMises": lambda: dist.VonMises(torch.tensor(3.0), torch.tensor(2.0)),
    "Exponential": lambda: dist.Exponential(torch.tensor([1.0, 2.0])),
    "Gamma": lambda: dist.Gamma(2.0, 1.0),
    "InverseGamma": lambda: dist.InverseGamma(2.0, 1.0),
    "LogNormal": lambda: dist.LogNormal(0.0, 1.0),
    "HalfNormal": lambda: dist.HalfNormal(1.0),
    "HalfCauchy": lambda: dist.HalfCauchy(1.0),
    "Weibull": lambda: dist.Weibull(1.0, 1.5),
    "Chi2": lambda: dist.Chi2(3.0),
    "Pareto": lambda: dist.Pareto(torch.tensor([1.0, 2.0]), 3.0),
    "Beta": lambda: dist.Beta(2.0, 3.0),
    "Kumaraswamy": lambda: dist.Kumaraswamy(2.0, 3.0),
    "Uniform": lambda: dist.Uniform(torch.tensor([0.0, -1.0]), 1.0),
    "AffineBeta": lambda: dist.AffineBeta(torch.tensor(2.0), torch.tensor(3.0), 1.0, 4.0),
    "Bernoulli": lambda: dist.Bernoulli(0.3),
    "Binomial": lambda: dist.Binomial(torch.tensor([3, 7]), torch.tensor(0.4)),
    "BetaBinomial": lambda: dist.BetaBinomial(2.0, 3.0, 5),
    "Poisson": lambda: dist.Poisson(3.0),
    "Geometric": lambda: dist.Geometric(0.3),
    "NegativeBinomial": lambda: dist.NegativeBinomial(3.0, 0.4),
    "Categorical": lambda: dist.Categorical(torch.tensor([[0.2, 0.8], [0.5, 0.5]])),
    "OneHotCategorical": lambda: dist.OneHotCategorical(torch.tensor([0.2, 0.3, 0.5])),
    "Multinomial": lambda: dist.Multinomial(4, torch.tensor([0.2, 0.3, 0.5])),
    "DirichletMultinomial": lambda: dist.DirichletMultinomial(torch.ones(3), 4),
    "Dirichlet": lambda: dist.Dirichlet(torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])),
    "LogisticNormal": lambda: dist.LogisticNormal(torch.zeros(2), torch.ones(2)),
    "MultivariateNormal": lambda: dist.MultivariateNormal(torch.zeros(3), torch.eye(3) + 0.5),
    "LKJCholesky": lambda: dist.LKJCholesky(3, 2.0),
    "Wishart": lambda: dist.Wishart(torch.tensor(4.0), torch.eye(2)),
    "ProjectedNormal": lambda: dist.ProjectedNormal(torch.tensor([0.0, 1.0, 0.0])),
    "Independent": lambda: dist.Normal(torch.zeros(2, 3), 1.0).to_event(1),
    "ExpandedDistribution": lambda: dist.ExpandedDistribution(dist.Normal(0.0, 1.0), (2,)),
    "MaskedDistribution": lambda: dist.Normal(torch.zeros(2), 1.0).mask(torch.tensor([True, False])),
    "TransformedDistribution": lambda: affine(dist.Normal(0.0, 1.0), transforms.ExpTransform()),
    "MixtureSameFamily": lambda: dist.MixtureSameFamily(
        dist.Categorical(torch.tensor([0.3, 0.7])), dist.Normal(torch.tensor([-1.0, 1.0]), 1.0)
    ),
    "MixtureSameFamily of vectors": lambda: dist.MixtureSameFamily(
        dist.Categorical(torch.ones(4, 2)),
        dist.Normal(torch.linspace(-2, 2, 24).reshape(4, 2, 3), 1.0).to_event(1),
    ),
    "MaskedMixture": lambda: dist.MaskedMixture(
        torch.tensor([True, False]), dist.Normal(0.0, 1.0), dist.LogNormal(0.0, 1.0)
    ),
    "FoldedDistribution": lambda: dist.FoldedDistribution(dist.Normal(0.5, 1.0)),
    "ZeroInflatedPoisson": lambda: dist.ZeroInflatedPoisson(torch.tensor(3.0), gate=torch.tensor(0.3)),
    "ZeroInflatedPoisson by logits": lambda: dist.ZeroInflatedPoisson(
        torch.tensor(3.0), gate_logits=torch.tensor([0.3, -1.0])
    ),
    "GaussianHMM": lambda: dist.GaussianHMM(
        dist.MultivariateNormal(torch.zeros(1), torch.eye(1)),
        torch.ones(2, 1, 1),
        dist.MultivariateNormal(torch.zeros(2, 1), torch.eye(1)),
        torch.ones(2, 1, 1),
        dist.MultivariateNormal(torch.zeros(2, 1), torch.eye(1)),
    ),
    "OneOneMatching": lambda: dist.OneOneMatching(torch.eye(3)),
    "Delta": lambda: dist.Delta(torch.ones(2), log_density=0.5).to_event(1),
}


@contextlib.contextmanager
def unchecked():
    """Constructors do not look at their arguments, as in a program that is run."""
    before = dist.is_validation_enabled()
    dist.enable_validation(False)
    yield
    dist.enable_validation(before)


def affine(base, *before):
    return dist.TransformedDistribution(base, [*before, transforms.AffineTransform(1.0, 2.0)])


def draws(fn, n=N):
    torch.manual_seed(1)
    with warnings.catch_warnings():
        # A Wishart says so when it drew a matrix again.
        warnings.filterwarnings("ignore", message="Singular sample detected", category=UserWarning)
        return fn.sample((n,))


def bad_parameter(fn, particles=OneParticle()):  # noqa: B008 - it has no state
    """The first one, if any."""
    checks = parameters.checks(parameters.nested(fn), particles)
    return next((check.fault() for check in checks if not check.passed), None)


def is_improper(fn):
    return kinds.is_improper(parameters.nested(fn))


def state_of(fn):
    """The distributions in ``fn``, and all that is in them."""
    return [(part, dict(vars(part))) for part in parameters.nested(fn)]
