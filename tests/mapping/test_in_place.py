"""Changes in place in a map are those of each particle by itself."""

import itertools

import pytest
import torch

from arviz_resampler.mapping.functorch import map_particles
from arviz_resampler.mapping.particle_mode import ParticleMode
from arviz_resampler.mapping.random_mode import UnmappableError
from arviz_resampler.mapping.streams import Streams

VALUES = torch.tensor([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0], [7.0, 8.0, 0.5], [0.25, -1.0, -9.0]])
PLACES = torch.tensor([0, 2, 1, 2])


def mapped(program, *rows):
    found = []

    def work(particles):
        with ParticleMode(particles, Streams(0), "model", fresh=True):
            out = program(*map(particles.enter, rows))
        found.append(particles.rows(out))

    map_particles(work, len(rows[0]))
    return found[0]


def fill(x, i):
    out = torch.empty(3)
    out[:] = 0.0
    out[0] = x[1]
    return out


def assign(x, i):
    out = torch.zeros(3)
    out[i] = x[0]
    return out


def assign_apart(x, i):
    out = torch.zeros(3, 2, 3)
    index = torch.tensor([0, 2])
    out[index, :, index] = x[:2]
    return out


def assign_masked(x, i):
    out = 2 * x
    out[x > 0] = 0.0
    return out


def add_to_constant(x, i):
    out = torch.arange(3.0)
    out += x
    out.mul_(2)
    return out


def change_view(x, i):
    out = torch.zeros(2, 3)
    row = out[1]
    row += x
    return out


def change_row(x, i):
    out = torch.arange(9.0).reshape(3, 3)
    row = out[i]
    row *= 10
    return out


def change_view_of_row(x, i):
    out = torch.arange(9.0).reshape(3, 3)
    out[i][1:].add_(x[0])
    return out


def assign_itself(x, i):
    out = x + 0.0
    out[:1] = out[2:]
    return out


def keep_constant(x, i):
    out = torch.zeros(2)
    for k in torch.arange(2):
        out[k] = x[k]
    assert torch.ones(3).sum() > 2  # is no particle's own
    return out


PROGRAMS = {
    program.__name__: program
    for program in (
        *(fill, assign, assign_apart, assign_masked, add_to_constant, change_view, change_row),
        *(change_view_of_row, assign_itself, keep_constant),
    )
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_change_is_that_of_each_particle_by_itself(name):
    expected = [PROGRAMS[name](x.clone(), i) for x, i in zip(VALUES, PLACES, strict=True)]
    assert torch.equal(mapped(PROGRAMS[name], VALUES, PLACES), torch.stack(expected))


def test_what_nobody_has_changed_is_still_shared():
    def work(particles):
        with ParticleMode(particles, Streams(0), "model", fresh=True) as mode:
            x = torch.arange(3.0)
            assert particles.varies(x)
            assert not particles.varies(mode.shared(x))
            assert mode.shared([x, 1])[1] == 1
            x += 1.0  # by what all share: in common
            assert not particles.varies(mode.shared(x))
            x += particles.enter(VALUES)
            assert particles.varies(mode.shared(x))

    map_particles(work, 4)


def test_a_change_around_a_row_in_use_is_refused():
    def program(x, i):
        out = torch.zeros(3, 3)
        row = out[i]
        out += 1.0
        return row

    with pytest.raises(UnmappableError, match="changed while a row is in use"):
        mapped(program, VALUES, PLACES)


def test_a_change_of_what_may_be_a_view_or_a_copy_is_refused():
    def program(x, i):
        out = (x * torch.ones(2, 3)).mT
        flat = out.reshape(-1)
        flat += 1.0
        return out

    with pytest.raises(UnmappableError, match="depends on the layout"):
        mapped(program, VALUES, PLACES)


INDEX = torch.tensor([2, 0])
PARTS = {
    "i": lambda i: i,
    "-i": lambda i: -i,
    "1": lambda i: 1,
    ":": lambda i: slice(None),
    "1:": lambda i: slice(1, None),
    "...": lambda i: Ellipsis,
    "None": lambda i: None,
    "index": lambda i: INDEX,
    "mask": lambda i: torch.tensor([True, False, True]),
}
KEYS = [
    parts
    for length in (1, 2, 3)
    for parts in itertools.product(PARTS, repeat=length)
    if {"i", "-i"} & set(parts) and parts.count("...") < 2
]


@pytest.mark.parametrize("part", ["i", "-i"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_key_with_a_number_that_was_drawn_means_what_it_means_for_a_particle(part, place):
    """A map would read the number, or take it for one of the indices that broadcast."""
    for parts in (key for key in KEYS if key[place : place + 1] == (part,)):

        def program(x, i, parts=parts):
            key = tuple(PARTS[part](i) for part in parts)
            cube = x[:, None, None] + torch.arange(27.0).reshape(3, 3, 3)
            row = cube[key]
            changed = cube.clone()
            changed[key] = row + torch.arange(row.numel()).reshape(row.shape)
            changed[key] *= 2
            filled = torch.zeros(3, 3, 3)
            filled[key] = x[0]
            return torch.cat(
                [row.reshape(-1), changed.reshape(-1), filled.reshape(-1), torch.tensor(row.shape)]
            )

        expected = torch.stack([program(x.clone(), i) for x, i in zip(VALUES, PLACES, strict=True)])
        assert torch.equal(mapped(program, VALUES, PLACES), expected), parts
