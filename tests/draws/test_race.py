import pickle

import numpy as np
import pytest
import torch
from scipy import stats

from arviz_resampler.draws import race as race_module
from arviz_resampler.draws.race import Race, _blocks

EDGES = np.array([block.start for block in _blocks(600)][1:])


def share(p, q):
    """Expected share of draws in common (Moulton and Jiang 2018)."""
    return sum(1 / np.maximum(p / p[j], q / q[j]).sum() for j in range(len(p)) if p[j] > 0 and q[j] > 0)


def some_weights(n, seed=0, spread=1.0):
    log = spread * np.random.default_rng(seed).normal(size=n)
    weights = np.exp(log - log.max())
    return weights / weights.sum()


def test_draws_follow_the_weights_exactly():
    weights = some_weights(9, spread=1.5)
    counts = np.zeros(9)
    for seed in range(300):
        counts += np.bincount(Race(seed, 9).winners(torch.as_tensor(weights), 700), minlength=9)
    # Independent draws: chi-square with 8 degrees of freedom; 40 is exceeded with probability 3e-6.
    assert stats.chisquare(counts, weights * counts.sum()).statistic < 40


def test_draws_of_one_race_are_independent_of_each_other():
    weights = np.full(4, 0.25)
    pairs = np.zeros((4, 4))
    for seed in range(400):
        draws = Race(seed, 4).winners(torch.as_tensor(weights), 600)
        # Neighbors, also across the edges of blocks.
        np.add.at(pairs, (draws[:-1:2], draws[1::2]), 1)
        np.add.at(pairs, (draws[EDGES - 1], draws[EDGES]), 1)
    assert stats.chisquare(pairs.ravel()).statistic < 50  # 15 degrees of freedom: p = 1e-5


@pytest.mark.parametrize("shift", [0.02, 0.3, 2.0])
def test_share_of_common_draws_is_that_of_the_coupling(shift):
    x = np.random.default_rng(5).normal(size=50)
    p, q = (np.exp(-((x - m) ** 2) / 2) for m in (0, shift))
    p, q = p / p.sum(), q / q.sum()
    same = []
    for seed in range(200):
        race = Race(seed, 50)
        same.append(race.winners(torch.as_tensor(p), 512) == race.winners(torch.as_tensor(q), 512))
    # Draws are independent, so the share of n draws has standard error sqrt(J * (1 - J) / n).
    expected = share(p, q)
    error = np.sqrt(expected * (1 - expected) / (200 * 512))
    assert abs(np.mean(same) - expected) < 5 * error
    assert np.mean(same) > (1 - abs(p - q).sum() / 2) / (1 + abs(p - q).sum() / 2) - 5 * error


def test_particles_that_lose_nothing_keep_their_draws():
    weights = some_weights(200)
    more = np.append(weights * 0.9, 0.1)
    old, new = (
        Race(3, 200).winners(torch.as_tensor(weights), 3000),
        Race(3, 201).winners(torch.as_tensor(more), 3000),
    )
    assert (new[new != old] == 200).all()
    assert 0.05 < np.mean(new == 200) < 0.15


@pytest.mark.parametrize("num_samples", sorted({1, 20, 1000, *EDGES - 1, *EDGES, *EDGES + 1}))
def test_asking_for_more_draws_keeps_the_first_ones(num_samples):
    weights = some_weights(500, spread=2)
    race = Race(11, 500)
    longest = race.winners(torch.as_tensor(weights), 2100)
    assert np.array_equal(race.winners(torch.as_tensor(weights), num_samples), longest[:num_samples])


def test_draws_do_not_depend_on_what_was_asked_before():
    weights = some_weights(500)
    fresh = Race(11, 500).winners(torch.as_tensor(weights), 700)
    used = Race(11, 500)
    used.winners(torch.as_tensor(some_weights(500, seed=9)), 30)
    assert np.array_equal(used.winners(torch.as_tensor(weights), 700), fresh)


def test_seeds_give_different_races():
    weights = some_weights(1000)
    assert (
        np.mean(
            Race(1, 1000).winners(torch.as_tensor(weights), 1000)
            == Race(2, 1000).winners(torch.as_tensor(weights), 1000)
        )
        < 0.05
    )


def test_one_particle_takes_every_draw():
    assert Race(0, 1).winners(torch.as_tensor(np.ones(1)), 300).tolist() == [0] * 300


def test_one_particle_with_all_the_weight_takes_every_draw():
    weights = np.zeros(1000)
    weights[17] = 1.0
    assert set(Race(0, 1000).winners(torch.as_tensor(weights), 5000)) == {17}


def test_particles_without_weight_are_never_drawn():
    weights = some_weights(1000)
    weights[::2] = 0
    weights /= weights.sum()
    assert (Race(4, 1000).winners(torch.as_tensor(weights), 4000) % 2 == 1).all()


def test_a_pickled_race_is_small_and_runs_the_same():
    weights = some_weights(20_000)
    race = Race(8, 20_000)
    draws = race.winners(torch.as_tensor(weights), 100)
    packed = pickle.dumps(race)
    assert len(packed) < 1000
    assert np.array_equal(pickle.loads(packed).winners(torch.as_tensor(weights), 100), draws)


def test_seeds_that_differ_beyond_64_bits_give_different_races():
    weights = some_weights(500)
    winners = [
        tuple(Race(seed, 500).winners(torch.as_tensor(weights), 50))
        for seed in (7, 7 + 2**64, 7 + 2**65, 7 + 2**128)
    ]
    assert len(set(winners)) == 4


@pytest.mark.parametrize("slack", [-2.0, 1.0, 8.0])
def test_the_first_horizon_decides_the_time_and_never_the_winners(slack, monkeypatch):
    cases = []
    for seed in range(60):
        weights = some_weights(3 + 7 * seed, seed, spread=0.05 * seed)
        cases.append((Race(seed, len(weights)).winners(torch.as_tensor(weights), 700), seed, weights))
    monkeypatch.setattr(race_module, "_SLACK", slack)
    for winners, seed, weights in cases:
        assert np.array_equal(Race(seed, len(weights)).winners(torch.as_tensor(weights), 700), winners)


def test_how_many_arrivals_are_looked_at_in_one_go_decides_the_time_and_never_the_winners(monkeypatch):
    cases = [(Race(seed, 300), some_weights(300, seed, spread=seed)) for seed in range(20)]
    winners = [race.winners(torch.as_tensor(weights), 700) for race, weights in cases]
    monkeypatch.setattr(race_module, "_FEW", 1)
    for (race, weights), before in zip(cases, winners, strict=True):
        assert np.array_equal(race.winners(torch.as_tensor(weights), 700), before)


def test_a_threshold_is_just_below_the_weight_whose_first_arrival_is_at_the_horizon():
    n = 300
    race, blocks = Race(5, n), _blocks(1000)
    lowest_found, by_block = (t.numpy() for t in race._thresholds_of(len(blocks), torch.device("cpu")))
    exact = np.empty((n, len(blocks)))
    for block in blocks:
        # With a weight of one, a time is that of the particle itself.
        times, _, entries = race._arrivals(np.arange(n), np.ones(n), np.zeros(n, np.int64), [block], 1.0)
        first = np.full(n, np.inf)
        np.minimum.at(first, entries, times)
        exact[:, block.number] = first / block.horizon
    lowest = exact.min(axis=1)
    assert (lowest_found < lowest).all()
    assert (by_block < exact).all()
    np.testing.assert_allclose(lowest_found, lowest, rtol=1e-11)
    np.testing.assert_allclose(by_block, exact, rtol=1e-5)
