"""Log ratios: what weights go for, less what the particles were drawn with."""

import pickle

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import DrawWarning, MismatchError, Resampler, WeightError
from arviz_resampler.particles.particles import Particles
from arviz_resampler.programs.columns import CachedSite
from arviz_resampler.scoring import log_ratios
from arviz_resampler.sites import Site

N = 2000
INF = torch.inf


def guide():
    mu = pyro.sample("mu", dist.Normal(0.0, 2.0))
    tau = pyro.sample("tau", dist.LogNormal(0.0, 1.0))
    with pyro.plate("school", 3):
        pyro.sample("theta", dist.Normal(mu, tau))


def model():
    mu = pyro.sample("mu", dist.Uniform(-1.0, 3.0))
    tau = pyro.sample("tau", dist.HalfNormal(1.0))
    with pyro.plate("school", 3):
        theta = pyro.sample("theta", dist.StudentT(4.0, mu, tau))
    pyro.factor("sum_to_zero", -(theta.sum(-1, keepdim=True) ** 2))


def column(name, log_q, *, role="latent", from_guide=True, **more):
    log_q = None if log_q is None else torch.tensor(log_q, dtype=torch.float64)
    finite = log_q is None or bool(torch.isfinite(log_q).all())
    site = Site(name, role, (), (), 0, "float32", False)
    return CachedSite(site, torch.arange(3.0), log_q, from_guide=from_guide, finite=finite, **more)


def cache(*columns):
    return Particles({c.site.name: c for c in columns}, {}, 3)


def float64(*values):
    return torch.tensor(values, dtype=torch.float64)


def room():
    return torch.empty(3, dtype=torch.float64)


def test_a_model_must_mention_what_the_guide_draws():
    particles = cache(
        column("a", [0.0] * 3), column("b", [0.0] * 3), column("y", [0.0] * 3, from_guide=False)
    )
    log_ratios.check_mentioned(particles, ["b", "a"])
    with pytest.raises(MismatchError, match="does not mention 'b', which the guide draws"):
        log_ratios.check_mentioned(particles, ["a"])


def test_what_a_model_does_not_score_keeps_what_it_was_drawn_with():
    conditional = float64(1.0, 2.0, 3.0)
    particles = cache(
        column("a", [5.0] * 3),
        column("u", [7.0] * 3, role="auxiliary"),
        column("c", [0.0] * 3, log_conditional=conditional),
    )
    unchanged = log_ratios.unchanged_targets(particles, ["a"])
    assert list(unchanged) == ["u", "c"]
    assert unchanged["u"].tolist() == [0.0] * 3
    assert unchanged["c"] is conditional
    assert list(log_ratios.unchanged_targets(particles, ["a", "c"])) == ["u"]


def test_a_model_without_sites_goes_for_what_was_drawn():
    particles = cache(column("d", None), column("a", [5.0] * 3))
    assert log_ratios.unchanged_targets(particles, [])["a"].tolist() == [5.0] * 3


def test_log_ratios_are_targets_less_densities_and_the_offset_is_their_part_without_the_model():
    particles = cache(column("a", [1.0, 2.0, 3.0]), column("b", [4.0] * 3))
    targets = {"a": float64(2.0, 2.0, 2.0), "b": float64(4.0, 5.0, 6.0), "f": float64(0.5, 0.5, 0.5)}
    assert log_ratios.add_up(particles, targets, room()).tolist() == [1.5, 1.5, 1.5]
    unchanged = {"b": targets["b"]}
    assert log_ratios.offset(particles, ["a", "f"], unchanged).tolist() == [-1.0, -1.0, -1.0]


def test_a_particle_that_was_lost_keeps_its_weight_or_loses_it():
    lost = [0.0, -INF, 0.0]
    target = {"x": float64(1.0, 1.0, 1.0)}
    kept = cache(column("x", lost, from_guide=False))
    assert log_ratios.add_up(kept, target, room()).tolist() == [1.0, 0.0, 1.0]
    dropped = cache(column("x", lost))
    assert log_ratios.add_up(dropped, target, room()).tolist() == [1.0, -INF, 1.0]


def test_what_is_not_finite_is_dropped_said_or_refused():
    particles = cache(column("a", [0.0] * 3), column("b", [0.0] * 3))
    dead = {"a": float64(-INF, 0.0, 0.0), "b": float64(torch.nan, 0.0, 0.0)}  # NaN of a particle that is out
    resolved = log_ratios.resolve_nonfinite(particles, dead, {})
    assert resolved["a"].tolist() == [-INF, 0.0, 0.0]
    assert resolved["b"].tolist() == [-INF, 0.0, 0.0]
    with pytest.warns(DrawWarning, match="infinite for 1 of 3 particles, for example at the value 2"):
        resolved = log_ratios.resolve_nonfinite(particles, {"a": float64(0.0, 0.0, INF)}, {})
    assert resolved["a"].tolist() == [0.0, 0.0, -INF]
    with pytest.raises(WeightError, match="'b' is NaN for 1 of 3 particles, for example at the value 1: why"):
        log_ratios.resolve_nonfinite(particles, {"b": float64(0.0, torch.nan, 0.0)}, {"b": "why"})


@pytest.mark.parametrize(
    ("auxiliary", "transforms", "labels"),
    [
        ([], ["a"], {"a": ["a"]}),
        (["a_unconstrained"], ["a"], {"a": ["a", "a_unconstrained"]}),
        (["latent"], ["a", "b"], {"a & b": ["a", "b", "latent"]}),
        (["latent"], [], {"latent": ["latent"]}),
    ],
)
def test_auxiliary_sites_go_with_what_they_became(auxiliary, transforms, labels):
    columns = [column(name, [0.0] * 3, role="auxiliary") for name in auxiliary]
    columns += [column(name, [0.0] * 3, transform=True) for name in transforms]
    particles = cache(*columns)
    assert log_ratios.labels(particles, list(particles.columns)) == labels


def test_log_ratios_by_site_are_a_mapping_that_adds_up():
    weights = Resampler(guide, num_guide_samples=N, random_seed=0).weigh(model)
    by_site = weights.log_ratio_by_site
    assert list(by_site) == ["mu", "tau", "theta", "sum_to_zero"]
    assert len(by_site) == 4
    assert repr(by_site).startswith("{'mu': array([")
    # Both add up the same numbers in float64, none above 2**10, in another order: a few times 2**-43.
    counted = weights.log_ratio > -np.inf
    total = sum(by_site.values())
    np.testing.assert_allclose(total[counted], weights.log_ratio[counted], rtol=0, atol=8 * 2.0**-43)
    assert (total[~counted] == -np.inf).all()
    assert by_site["mu"] is by_site["mu"]
    assert not by_site["mu"].flags.writeable
    again = pickle.loads(pickle.dumps(weights))
    assert np.array_equal(again.log_ratio_by_site["theta"], by_site["theta"])
