"""Every distribution of Pyro, as a function of a shift: the table that the scripts and tests try.

Knows nothing of the package.
"""
# ruff: noqa: D102, D103 - the functions are what their names say

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import constraints, transforms
from torch import Tensor

NUM_PARTICLES = 20_000

Maker = Callable[[Tensor], Any]  # a distribution from a shift, a tensor of any batch shape


def vec(t: Tensor, *values: float) -> Tensor:
    """A vector that is shifted as a whole."""
    return t[..., None] + torch.tensor(values)


def eye(t: Tensor, size: int, scale: float = 1.0) -> Tensor:
    """A batch of diagonal matrices."""
    return (scale * torch.exp(t))[..., None, None] * torch.eye(size)


WIDE: dict[str, Callable[[], Any]] = {
    "real": lambda: dist.StudentT(1.5, 0.0, 3.0),
    "positive": lambda: dist.HalfCauchy(2.0),
    "unit": lambda: dist.Uniform(0.0, 1.0),
    "count": lambda: dist.MixtureSameFamily(
        dist.Categorical(torch.ones(2)), dist.Geometric(torch.tensor([0.3, 0.03]))
    ),
    "below 5": lambda: dist.Categorical(torch.ones(5)),
    "binary": lambda: dist.Bernoulli(0.5),
    "one-hot": lambda: dist.OneHotCategorical(torch.ones(3)),
    "simplex": lambda: dist.Dirichlet(torch.ones(3)),
    "vector": lambda: dist.MultivariateStudentT(torch.tensor(3.0), torch.zeros(2), 2 * torch.eye(2)),
    "series": lambda: dist.StudentT(3.0, 0.0, 2.0).expand([2, 1]).to_event(2),
    "angle": lambda: dist.Uniform(-math.pi, math.pi),
    "angles": lambda: dist.Uniform(-math.pi, math.pi).expand([2]).to_event(1),
    "sphere": lambda: dist.ProjectedNormal(torch.zeros(3)),
    "cholesky": lambda: dist.LKJCholesky(2, 1.0),
    "matrix": lambda: dist.Wishart(torch.tensor(3.0), 2 * torch.eye(2)),
    "trials": lambda: dist.DirichletMultinomial(torch.ones(3), 4),
}


@dataclass(frozen=True)
class Case:
    """One distribution, as a function of a shift that moves or stretches it."""

    name: str
    at: Maker
    wide: str | Callable[[], Any] = "real"
    shift: float = 0.3
    size: int = NUM_PARTICLES
    direct: Maker | None = None  # another way to draw from it, where Pyro has none


def leaf_times(t: Tensor) -> Tensor:
    return vec(t, 0.0, 0.5, 1.0)


def hmm_matrices(t: Tensor) -> tuple[Any, Tensor, Any, Tensor, Any]:
    """Parts of a linear model with one hidden and one observed number, over two steps."""
    first = dist.MultivariateNormal(t[..., None], torch.eye(1))
    step = dist.MultivariateNormal(torch.zeros(2, 1), torch.eye(1))
    seen = dist.MultivariateNormal(torch.zeros(2, 1), 0.5 * torch.eye(1))
    return first, torch.ones(2, 1, 1), step, torch.ones(2, 1, 1), seen


def linear_hmm(t: Tensor) -> Any:
    first = dist.Normal(t[..., None], 1.0).to_event(1)
    step = dist.Normal(torch.zeros(2, 1), 1.0).to_event(1)
    seen = dist.Normal(torch.zeros(2, 1), 0.5).to_event(1)
    return dist.LinearHMM(first, torch.ones(2, 1, 1), step, torch.ones(2, 1, 1), seen)


def discrete_hmm(t: Tensor) -> Any:
    return dist.DiscreteHMM(
        vec(t, 0.0, 0.0),
        torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
        dist.Normal(t[..., None, None] + torch.tensor([-1.0, 1.0]), 1.0),
        duration=2,
    )


def gaussian_mrf(t: Tensor) -> Any:
    return dist.GaussianMRF(
        dist.MultivariateNormal(t[..., None], torch.eye(1)),
        dist.MultivariateNormal(torch.zeros(2, 2), torch.eye(2) + 0.3),
        dist.MultivariateNormal(torch.zeros(2, 2), torch.eye(2) + 0.3),
    )


def truncated_normal(t: Tensor) -> Any:
    """A normal above zero, by rejection."""
    base = dist.Normal(t, 1.0)

    def accept(x: Tensor) -> Tensor:
        return torch.where(x > 0, 0.0, -torch.inf)

    return dist.Rejector(base, accept, dist.Normal(0.0, 1.0).cdf(t).log())


def shifted_exponential(t: Tensor) -> Any:
    return dist.TransformedDistribution(
        dist.Exponential(torch.exp(t)), [transforms.AffineTransform(1.0, 2.0)]
    )


def mixture(t: Tensor) -> Any:
    return dist.MixtureSameFamily(
        dist.Categorical(logits=vec(0 * t, 0.0, 0.0)), dist.Normal(vec(t, -1.0, 1.0), 0.5)
    )


def positive_mixture(t: Tensor) -> Any:
    scale = torch.exp(vec(0.3 * t, 0.0, 1.0))
    return dist.MixtureSameFamily(dist.Categorical(logits=0 * scale), dist.Pareto(scale, 3.0))


def masked_mixture(t: Tensor) -> Any:
    mask = torch.tensor([False, True])
    return dist.MaskedMixture(
        mask, dist.Normal(t[..., None], 1.0), dist.LogNormal(t[..., None], 1.0)
    ).to_event(1)


def locs(t: Tensor) -> Tensor:
    return t[..., None, None] + torch.tensor([[-1.0, 0.0], [1.0, 0.5]])


class NoisyCounts:
    """Draws of LogNormalNegativeBinomial(3, 0, 0.3), which Pyro does not draw."""

    def __call__(self, shape: torch.Size) -> Tensor:
        return dist.NegativeBinomial(3.0, logits=0.3 * torch.randn(shape)).sample()


class OnSphere:
    """Draws of VonMises3D((0, 1, 0)), which Pyro does not draw: uniform points, by rejection."""

    def __call__(self, shape: torch.Size) -> Tensor:
        points = torch.nn.functional.normalize(torch.randn(10 * shape[0], 3), dim=-1)
        return points[torch.rand(len(points)) < (points[:, 1] - 1).exp()][: shape[0]]


CASES = [
    Case(
        "AVFMultivariateNormal",
        lambda t: dist.AVFMultivariateNormal(vec(t, 0.0, 0.0), torch.eye(2), torch.zeros(2, 1, 2)),
        "vector",
    ),
    Case(
        "AffineBeta",
        lambda t: dist.AffineBeta(2 * torch.exp(t), torch.tensor(2.0), 1.0, 3.0),
        lambda: dist.Uniform(1.0, 4.0),
    ),
    Case("AsymmetricLaplace", lambda t: dist.AsymmetricLaplace(t, 1.0, 1.5)),
    Case("Bernoulli", lambda t: dist.Bernoulli(logits=t), "binary"),
    Case("Beta", lambda t: dist.Beta(2 * torch.exp(t), 2.0), "unit"),
    Case("BetaBinomial", lambda t: dist.BetaBinomial(2 * torch.exp(t), 2.0, 4), "below 5"),
    Case("Binomial", lambda t: dist.Binomial(4, logits=t), "below 5"),
    Case(
        "Categorical",
        lambda t: dist.Categorical(logits=vec(t, 0.0, 0.5, -0.5) * torch.tensor([1.0, 0.0, -1.0])),
        "below 5",
    ),
    Case("Cauchy", lambda t: dist.Cauchy(t, 1.0), lambda: dist.Cauchy(0.0, 3.0)),
    Case("Chi2", lambda t: dist.Chi2(3 * torch.exp(t)), "positive"),
    Case(
        "CoalescentTimes",
        lambda t: dist.CoalescentTimes(leaf_times(t)),
        lambda: dist.CoalescentTimes(torch.tensor([0.0, 0.5, 1.0]), 1.0),
        0.0,
        1000,  # the rate stays 1: Pyro draws with rate 1 whatever the rate is
    ),
    Case(
        "CoalescentTimesWithRate",
        lambda t: dist.CoalescentTimesWithRate(leaf_times(t), torch.ones(3)),
        lambda: dist.CoalescentTimes(torch.tensor([0.0, 0.5, 1.0])),
        0.0,
        1000,
        direct=lambda t: dist.CoalescentTimes(leaf_times(t)),
    ),
    Case("ContinuousBernoulli", lambda t: dist.ContinuousBernoulli(logits=t + 0.5), "unit"),
    Case("Delta", dist.Delta, "real", 0.0),
    Case("Dirichlet", lambda t: dist.Dirichlet(torch.exp(vec(t, 0.5, 0.7, 0.9))), "simplex"),
    Case(
        "DirichletMultinomial",
        lambda t: dist.DirichletMultinomial(torch.exp(vec(t, 0.0, 0.5, 1.0)), 4),
        "trials",
    ),
    Case("DiscreteHMM", discrete_hmm, lambda: dist.StudentT(3.0, 0.0, 2.0).expand([2]).to_event(1)),
    Case("Empirical", lambda t: dist.Empirical(torch.arange(5.0), torch.zeros(5)), "count", 0.0),
    Case("Exponential", lambda t: dist.Exponential(torch.exp(t)), "positive"),
    Case(
        "ExtendedBetaBinomial",
        lambda t: dist.ExtendedBetaBinomial(2 * torch.exp(t), torch.tensor(2.0), torch.tensor(4)),
        "below 5",
    ),
    Case("ExtendedBinomial", lambda t: dist.ExtendedBinomial(4, logits=t), "below 5"),
    Case("FisherSnedecor", lambda t: dist.FisherSnedecor(torch.exp(t + 1.5), 5.0), "positive"),
    Case("FoldedDistribution", lambda t: dist.FoldedDistribution(dist.Normal(t + 0.5, 1.0)), "positive"),
    Case("Gamma", lambda t: dist.Gamma(2 * torch.exp(t), 1.0), "positive"),
    Case(
        "GammaGaussianHMM",
        lambda t: dist.GammaGaussianHMM(dist.Gamma(3 * torch.exp(t), 3.0), *hmm_matrices(0 * t)),
        "series",
    ),
    Case("GammaPoisson", lambda t: dist.GammaPoisson(3 * torch.exp(t), torch.tensor(1.0)), "count"),
    Case("GaussianHMM", lambda t: dist.GaussianHMM(*hmm_matrices(t)), "series"),
    Case("GaussianMRF", gaussian_mrf, "series"),
    Case(
        "GaussianScaleMixture",
        lambda t: dist.GaussianScaleMixture(torch.ones(2), torch.zeros(2), torch.tensor([0.5, 1.0])),
        "vector",
        0.0,
    ),
    Case(
        "GeneralizedPareto",
        lambda t: dist.GeneralizedPareto(1.0, torch.exp(t), 0.2),
        lambda: dist.Pareto(1.0, 1.0),
    ),
    Case("Geometric", lambda t: dist.Geometric(logits=t - 0.5), "count"),
    Case(
        "GroupedNormalNormal",
        lambda t: dist.GroupedNormalNormal(
            torch.zeros(2), torch.ones(2), torch.ones(3), torch.tensor([0, 1, 1])
        ),
        lambda: dist.Normal(0.0, 3.0).expand([3]).to_event(1),
        0.0,
    ),
    Case("Gumbel", lambda t: dist.Gumbel(t, 1.0)),
    Case("HalfCauchy", lambda t: dist.HalfCauchy(torch.exp(t)), "positive"),
    Case("HalfNormal", lambda t: dist.HalfNormal(torch.exp(t)), "positive", -0.3),
    Case("ImproperUniform", lambda t: dist.ImproperUniform(constraints.real, t.shape, ()), "real", 0.0),
    Case("Independent", lambda t: dist.Independent(dist.Normal(vec(t, 0.0, 1.0), 1.0), 1), "vector"),
    Case(
        "IndependentHMM",
        lambda t: dist.IndependentHMM(dist.GaussianHMM(*(hmm_matrices(t[..., None])))),
        "series",
    ),
    Case("InverseGamma", lambda t: dist.InverseGamma(3.0, torch.exp(t)), "positive"),
    Case("Kumaraswamy", lambda t: dist.Kumaraswamy(2 * torch.exp(t), 2.0), "unit"),
    Case("LKJ", lambda t: dist.LKJ(2, 2 * torch.exp(t)), lambda: dist.LKJ(2, 1.0)),
    Case("LKJCholesky", lambda t: dist.LKJCholesky(2, 2 * torch.exp(t)), "cholesky"),
    Case("LKJCorrCholesky", lambda t: dist.LKJCorrCholesky(2, 2 * torch.exp(t)), "cholesky"),
    Case("Laplace", lambda t: dist.Laplace(t, 1.0)),
    Case("LinearHMM", linear_hmm, "series"),
    Case("LogNormal", lambda t: dist.LogNormal(t, 0.7), "positive"),
    Case(
        "LogNormalNegativeBinomial",
        lambda t: dist.LogNormalNegativeBinomial(torch.tensor(3.0), t, torch.tensor(0.3)),
        "count",
        direct=lambda t: NoisyCounts(),
    ),
    Case("Logistic", lambda t: dist.Logistic(t, 1.0)),
    Case("LogisticNormal", lambda t: dist.LogisticNormal(vec(t, 0.0, 0.5), torch.ones(2)), "simplex"),
    Case(
        "LowRankMultivariateNormal",
        lambda t: dist.LowRankMultivariateNormal(vec(t, 0.0, 0.0), torch.ones(2, 1), torch.ones(2)),
        "vector",
    ),
    Case("MaskedDistribution", lambda t: dist.Normal(t, 1.0).mask(True)),
    Case("MaskedMixture", masked_mixture, "vector"),
    Case(
        "MixtureOfDiagNormals",
        lambda t: dist.MixtureOfDiagNormals(locs(t), torch.ones(2, 2), torch.zeros(2)),
        "vector",
    ),
    Case(
        "MixtureOfDiagNormalsSharedCovariance",
        lambda t: dist.MixtureOfDiagNormalsSharedCovariance(locs(t), torch.ones(2), torch.zeros(2)),
        "vector",
    ),
    Case("MixtureSameFamily", mixture),
    Case("MixtureSameFamily of Pareto", positive_mixture, lambda: dist.Pareto(1.0, 1.0)),
    Case(
        "Multinomial",
        lambda t: dist.Multinomial(4, logits=t[..., None] * torch.tensor([1.0, 0.0, -1.0])),
        "trials",
    ),
    Case(
        "MultivariateNormal",
        lambda t: dist.MultivariateNormal(vec(t, 0.0, 0.0), torch.eye(2) + 0.3),
        "vector",
    ),
    Case(
        "MultivariateStudentT",
        lambda t: dist.MultivariateStudentT(torch.tensor(4.0), vec(t, 0.0, 0.0), torch.eye(2)),
        "vector",
    ),
    Case(
        "NanMaskedMultivariateNormal",
        lambda t: dist.NanMaskedMultivariateNormal(vec(t, 0.0, 0.0), torch.eye(2)),
        "vector",
    ),
    Case("NanMaskedNormal", lambda t: dist.NanMaskedNormal(t, 1.0)),
    Case("NegativeBinomial", lambda t: dist.NegativeBinomial(3.0, logits=t), "count"),
    Case("Normal", lambda t: dist.Normal(t, 1.0)),
    Case(
        "OMTMultivariateNormal",
        lambda t: dist.OMTMultivariateNormal(vec(t, 0.0, 0.0), torch.eye(2)),
        "vector",
    ),
    Case(
        "OneHotCategorical",
        lambda t: dist.OneHotCategorical(logits=t[..., None] * torch.tensor([1.0, 0.0, -1.0])),
        "one-hot",
    ),
    Case(
        "OneHotCategoricalStraightThrough",
        lambda t: dist.OneHotCategoricalStraightThrough(logits=t[..., None] * torch.tensor([1.0, 0.0, -1.0])),
        "one-hot",
    ),
    Case(
        "OneOneMatching",
        lambda t: dist.OneOneMatching(torch.eye(3)),
        lambda: dist.OneOneMatching(torch.zeros(3, 3)),
        0.0,
    ),
    Case(
        "OneTwoMatching",
        lambda t: dist.OneTwoMatching(torch.eye(4)[:, :2]),
        lambda: dist.OneTwoMatching(torch.zeros(4, 2)),
        0.0,
    ),
    Case("OrderedLogistic", lambda t: dist.OrderedLogistic(t, torch.tensor([-1.0, 0.0, 1.0])), "below 5"),
    Case("Pareto", lambda t: dist.Pareto(1.0, 2 * torch.exp(t)), lambda: dist.Pareto(1.0, 1.0)),
    Case("Poisson", lambda t: dist.Poisson(3 * torch.exp(t)), "count"),
    Case("ProjectedNormal", lambda t: dist.ProjectedNormal(vec(t, 0.0, 0.5, 0.0)), "sphere"),
    Case("Rejector", truncated_normal, "positive"),
    Case("RelaxedBernoulli", lambda t: dist.RelaxedBernoulli(torch.tensor(2.0), logits=t), "unit"),
    Case(
        "RelaxedBernoulliStraightThrough",
        lambda t: dist.RelaxedBernoulliStraightThrough(torch.tensor(2.0), logits=t),
        "unit",
    ),
    Case(
        "RelaxedOneHotCategorical",
        lambda t: dist.RelaxedOneHotCategorical(
            torch.tensor(2.0), logits=t[..., None] * torch.tensor([1.0, 0.0, -1.0])
        ),
        "simplex",
    ),
    Case(
        "RelaxedOneHotCategoricalStraightThrough",
        lambda t: dist.RelaxedOneHotCategoricalStraightThrough(
            torch.tensor(2.0), logits=t[..., None] * torch.tensor([1.0, 0.0, -1.0])
        ),
        "simplex",
    ),
    Case(
        "SineBivariateVonMises",
        lambda t: dist.SineBivariateVonMises(t, t, torch.tensor(2.0), torch.tensor(2.0), torch.tensor(0.5)),
        "angles",
        size=1000,
    ),
    Case(
        "SineSkewed",
        lambda t: dist.SineSkewed(dist.VonMises(vec(t, 0.0, 0.5), 2.0).to_event(1), torch.tensor([0.3, 0.2])),
        "angles",
    ),
    Case("SkewLogistic", lambda t: dist.SkewLogistic(t, 1.0, 1.5)),
    Case("SoftAsymmetricLaplace", lambda t: dist.SoftAsymmetricLaplace(t, 1.0, 1.5)),
    Case("SoftLaplace", lambda t: dist.SoftLaplace(t, 1.0)),
    Case(
        "SpanningTree",
        lambda t: dist.SpanningTree(torch.tensor([0.5, 0.0, -0.5])),
        lambda: dist.SpanningTree(torch.zeros(3)),
        0.0,
        500,
    ),
    Case("Stable", lambda t: dist.Stable(1.7, 0.3, 1.0, t), "real", 0.3, 2000),
    Case("StableWithLogProb", lambda t: dist.StableWithLogProb(1.7, 0.3, 1.0, t), "real", 0.3, 2000),
    Case("StudentT", lambda t: dist.StudentT(4.0, t, 1.0)),
    Case("TransformedDistribution", shifted_exponential, lambda: dist.Pareto(1.0, 0.5)),
    Case(
        "TruncatedPolyaGamma",
        lambda t: dist.TruncatedPolyaGamma(torch.ones(())),
        lambda: dist.Uniform(0.0, 2.5),
        0.0,
    ),
    Case("Uniform", lambda t: dist.Uniform(0.0, torch.exp(t)), "positive", -0.3),
    Case("VonMises", lambda t: dist.VonMises(t, torch.tensor(2.0)), "angle"),
    Case(
        "VonMises3D", lambda t: dist.VonMises3D(vec(t, 0.0, 1.0, 0.0)), "sphere", direct=lambda t: OnSphere()
    ),
    Case("Weibull", lambda t: dist.Weibull(torch.exp(t), 1.5), "positive"),
    Case("Wishart", lambda t: dist.Wishart(torch.tensor(4.0), eye(t, 2)), "matrix"),
    Case(
        "ZeroInflatedDistribution",
        lambda t: dist.ZeroInflatedDistribution(dist.Binomial(4, logits=t), gate=torch.tensor(0.3)),
        "below 5",
    ),
    Case(
        "ZeroInflatedDistribution of LogNormal",
        lambda t: dist.ZeroInflatedDistribution(dist.LogNormal(t, 1.0), gate=torch.tensor(0.3)),
        lambda: dist.ZeroInflatedDistribution(dist.HalfCauchy(1.0), gate=torch.tensor(0.5)),
    ),
    Case(
        "ZeroInflatedNegativeBinomial",
        lambda t: dist.ZeroInflatedNegativeBinomial(torch.tensor(3.0), logits=t, gate=torch.tensor(0.3)),
        "count",
    ),
    Case(
        "ZeroInflatedPoisson",
        lambda t: dist.ZeroInflatedPoisson(3 * torch.exp(t), gate=torch.tensor(0.3)),
        "count",
    ),
]

CASES += [
    Case(
        "ExpandedDistribution",
        lambda t: dist.ExpandedDistribution(dist.OneOneMatching(torch.eye(3)), t.shape),
        lambda: dist.OneOneMatching(torch.zeros(3, 3)),
        0.0,
    ),
]

EXCLUDED = {
    "CoalescentRateLikelihood": "no distribution; a function of coalescent times",
    "ComposeTransformModule": "no distribution; a transform",
    "ConditionalDistribution": "abstract; becomes a distribution when a context is given",
    "ConditionalTransform": "no distribution; a transform",
    "ConditionalTransformModule": "no distribution; a transform",
    "ConditionalTransformedDistribution": "becomes a TransformedDistribution when a context is given",
    "Distribution": "abstract",
    "ExponentialFamily": "abstract",
    "TorchDistribution": "abstract",
    "TransformModule": "no distribution; a transform",
    "Unit": "nothing to draw; carries pyro.factor, which is among the programs below",
}


if not hasattr(dist, "GeneralizedPareto"):  # of later versions of torch
    CASES = [case for case in CASES if case.name != "GeneralizedPareto"]


def forgotten() -> set[str]:
    """Classes of the namespace that are neither tried nor excluded, and names that are no class of it."""
    classes = {
        name for name, item in vars(dist).items() if inspect.isclass(item) and not name.startswith("_")
    }
    covered = {case.name.split(" ")[0] for case in CASES} | set(EXCLUDED)
    return classes ^ covered
