"""Into a map over particles and out of it, by torch's private names and by the public way."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import Resampler
from arviz_resampler.mapping import functorch
from arviz_resampler.mapping.functorch import NestedMapError, OneParticle, map_particles
from arviz_resampler.mapping.particle_mode import ParticleMode
from arviz_resampler.mapping.streams import Streams

N = 5
ROWS = torch.arange(15.0).reshape(N, 3)


@pytest.fixture(params=["by hand", "public"])
def _way(request, monkeypatch):
    assert functorch.BY_HAND, "torch has renamed what functorch.py imports"
    if request.param == "public":
        monkeypatch.setattr(functorch, "BY_HAND", False)


def inside(look):
    """What a function finds inside a map."""
    found = []
    map_particles(lambda particles: found.append(look(particles)), N)
    return found[0]


@pytest.mark.usefixtures("_way")
def test_a_particle_sees_its_row_and_rows_come_back_as_they_were():
    def look(particles):
        value = particles.enter(ROWS)
        assert value.shape == (3,)
        return particles.rows(value), particles.rows(2 * value.sum(0))

    same, doubled = inside(look)
    assert torch.equal(same, ROWS)
    assert torch.equal(doubled, 2 * ROWS.sum(1))


@pytest.mark.usefixtures("_way")
def test_what_particles_share_has_one_row():
    def look(particles):
        value, shared = particles.enter(ROWS), torch.ones(2)
        return particles.varies(value), particles.varies(shared), particles.rows(shared)

    assert inside(look)[:2] == (True, False)
    assert inside(look)[2].shape == (1, 2)


@pytest.mark.usefixtures("_way")
def test_a_function_is_called_once_for_all_particles():
    calls = []

    def call(rows, varies):
        calls.append(([tuple(r.shape) for r in rows], varies))
        return [rows[0].sum(1) + rows[1].sum()]

    def look(particles):
        (out,) = particles.leave(call, particles.enter(ROWS), torch.ones(2))
        assert out.shape == ()
        return particles.rows(out)

    assert torch.equal(inside(look), ROWS.sum(1) + 2)
    assert calls == [([(5, 3), (2,)], [True, False])]


@pytest.mark.usefixtures("_way")
def test_flags_of_any_particle_are_seen():
    def look(particles):
        flags = particles.enter(torch.arange(N) == 3)
        return bool(functorch.unmapped(flags).any()), bool(functorch.unmapped(~flags).all())

    assert inside(look) == (True, False)


def test_the_first_particle_that_is_flagged_gives_its_value_to_all():
    def look(particles):
        value = particles.enter(ROWS)
        given = functorch.first(value, particles.enter(torch.arange(N) >= 2))
        none = functorch.first(value, particles.enter(torch.zeros(N, dtype=torch.bool)))
        return given, none, particles.varies(given)

    given, none, varies = inside(look)
    assert torch.equal(given, ROWS[2])
    assert none is None
    assert not varies


def test_outside_the_map_is_plain_torch_and_inside_again_is_not():
    def look(particles):
        value = particles.enter(ROWS)
        with particles.outside():
            assert not functorch.is_mapping()
            total = particles.rows(value).sum()
            with particles.inside():
                assert functorch.is_mapping()
                again = value + 1
        return total, particles.rows(again)

    total, again = inside(look)
    assert total == ROWS.sum()
    assert torch.equal(again, ROWS + 1)
    assert not functorch.is_mapping()


def test_the_map_is_left_after_an_error():
    def fail(particles):
        with particles.outside():
            raise KeyError("x")

    with pytest.raises(KeyError):
        map_particles(fail, N)
    assert not functorch.is_mapping()


def test_a_map_of_the_program_itself_is_not_mistaken_for_that_over_particles():
    def look(particles):
        value = particles.enter(ROWS)
        torch.vmap(lambda x: particles.leave(lambda rows, varies: rows, x)[0])(value)

    with pytest.raises(NestedMapError):
        inside(look)


def test_one_particle_by_itself_is_a_map_of_one():
    one = OneParticle()
    value = torch.ones(2)
    assert one.rows(value).shape == (1, 2)
    assert one.enter(one.rows(value)).shape == (2,)
    assert not one.varies(value)


def program():
    a = pyro.sample("a", dist.Gamma(2.0, 1.0))
    with pyro.plate("p", 3):
        b = pyro.sample("b", dist.Normal(a, 1.0))
    x = torch.zeros(4)
    x[1] = b[0]
    pyro.sample("y", dist.Poisson((x + a).exp()).to_event(1))
    pyro.sample("m", dist.MultivariateNormal(b, torch.eye(3) * a))
    pyro.deterministic("d", b.sum() + torch.randn(2))


@pytest.mark.filterwarnings("ignore:the (guide|model) draws random numbers outside its sites")
def test_both_ways_give_the_same_bits(monkeypatch):
    results = []
    for by_hand in (True, False):
        monkeypatch.setattr(functorch, "BY_HAND", by_hand)
        resampler = Resampler(program, num_guide_samples=50, random_seed=0, vectorize=True)
        ratio = resampler.weigh(program).log_ratio
        results.append(({n: c.value for n, c in resampler.pipeline.particles.columns.items()}, ratio))
    (first, ratio), (second, again) = results
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (ratio == 0).all()
    assert (again == 0).all()


def test_a_map_knows_whether_it_is_alone_with_its_mode():
    found = {}

    def work(particles):
        mode = ParticleMode(particles, Streams(0), "model", fresh=False)
        found["no mode"] = particles.is_alone()
        with mode:
            found["mode"] = particles.is_alone()
            with torch.device("cpu"):
                found["device"] = particles.is_alone()
            torch.vmap(lambda x: found.update(map=particles.is_alone()) or x)(torch.ones(2))
            with particles.outside():
                found["outside"] = particles.is_alone()

    map_particles(work, N)
    assert found == {"no mode": False, "mode": True, "device": False, "map": False, "outside": False}
