"""Random streams of blocks and of particles."""

import math
import random

import numpy as np
import pytest
import torch

from arviz_resampler.mapping.streams import (
    BLOCK,
    Streams,
    generators_kept,
    permuted,
    seed_particle,
    seed_stream,
)

CPU = torch.device("cpu")


def draw(streams, n, width=1, name="x"):
    return streams.draw(name, n, [], width, CPU, lambda size, rows: torch.randn(size, width))


def test_a_stream_is_what_its_key_says():
    seed_stream("a", CPU)
    first = torch.randn(1000)
    seed_stream("b", CPU)
    other = torch.randn(1000)
    seed_stream("a", CPU)
    assert torch.equal(torch.randn(1000), first)
    assert not torch.equal(first, other)


def test_draws_of_streams_are_normal_and_independent():
    x = torch.cat([draw(Streams(1), 20_000, name=f"x{i}")[:, 0] for i in range(10)]).double()
    n = len(x)
    # Mean, variance and the products of neighbors have standard errors of 1, sqrt(2) and 1 over sqrt(n).
    assert abs(x.mean()) < 5 / math.sqrt(n)
    assert abs(x.var() - 1) < 5 * math.sqrt(2 / n)
    assert abs((x[1:] * x[:-1]).mean()) < 5 / math.sqrt(n)
    first = x.reshape(10, -1)
    assert abs((first[0] * first[1]).mean()) < 5 / math.sqrt(20_000)


@pytest.mark.parametrize("n", [1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_the_first_draws_do_not_depend_on_how_many_follow(n):
    assert torch.equal(draw(Streams(3), 4 * BLOCK)[:n], draw(Streams(3), n))


def test_a_batch_continues_where_another_ended():
    whole = draw(Streams(3), 4 * BLOCK)
    parts = [draw(Streams(3, first), BLOCK) for first in (2 * BLOCK, 0, 3 * BLOCK, BLOCK)]
    assert torch.equal(whole, torch.cat([parts[i] for i in (1, 3, 0, 2)]))


def test_a_block_of_wide_draws_has_fewer_particles():
    sizes = []

    def sampler(size, rows):
        sizes.append(size)
        return torch.zeros(size, 1000)

    Streams(0).draw("x", 600, [], 1000, CPU, sampler)
    assert set(sizes) == {256}  # the largest power of two with at most 2**18 numbers
    assert len(sizes) == 3


def test_rows_of_a_block_that_is_not_full_are_repeated():
    seen = []

    def sampler(size, rows):
        seen.append(rows[0])
        return rows[0]

    rows = torch.arange(5.0)
    out = Streams(0, 0, 4).draw("x", 5, [rows], 1, CPU, sampler)
    assert torch.equal(out, rows)
    assert [r.tolist() for r in seen] == [[0, 1, 2, 3], [4, 4, 4, 4]]


@pytest.mark.parametrize("key", [0, 1, 12345678901234567890])
def test_seeds_of_particles_never_meet(key):
    assert len({permuted(i, key) for i in range(100_000)}) == 100_000
    assert all(0 <= permuted(i, key) < 2**32 for i in (0, 1, 2**31, 2**32 - 1))


def test_a_particle_has_a_stream_in_each_generator():
    def numbers(particle):
        seed_particle(9, "simulator", particle)
        return torch.rand(()).item(), np.random.rand(), random.random()

    with generators_kept():
        assert numbers(4) == numbers(4)
        assert all(a != b for a, b in zip(numbers(4), numbers(5), strict=True))


def test_first_normals_of_particles_are_normal_and_independent():
    n = 20_000
    x = torch.empty(n, dtype=torch.float64)
    with generators_kept():
        for i in range(n):
            seed_particle(0, "x", i)
            x[i] = torch.randn(())
    assert abs(x.mean()) < 5 / math.sqrt(n)
    assert abs(x.var() - 1) < 5 * math.sqrt(2 / n)
    assert abs((x[1:] * x[:-1]).mean()) < 5 / math.sqrt(n)


def test_generators_are_put_back():
    def state():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()

    before = state()
    with generators_kept():
        torch.rand(3), np.random.rand(), random.random()
    assert state() == before
