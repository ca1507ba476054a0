"""Plates that take some of their rows: those that a program names, and no others."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive

from arviz_resampler import MismatchError, ProgramError, ProgramWarning, Resampler, StoreError


def resampler(guide, simulator=None, n=100, **options):
    return Resampler(guide, simulator, num_guide_samples=n, random_seed=0, progressbar=False, **options)


ROWS = torch.tensor([1, 4, 8])


def in_rows(sd, rows=lambda: ROWS, **options):
    def program():
        mu = pyro.sample("mu", dist.Normal(0.0, 2.0))
        with pyro.plate("rows", 10, subsample=rows(), **options) as index:
            z = pyro.sample("z", dist.Normal(mu + torch.arange(10.0)[index], sd))
            pyro.sample("y", dist.Normal(z, 1.0), obs=torch.arange(10.0)[index])

    return program


@pytest.mark.filterwarnings("ignore:the guide draws random numbers outside its sites")
@pytest.mark.parametrize("vectorize", [True, False])
@pytest.mark.parametrize("rows", [lambda: None, lambda: torch.randperm(10)[:3], lambda: torch.randperm(10)])
def test_a_plate_that_takes_other_rows_in_each_run_is_refused(rows, vectorize):
    size = 10 if len(rows() if rows() is not None else ROWS) == 10 else 3
    with pytest.raises(
        ProgramError, match=rf"plate 'rows' of the guide takes (a subsample of {size} of 10|other rows)"
    ):
        resampler(in_rows(1.0, rows, subsample_size=size), n=10, vectorize=vectorize)


@pytest.mark.parametrize("rows", [ROWS, [1, 4, 8]], ids=["tensor", "list"])
@pytest.mark.parametrize("vectorize", [True, False])
def test_rows_that_a_program_names_are_drawn_and_weigh_once(vectorize, rows):
    n = 4000 if vectorize else 500
    guide, model = in_rows(1.5, lambda: rows), in_rows(1.0, lambda: rows)
    cache = resampler(guide, n=n, vectorize=vectorize)
    columns = cache.pipeline.particles.columns
    assert cache.sites["z"].dims == ("rows",)
    assert {name: tuple(column.value.shape) for name, column in columns.items()} == {
        "mu": (n,),
        "z": (n, 3),
        "y": (n, 3),
    }
    assert cache.pipeline.observed["y"].tolist() == [1.0, 4.0, 8.0]
    with pytest.warns(ProgramWarning, match="carries obs="):
        own, other = cache.weigh(guide), cache.weigh(model)
    assert not own.log_ratio.any()
    assert other.densities_normalized
    mu, z = columns["mu"].value, columns["z"].value
    loc = mu[:, None] + ROWS
    expected = dist.Normal(loc, 1.0).log_prob(z) - dist.Normal(loc, 1.5).log_prob(z)
    np.testing.assert_allclose(other.log_ratio, expected.double().sum(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("vectorize", [True, False])
@pytest.mark.parametrize("other", [torch.tensor([1, 4, 9]), torch.tensor([4, 1, 8]), torch.arange(3), None])
def test_other_rows_in_simulator_or_model_are_refused(other, vectorize):
    options = {} if other is not None else {"subsample_size": 10}
    drawn = ROWS if other is not None else torch.arange(10).flip(0)
    guide, another = in_rows(1.0, lambda: drawn), in_rows(1.0, lambda: other, **options)
    with pytest.raises(
        MismatchError, match=r"plate 'rows' of the simulator takes other rows .* site 'z' was"
    ):
        resampler(guide, another, n=20, vectorize=vectorize)
    cache = resampler(guide, n=20, vectorize=vectorize)
    with pytest.raises(MismatchError, match=r"plate 'rows' of the model takes other rows .* site 'z' was"):
        cache.weigh(another)


def test_all_rows_are_the_same_named_or_not():
    guide, model = in_rows(1.0, lambda: None), in_rows(1.0, lambda: list(range(10)))
    for first, second in ((guide, model), (model, guide)):
        with pytest.warns(ProgramWarning, match="carries obs="):
            assert not resampler(first, n=20).weigh(second).log_ratio.any()


def test_a_scale_around_a_subsample_still_counts():
    guide = in_rows(1.0)
    cache = resampler(guide, n=100)
    with pytest.warns(ProgramWarning, match="carries obs="):
        weights = cache.weigh(poutine.scale(guide, 0.3))  # exactly that of the plate, taken back
    assert set(weights.unnormalized) == {"mu", "z"}
    columns = cache.pipeline.particles.columns
    expected = -0.7 * (columns["mu"].log_q + columns["z"].log_q)
    np.testing.assert_allclose(weights.log_ratio, expected, rtol=1e-5)


def test_a_factor_in_a_subsample_counts_for_all_rows():
    def model():
        in_rows(1.0)()
        with pyro.plate("rows again", 10, subsample=ROWS):
            pyro.factor("pull", torch.tensor(0.3))

    cache = resampler(in_rows(1.0), n=100)
    with pytest.warns(ProgramWarning, match="carries obs="):
        weights = cache.weigh(model)
    np.testing.assert_allclose(weights.log_ratio, 3 * 0.3 * 10 / 3, rtol=1e-6)


def test_draws_of_a_model_have_the_law_of_plain_pyro():
    cache = resampler(in_rows(1.5), n=20_000)
    with pytest.warns(ProgramWarning, match="carries obs="):
        weights = cache.weigh(in_rows(0.7))
    pyro.set_rng_seed(0)
    plain = Predictive(poutine.uncondition(in_rows(0.7)), num_samples=1000)()
    found = {name: cache.pipeline.particles.columns[name].value.numpy() for name in ("mu", "z", "y")}
    for name, values in found.items():
        expected = plain[name].reshape(1000, *values.shape[1:])  # Predictive adds axes of one
        for power in (1, 2):
            mean, error = weights.mean(values**power), weights.mcse(values**power)
            wanted = (expected**power).double()
            bound = 5 * np.sqrt(error**2 + (wanted.var(0) / 1000).numpy())
            assert (abs(mean - wanted.mean(0).numpy()) <= bound).all()


def test_particles_in_named_rows_can_be_topped_up():
    def prior(sd, mean=0.0):
        def program():
            with pyro.plate("rows", 10, subsample=ROWS):
                pyro.sample("z", dist.Normal(mean, sd))

        return program

    cache = resampler(prior(2.0), n=1000)
    before = cache.weigh(prior(1.0, 2.0)).ess
    cache.top_up(prior(1.0, 2.0), ess=before + 200)
    assert cache.weigh(prior(1.0, 2.0)).ess > before + 100


def test_a_loop_over_some_rows_weighs_each_once():
    def program(sd):
        def run():
            for i in pyro.plate("rows", 10, subsample=ROWS):
                pyro.sample(f"z{i}", dist.Normal(0.0, sd))

        return run

    cache = resampler(program(2.0))
    assert list(cache.sites) == ["z1", "z4", "z8"]
    weights = cache.weigh(program(1.0))
    assert weights.densities_normalized
    columns = cache.pipeline.particles.columns.values()
    expected = sum(dist.Normal(0.0, 1.0).log_prob(c.value) - c.log_q for c in columns)
    np.testing.assert_allclose(weights.log_ratio, expected, rtol=1e-4, atol=1e-4)


def test_rows_are_kept_in_a_store(tmp_path):
    resampler(in_rows(1.5), n=40, batch_size=10, store=tmp_path / "store")
    cache = Resampler.open(tmp_path / "store")
    with pytest.warns(ProgramWarning, match="carries obs="):
        assert cache.weigh(in_rows(1.0)).ess > 1
    with pytest.raises(MismatchError, match="takes other rows"):
        cache.weigh(in_rows(1.0, lambda: torch.arange(3)))
    with pytest.raises(StoreError, match="site 'z' has rows"):
        resampler(in_rows(1.5, lambda: torch.arange(3)), n=80, batch_size=10, store=tmp_path / "store")


def test_guides_of_a_mixture_take_the_same_rows():
    guides = [in_rows(1.5), in_rows(1.5, lambda: torch.tensor([1, 4, 9]))]
    with pytest.raises(MismatchError, match="takes other rows"):
        resampler(guides)
