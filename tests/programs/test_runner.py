"""A guide that is run in batches: mapped while it can be, one particle at a time after that."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import ProgramError, ProgramWarning
from arviz_resampler.mapping.streams import Streams
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.runner import Runner

SAID = pytest.mark.filterwarnings("ignore:the guide runs one particle:arviz_resampler.ProgramWarning")


def plain():
    pyro.sample("x", dist.Normal(0.0, 1.0))


def branching():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.deterministic("d", x if x > 0 else -x)


def runner(fn, n=8, **options):
    options = {"vectorize": "auto", "on_error": "raise", "progressbar": False, **options}
    return Runner(Program(fn, "guide"), n, frozenset(), **options)


def test_a_batch_is_drawn_for_all_particles_at_once():
    run = runner(plain)
    drawn = run.draw(8, Streams(0), {})
    assert drawn.failed == {}
    assert drawn.found["x"].value.shape == (8,)
    assert not drawn.singly


def test_a_batch_that_cannot_be_mapped_runs_singly():
    run = runner(branching)
    with pytest.warns(ProgramWarning, match="the guide runs one particle at a time"):
        drawn = run.draw(8, Streams(0), {})
    assert drawn.singly
    assert torch.equal(drawn.found["d"].value, drawn.found["x"].value.abs())
    run.draw(8, Streams(0, 8), {})  # is not said again


@SAID
def test_a_batch_does_not_depend_on_those_before_it():
    def guide():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        try:
            torch.linalg.cholesky(torch.eye(2) + x / 2 * (1 - torch.eye(2)))
        except RuntimeError:
            x = x * 0
        pyro.sample("y", dist.Normal(x, 1.0))

    whole, last = runner(guide, 64), runner(guide, 64)
    drawn = [whole.draw(8, Streams(0, first, 8), {}) for first in range(0, 64, 8)]
    assert len({bool((batch.found["x"].value.abs() > 2).any()) for batch in drawn}) == 2
    for first, batch in zip(range(56, -1, -8), reversed(drawn), strict=True):
        again = last.draw(8, Streams(0, first, 8), {})
        assert all(torch.equal(again.found[name].value, site.value) for name, site in batch.found.items())


@pytest.mark.parametrize(("fn", "singly"), [(plain, False), (branching, True)], ids=["plain", "branching"])
def test_a_program_that_cannot_be_mapped_is_known_before_the_first_batch(fn, singly):
    run = runner(fn)
    run.settle(0, {})
    assert run.singly == singly


def test_particles_have_their_numbers_in_every_batch():
    run = runner(branching, vectorize=False)
    whole = run.draw(6, Streams(0, 0, 2), {}).found["x"].value
    parts = [run.draw(2, Streams(0, first, 2), {}).found["x"].value for first in (0, 2, 4)]
    assert torch.equal(torch.cat(parts), whole)
    assert run.again(0, 3, {})["x"] == whole[3]


def test_a_failure_is_raised_with_its_particle_or_kept():
    def failing():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        if x > 0:
            raise ValueError("positive")

    with pytest.raises(ProgramError, match=r"particle \d+ failed, at x = .*positive.*on_error='mask'"):
        runner(failing, vectorize=False).draw(8, Streams(0), {})
    drawn = runner(failing, vectorize=False, on_error="mask").draw(8, Streams(0), {})
    assert sorted(drawn.failed) == (drawn.found["x"].value > 0).nonzero()[:, 0].tolist()


def test_a_look_finds_the_sites_of_one_particle():
    found = runner(plain).look(0, {}, 0)
    assert {name: site.value.shape for name, site in found.items()} == {"x": (1,)}


def test_a_look_at_a_guide_that_keeps_a_state_settles_that_it_runs_singly():
    count = []

    def counting():
        count.append(1)
        pyro.sample("x", dist.Normal(float(len(count)), 1.0))

    run = runner(counting)
    with pytest.warns(ProgramWarning, match="that of other numbers"):  # its density changes at the same value
        run.look(0, {}, 0)
    assert run.singly
