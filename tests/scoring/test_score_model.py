"""Scoring in chunks gives what scoring at once gives."""

import contextlib
import warnings
import weakref

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import DrawWarning, MismatchError, ProgramError, ProgramWarning, Resampler, WeightError
from arviz_resampler.particles import particles
from arviz_resampler.particles.particles import chunks
from arviz_resampler.scoring import score_model

N = 2000


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
    pyro.deterministic("largest", theta.max(-1).values)
    pyro.factor("sum_to_zero", -(theta.sum(-1, keepdim=True) ** 2))


@pytest.fixture
def short(monkeypatch):
    """Many chunks, of lengths that do not divide the particles."""

    def shorten(length):
        monkeypatch.setattr(particles, "_MAX_PARTICLES", length)

    return shorten


@pytest.mark.parametrize("length", [37, 500, 1999])
def test_chunks_change_no_bit(short, length):
    cache = Resampler(guide, num_guide_samples=N, random_seed=0)
    whole = cache.pipeline.score(model)
    short(length)
    pieces = cache.pipeline.score(model)
    assert len(list(chunks(cache.pipeline.particles.widths, N))) == -(-N // length)
    for name, ratio in whole.weights.log_ratio_by_site.items():
        assert np.array_equal(pieces.weights.log_ratio_by_site[name], ratio)
        assert torch.equal(pieces.scored[name], whole.scored[name])
    assert np.array_equal(pieces.weights.log_ratio, whole.weights.log_ratio)
    assert torch.equal(pieces.columns["largest"].value, whole.columns["largest"].value)
    assert pieces.columns["largest"].site == whole.columns["largest"].site


def test_log_densities_are_those_of_the_model(short):
    short(300)
    cache = Resampler(guide, num_guide_samples=N, random_seed=0)
    weighed = cache.pipeline.score(model)
    mu, tau = (cache.pipeline.particles.columns[name].value for name in ("mu", "tau"))
    inside = (mu > -1) & (mu < 3)
    expected = torch.where(inside, -np.log(4.0), -torch.inf)
    torch.testing.assert_close(weighed.log_p("mu"), expected.double())
    torch.testing.assert_close(
        weighed.log_p("tau", slice(5)), dist.HalfNormal(1.0).log_prob(tau[:5]).double(), rtol=1e-5, atol=1e-5
    )
    index = inside.nonzero()[:4, 0]
    each = torch.stack([weighed.log_p(name, index) for name in ("mu", "tau", "theta", "sum_to_zero")])
    torch.testing.assert_close(weighed.log_density(index), each.sum(0))


def test_messages_count_over_all_chunks(short):
    cache = Resampler(guide, num_guide_samples=N, random_seed=0)
    negative = int((cache.pipeline.particles.columns["mu"].value < 0).sum())

    def bad():
        guide_mu = pyro.sample("mu", dist.Normal(0.0, 2.0))
        pyro.sample("tau", dist.LogNormal(0.0, torch.where(guide_mu < 0, guide_mu, 1.0)))
        pyro.sample("theta", dist.Normal(torch.zeros(3), 1.0).to_event(1))

    short(300)
    with pytest.raises(
        WeightError, match=rf"NaN for {negative} of {N} particles.*for {negative} of {N} part"
    ):
        cache.weigh(bad)


def test_infinite_densities_are_counted_over_all_chunks(short):
    def point():
        pyro.sample("rate", dist.Beta(1.0, 1.0))

    cache = Resampler(point, num_guide_samples=N, random_seed=0)
    cache.pipeline.particles.columns["rate"].value[::200] = 0.0
    short(300)
    with pytest.warns(DrawWarning, match=f"infinite for {N // 200} of {N} particles"):
        weights = cache.weigh(lambda: pyro.sample("rate", dist.Beta(0.5, 1.0)))
    assert weights.num_supported == N - N // 200


def scalar():
    return pyro.sample("x", dist.Normal(0.0, 1.0))


def signs(cache, *values):
    """Values of all particles of each chunk of eight."""
    cache.pipeline.particles.columns["x"].value[:] = torch.tensor(values).repeat_interleave(8)


def with_factor(late):
    if late:
        pyro.factor("f", torch.tensor(1.0))


def with_computed(late):
    if late:
        pyro.deterministic("f", torch.tensor(1.0))


def with_shape(late):
    pyro.deterministic("f", torch.zeros(2 if late else 3))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("then", "message"),
    [
        (with_factor, "site 'f' of the model is in {0} and not in {1}: every particle must"),
        (with_computed, "site 'f' of the model is in {0} and not in {1}: every particle must"),
        (with_shape, r"site 'f' of the model has shape \({0},\) and .* in particles 8 to 15, \({1},\) and"),
    ],
)
def test_a_site_that_comes_or_goes_from_one_chunk_to_the_next_is_refused(short, turned, then, message):
    """Memory that nothing was written to would be taken for its values."""
    cache = Resampler(scalar, num_guide_samples=24, random_seed=0, vectorize=False)
    signs(cache, -1.0, 1.0, 1.0)

    def model():
        then((scalar() > 0) != turned)

    short(8)
    words = [2, 3] if then is with_shape else ["particles 8 to 15", "particles 0 to 7"]
    with pytest.raises(ProgramError, match=message.format(*(words[::-1] if turned else words))):
        cache.weigh(model)


@pytest.mark.parametrize("values", [(-1.0, 1.0, 1.0), (1.0, 1.0, -1.0)])
def test_a_scale_in_one_chunk_leaves_the_density_of_a_model_without_its_constant(short, values):
    def pair(scale=1.0):
        x = scalar()
        with pyro.poutine.scale(scale=scale if x < 0 else 1.0):
            pyro.sample("z", dist.Normal(0.0, 1.0))

    cache = Resampler(pair, num_guide_samples=24, random_seed=0, vectorize=False)
    signs(cache, *values)
    short(8)
    weights = cache.weigh(lambda: pair(2.0))
    assert weights.unnormalized == ("z",)
    assert not weights.densities_normalized


@pytest.mark.parametrize("values", [(-1.0, 1.0, 1.0), (1.0, 1.0, -1.0)])
def test_a_chunk_that_cannot_be_mapped_is_said(short, values):
    def model():
        x = scalar()
        with contextlib.suppress(RuntimeError):
            torch.linalg.cholesky(x.reshape(1, 1))

    cache = Resampler(scalar, num_guide_samples=24, random_seed=0)
    signs(cache, *values)
    short(8)
    with pytest.warns(ProgramWarning, match="the model runs one particle at a time: linear algebra fails"):
        cache.weigh(model)


def test_particles_of_later_chunks_have_their_own_numbers_in_messages(short):
    cache = Resampler(scalar, num_guide_samples=24, random_seed=0, vectorize=False)
    cache.pipeline.particles.columns["x"].value[:] = torch.arange(24.0)

    def model():
        if scalar() == 19:
            pyro.factor("f", torch.tensor(1.0))

    short(8)
    with pytest.raises(ProgramError, match="'f' of the model is in particle 19 and not in particle 16"):
        cache.weigh(model)


def whole(scale, met, then=lambda: None):
    """A generative program; ``met`` counts the particles for which its likelihood is made."""

    def program():
        mu = pyro.sample("mu", dist.Normal(0.0, scale))
        met.append(mu)
        pyro.sample("y", dist.Normal(mu, 1.0), obs=torch.tensor(0.5))
        then()

    return program


def test_the_run_of_a_model_ends_where_nothing_that_counts_is_left():
    met = []
    cache = Resampler(whole(2.0, met), num_guide_samples=N, random_seed=0)
    met.clear()
    with pytest.warns(ProgramWarning, match="'y' of the model carries obs="):
        weights = cache.weigh(whole(1.5, met))
    assert [mu.shape for mu in met] == [
        ()
    ] * 3  # two runs of one particle, a map of two; that of all ended before
    prior = cache.weigh(lambda: pyro.sample("mu", dist.Normal(0.0, 1.5)))
    assert np.array_equal(weights.log_ratio, prior.log_ratio)


@pytest.mark.parametrize(
    ("then", "changes"),
    [
        (lambda: pyro.factor("f", torch.tensor(-3.0)), lambda weighed: "f" in weighed.scored),
        (lambda: pyro.deterministic("d", torch.tensor(2.0)), lambda weighed: "d" in weighed.computed),
    ],
)
def test_the_run_of_a_model_goes_on_where_something_counts_after_its_data(then, changes):
    cache = Resampler(whole(2.0, []), num_guide_samples=N, random_seed=0)
    with pytest.warns(ProgramWarning):
        cache.weigh(whole(1.5, []))
    assert changes(cache.pipeline.score(whole(1.5, [], then)))


def test_a_latent_after_the_data_is_refused_though_other_models_ended_before():
    cache = Resampler(whole(2.0, []), num_guide_samples=N, random_seed=0)
    with pytest.warns(ProgramWarning):
        cache.weigh(whole(1.5, []))
    with pytest.raises(MismatchError, match="'extra'"):
        cache.weigh(whole(1.5, [], lambda: pyro.sample("extra", dist.Normal(0.0, 1.0))))


def test_data_in_a_model_are_said_once():
    cache = Resampler(whole(2.0, []), num_guide_samples=N, random_seed=0)
    with pytest.warns(ProgramWarning, match="'y' of the model carries obs="):
        cache.weigh(whole(1.5, []))
    cache.weigh(whole(1.2, []))  # a warning would be an error


def test_no_chunk_is_longer_than_its_arrays_should_be():
    def wide(width):
        return lambda: pyro.sample("x", dist.Normal(torch.zeros(width), 1.0).to_event(1))

    for width in (1, 8, 1000):
        cache = Resampler(wide(width), num_guide_samples=9000, random_seed=0)
        lengths = [rows.stop - rows.start for rows in chunks(cache.pipeline.particles.widths, 9000)]
        assert sum(lengths) == 9000
        assert max(lengths) * width <= particles._MAX_ELEMENTS_PER_SITE
        assert max(lengths) - min(lengths) <= 1


def test_memory_of_chunks_is_used_again_once_nobody_looks_at_it(short):
    short(300)
    cache = Resampler(guide, num_guide_samples=N, random_seed=0)
    kept = cache.weigh(model)
    before = kept.log_ratio_by_site["tau"].copy(), kept.normalized.copy()
    array = cache.weigh(model).log_ratio  # its weights are gone, it is not
    copy = array.copy()

    def other():
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        tau = pyro.sample("tau", dist.LogNormal(0.0, 0.5))
        with pyro.plate("school", 3):
            pyro.sample("theta", dist.Normal(mu, tau))
        pyro.factor("none", torch.zeros(()))

    for _ in range(3):
        cache.weigh(other)
    assert np.array_equal(kept.log_ratio_by_site["tau"], before[0])
    assert np.array_equal(kept.normalized, before[1])
    assert np.array_equal(array, copy)
    gone = cache.weigh(other).log_ratio.ctypes.data
    block = weakref.ref(cache.pipeline.scratch._blocks[0])  # a view would keep it from being used again
    assert cache.weigh(other).log_ratio.ctypes.data == gone
    assert block() is cache.pipeline.scratch._blocks[0]


@pytest.mark.parametrize("n", [10, score_model._LONG])
def test_sums_are_those_of_float64_whatever_the_parts_are(n):
    generator = torch.Generator().manual_seed(0)
    dtypes = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.float32]
    parts = [torch.randn(n, generator=generator, dtype=torch.float64).to(dtype) for dtype in dtypes]
    parts[0][3], parts[1][3], parts[2][5] = torch.inf, -torch.inf, -torch.inf
    out = torch.empty(n, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is not finite is dealt with later
        score_model._write_sum(parts, out)
    expected = parts[0].double()
    for part in parts[1:]:
        expected = expected + part.double()
    torch.testing.assert_close(out, expected, rtol=0.0, atol=0.0, equal_nan=True)


def test_weights_that_are_kept_do_not_change_with_the_next_model():
    cache = Resampler(guide, num_guide_samples=N, random_seed=0)
    first = cache.pipeline.score(model)
    before = {name: values.clone() for name, values in first.scored.items()}
    total = first.weights.log_ratio.copy()
    cache.weigh(guide)
    assert all(torch.equal(first.scored[name], values) for name, values in before.items())
    assert np.array_equal(first.weights.log_ratio, total)
