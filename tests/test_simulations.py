"""Simulations in a store: begun, interrupted, gone on with, shared among tasks, and opened."""

import json
import multiprocessing
import pickle
import random
import shutil
import sys
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr

from arviz_resampler import (
    ArgumentError,
    DrawWarning,
    MismatchError,
    Mixture,
    ProgramError,
    ProgramWarning,
    Resampler,
    StoreError,
    StoreWarning,
    family,
)
from arviz_resampler.particles import filling
from arviz_resampler.particles.guides import Repeated
from arviz_resampler.storage import Store


def prior(scale):
    def program():
        return pyro.sample("mu", dist.Normal(0.0, scale)), pyro.sample("tau", dist.HalfNormal(scale))

    return program


def simulator():
    mu, tau = prior(5.0)()
    pyro.deterministic("design", torch.arange(3.0))
    with pyro.plate("school", 4):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.deterministic("twice", 2 * theta)
        pyro.sample("y", dist.Normal(theta, 10.0), obs=torch.arange(4.0))
        pyro.sample("n", dist.Poisson(theta.exp().clamp(max=50.0)))


def fragile():
    mu, _ = prior(5.0)()
    if mu > 5:
        raise ValueError("too large")
    pyro.sample("n", dist.Poisson(mu.exp()))
    pyro.sample("y", dist.Normal(mu, 1.0))


def rarely():
    mu, _ = prior(5.0)()
    if mu > 12:  # 0.8 % of particles
        raise ValueError("too large")


SINGLY = pytest.mark.filterwarnings("ignore:the simulator runs one particle at a time")
FAILED = pytest.mark.filterwarnings("ignore:the run of .* particles failed:arviz_resampler.DrawWarning")


def build(guide=None, sim=simulator, **options):
    options = {"num_guide_samples": 1000, "batch_size": 100, "random_seed": 3, "progressbar": False} | options
    return Resampler(prior(5.0) if guide is None else guide, sim, **options)


def fill(store, guide=None, sim=simulator, **options):
    options = {"num_guide_samples": 1000, "batch_size": 100, "random_seed": 3, "progressbar": False} | options
    return Resampler.simulate(prior(5.0) if guide is None else guide, sim, store=store, **options)


def content(path):
    """All files of a store but what differs from run to run: seconds, and when it was made."""
    found = {}
    for file in sorted(path.rglob("*")):
        if file.is_dir() or ".lock" in file.name:
            continue
        name = str(file.relative_to(path))
        if name.startswith("records/"):
            record = json.loads(file.read_text())
            found[name] = record["crc32"], record["failed"], record["parts"]
        elif name == "zarr.json":
            root = json.loads(file.read_text())
            found[name] = {**about(path), "created": ""}, root.pop("attributes"), root
            found[name][1].pop("about")
        else:
            found[name] = file.read_bytes()
    return found


def about(path, **changed):
    """What a store says of its particles; it says something else afterwards."""
    root = json.loads((path / "zarr.json").read_text())
    said = json.loads(root["attributes"]["about"])
    root["attributes"]["about"] = json.dumps({**said, **changed})
    if changed:
        (path / "zarr.json").write_text(json.dumps(root))
    return said


def alike(one, other):
    """Whether containers are the same but for the time when they were made."""
    for tree in (one, other):
        for group in tree.subtree:
            group.attrs.pop("created_at", None)
    return one.identical(other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store that nothing has interrupted."""
    path = tmp_path_factory.mktemp("whole") / "particles.zarr"
    build(store=path)
    return path


@pytest.fixture
def copied(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "particles.zarr")


def same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one)


# ---------------------------------------------------------------- as in memory


@pytest.mark.parametrize("opened", [False, True])
def test_a_store_has_the_draws_that_particles_in_memory_have(whole, opened):
    memory, stored = build(), Resampler.open(whole) if opened else build(store=whole)
    assert stored.sites == memory.sites
    same(memory.sample(prior(3.0), 50), stored.sample(prior(3.0), 50))
    for scheme in ("stable", "systematic"):
        one, other = (
            r.sample_prior_predictive(prior(3.0), 50, scheme=scheme, container="datatree")
            for r in (memory, stored)
        )
        assert alike(one, other)


@pytest.mark.filterwarnings("ignore:.* numbers are not reliable")
def test_numbers_of_a_store_are_those_of_particles_in_memory(whole):
    memory, stored = build(), Resampler.open(whole)
    variants = {"wide": prior(4.0), "narrow": prior(3.0)}
    here, there = (r.compare(variants, 100) for r in (memory, stored))
    names = ["mu", "tau", "y"]
    pd.testing.assert_frame_equal(here.summary(var_names=names), there.summary(var_names=names))
    statistic = {"above": lambda ds: (ds.y > 5).mean("school")}
    pd.testing.assert_frame_equal(
        here.contrast("wide", "narrow", statistic), there.contrast("wide", "narrow", statistic)
    )
    one, other = (r.sensitivity(prior(3.0), var_names=names) for r in (memory, stored))
    pd.testing.assert_frame_equal(one, other)
    particles, weights = stored.weighted(prior(3.0))
    expected, same_weights = memory.weighted(prior(3.0))
    assert weights.identical(same_weights)
    assert particles.load().identical(expected)


def test_what_is_predicted_stays_on_disk_until_it_is_used(whole):
    particles, _ = Resampler.open(whole).weighted(prior(3.0))
    assert not particles["y"]._in_memory
    assert not particles["y"].isel(particle=slice(5, 20))._in_memory
    assert particles["mu"]._in_memory


def test_what_is_left_out_of_a_container_is_not_read(whole, monkeypatch):
    def refuse(*args):
        raise AssertionError("read")

    stored, given = Resampler.open(whole), {"num_samples": 50, "container": "datatree"}
    full = stored.sample_prior_predictive(prior(3.0), **given)
    monkeypatch.setattr("arviz_resampler.particles.disk.StoredTensor.rows", refuse)
    monkeypatch.setattr("arviz_resampler.particles.disk.StoredTensor.load", refuse)
    with pytest.raises(AssertionError, match="read"):
        stored.sample_prior_predictive(prior(3.0), **given)
    small = stored.sample_prior_predictive(prior(3.0), var_names=["mu", "tau"], **given)
    assert set(small.children) == set(full.children) - {"prior_predictive"}
    xr.testing.assert_identical(small["prior"].to_dataset(), full["prior"].to_dataset()[["mu", "tau"]])
    xr.testing.assert_identical(
        small["sample_stats_prior"].to_dataset(), full["sample_stats_prior"].to_dataset()
    )


def test_a_model_that_mentions_what_is_predicted_is_scored_from_the_disk(whole):
    def model():
        mu, tau = prior(4.0)()
        with pyro.plate("school", 4):
            theta = pyro.sample("theta", dist.Normal(mu, tau))
            pyro.sample("n", dist.Poisson((1.1 * theta).exp().clamp(max=60.0)))

    memory, stored = build(), Resampler.open(whole)
    np.testing.assert_array_equal(memory.weigh(model).log_ratio, stored.weigh(model).log_ratio)


def test_a_tuner_on_a_store_shows_what_one_in_memory_shows(whole):
    one, other = (
        r.tune(prior, 100, scale=(2.0, 5.0)).update(scale=3.0) for r in (build(), Resampler.open(whole))
    )
    assert one.weights.ess == other.weights.ess


def test_a_resampler_with_a_store_is_pickled_by_its_path(whole):
    stored = Resampler.open(whole)
    again = pickle.loads(pickle.dumps(stored))
    same(stored.sample(prior(3.0), 50), again.sample(prior(3.0), 50))


def test_plain_xarray_opens_a_store_and_writes_a_single_file(whole, tmp_path):
    tree = xr.open_datatree(whole, engine="zarr")
    values = build().pipeline.particles.columns
    assert tree["values"]["y"].dims == ("particle", "school")
    np.testing.assert_array_equal(tree["values"]["y"].values, values["y"].value)
    np.testing.assert_array_equal(tree["values"]["design"].values, values["design"].value)
    np.testing.assert_array_equal(tree["log_q"]["mu"].values, values["mu"].log_q)
    tree.to_netcdf(tmp_path / "particles.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "particles.nc", group="values", engine="h5netcdf") as file:
        np.testing.assert_array_equal(file["mu"].values, values["mu"].value)


def test_an_opened_store_has_data_names_and_labels(tmp_path):
    options = {
        "coords": {"school": ["a", "b", "c", "d"], "design_dim_0": [0.1, np.nan, 1 / 3]},
        "observed": {"y": np.array([1.0, 2.0, np.nan, 4.0])},
        "constant_data": {"n": np.arange(4), "when": np.arange(3)},
        "dims": {"when": ["design_dim_0"]},
    }
    made = build(store=tmp_path / "s", **options).sample_prior_predictive(
        prior(4.0), 10, container="datatree"
    )
    found = Resampler.open(tmp_path / "s").sample_prior_predictive(prior(4.0), 10, container="datatree")
    assert alike(made, found)
    assert made["prior_predictive"]["school"].values.tolist() == ["a", "b", "c", "d"]


LABELS = {
    "days": np.array(["2024-01-01", "2024-01-02", "NaT", "2024-01-04"], "datetime64[s]"),
    "spans": np.arange(4).astype("timedelta64[m]"),
    "bytes": np.array([b"a", b"b", b"c", b"d"]),
    "floats": np.array([0.1, np.nan, np.inf, 1 / 3]),
    "truth": np.array([True, False, True, True]),
    "objects": np.array([1, "b", None, 2.5], object),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_every_kind_are_kept(tmp_path, name):
    made = build(store=tmp_path / "s", coords={"school": LABELS[name]}).pipeline.coords["school"]
    found = Resampler.open(tmp_path / "s").pipeline.coords["school"]
    assert found.dtype == made.dtype
    np.testing.assert_array_equal(made, found)


def test_data_that_do_not_fit_are_refused_before_anything_is_simulated(tmp_path):
    for options in (
        {"observed": {"y": np.zeros(3)}},
        {"coords": {"school": ["a"]}},
        {"dims": {"none": ["x"]}},
    ):
        with pytest.raises(ArgumentError):
            build(store=tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


# ---------------------------------------------------------------- interrupted and gone on with


def test_a_run_that_was_interrupted_goes_on_and_ends_with_the_same_bits(whole, tmp_path, monkeypatch):
    path, write = tmp_path / "particles.zarr", filling.Filling.write

    def interrupted(self, store, number):
        if number == 4:
            raise KeyboardInterrupt
        return write(self, store, number)

    monkeypatch.setattr(filling.Filling, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(store=path)
    monkeypatch.undo()
    with pytest.raises(StoreError, match=r"lacks 6 of 10 batches \(4, 5, 6, 7, 8, …\): go on with the call"):
        Resampler.open(path)
    build(store=path)
    assert content(path) == content(whole)


@pytest.mark.parametrize("lost", ["records/7.json", "values/y/c/7/0"])
def test_a_batch_without_record_is_simulated_again_and_one_without_data_is_an_error(whole, copied, lost):
    (copied / lost).unlink()
    if lost.startswith("records"):
        build(store=copied)
        assert content(copied) == content(whole)
    else:
        with pytest.raises(StoreError, match=r"batch 7.*'y'"):
            build(store=copied)


def test_a_finished_store_is_not_simulated_again(copied, monkeypatch):
    monkeypatch.delattr(filling.Filling, "write")
    build(store=copied)


def test_a_call_without_a_seed_takes_that_of_the_store(whole):
    same(build(store=whole, random_seed=None).sample(prior(3.0), 20), build().sample(prior(3.0), 20))
    same(build(store=whole, batch_size=None).sample(prior(3.0), 20), build().sample(prior(3.0), 20))


def other_simulator():
    simulator()
    pyro.deterministic("more", torch.zeros(()))


@SINGLY
def test_a_run_that_a_failure_has_stopped_goes_on_with_failures_kept(tmp_path):
    with pytest.raises(ProgramError, match="on_error='mask'"):
        build(sim=rarely, store=tmp_path / "s")
    done = sorted(path.name for path in (tmp_path / "s" / "records").glob("*.json"))
    with pytest.warns(DrawWarning, match="particles failed"):
        found = build(sim=rarely, store=tmp_path / "s", on_error="mask")
    assert 0 < len(done) < 10
    assert len(found.failures) > 0


def categories():
    prior(5.0)()
    pyro.sample("k", dist.Categorical(torch.ones(3)))


@pytest.mark.parametrize(("first", "second"), [("raise", "mask"), ("mask", "raise")])
def test_whole_numbers_that_are_predicted_have_room_for_nan_or_not(tmp_path, first, second):
    build(sim=categories, store=tmp_path / "s", on_error=first)
    with pytest.raises(
        StoreError, match=f"was begun with on_error='{first}', which matters for whole numbers"
    ):
        build(sim=categories, store=tmp_path / "s", on_error=second)


def test_every_part_of_a_guide_is_compared(tmp_path):
    build(Mixture([prior(5.0), prior(0.5)]), store=tmp_path / "s")
    with pytest.raises(StoreError, match="site 'mu' of part 1 of the guide is"):
        build(Mixture([prior(5.0), prior(0.6)]), store=tmp_path / "s")


def test_another_text_of_a_program_is_said(tmp_path):
    def one():
        prior(5.0)()

    def other():
        prior(5.0)()  # the same

    build(sim=one, store=tmp_path / "s")
    with pytest.warns(
        StoreWarning, match="was begun with another text of 'simulator'. The first draws are the same"
    ):
        build(sim=other, store=tmp_path / "s")


def test_batches_of_whole_blocks_are_taken_where_there_are_any(tmp_path):
    for n, size in ((40_960, 8192), (50_000, 10_000), (12, 12)):
        fill(tmp_path / str(n), sim=None, num_guide_samples=n, batch_size=None)
        assert Resampler.open(tmp_path / str(n)).pipeline.particles.columns["mu"].value.shape == (n,)
        assert len(list((tmp_path / str(n) / "records").glob("*.json"))) == n // size


def test_an_option_that_there_is_not_is_named(tmp_path):
    with pytest.raises(
        ArgumentError, match=r"there is no option 'batchsize' of a simulation.*mean 'batch_size'"
    ):
        fill(tmp_path / "s", batchsize=3)
    with pytest.raises(ArgumentError, match="num_guide_samples is missing"):
        Resampler.simulate(prior(5.0), store=tmp_path / "s")
    for wrong in (1000.0, "2000", None, [1, 2]):
        with pytest.raises(ArgumentError, match="extend takes a number of particles, or results"):
            build().extend(wrong)


def test_other_threads_that_draw_change_no_particle(tmp_path):
    stop = threading.Event()

    def draw():
        while not stop.is_set():
            random.random()

    thread = threading.Thread(target=draw)
    # Each time that this thread waits, for a disk or for torch, the other one keeps it from going on so long.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    thread.start()
    try:
        build(store=tmp_path / "s", num_guide_samples=400, batch_size=40)
        found = build(num_guide_samples=400, batch_size=40)
        found.weigh(prior(3.0))
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    same(found.sample(prior(3.0), 50), build(num_guide_samples=400, batch_size=40).sample(prior(3.0), 50))
    same(found.sample(prior(3.0), 50), Resampler.open(tmp_path / "s").sample(prior(3.0), 50))


def test_a_store_of_other_particles_is_refused_by_what_differs(whole):
    before = content(whole)
    for options, message in (
        ({"random_seed": 4}, "has random_seed=3, this call random_seed=4"),
        ({"batch_size": 500}, "has batch_size=100, this call batch_size=500"),
        ({"vectorize": False}, "has vectorize='auto', this call vectorize=False"),
        ({"guide": [prior(5.0), prior(1.0)]}, r"has components=\[100\], this call components=\[50, 50\]"),
        ({"sim": other_simulator}, "was simulated by other programs: site 'more' is in one of them only"),
        ({"predictive": "n"}, "other programs: site 'n' has role 'predictive' now, and had 'latent'"),
        ({"guide": prior(5.1)}, "other programs: from the same seed, site 'mu' is .* now, and was"),
        ({"num_guide_samples": 500}, "has 1000 particles, num_guide_samples=500 is less"),
    ):
        with pytest.raises(StoreError, match=message):
            build(store=whole, **options)
    assert content(whole) == before


def test_a_store_with_other_data_of_its_programs_is_refused(tmp_path):
    def with_data(data):
        def program():
            pyro.sample("y", dist.Normal(prior(5.0)()[0], 1.0), obs=torch.tensor(data))

        return program

    for data in (1.0, float("nan")):
        path = tmp_path / str(data)
        build(sim=with_data(data), store=path)
        build(sim=with_data(data), store=path)
        with pytest.raises(StoreError, match="has other data at site 'y' than the obs= of this call"):
            build(sim=with_data(2.0), store=path)


def test_other_versions_and_another_text_of_the_programs_are_said_and_taken(copied):
    about(copied, versions={**about(copied)["versions"], "torch": "1.0.0"}, source={})
    with pytest.warns(StoreWarning, match=r"begun with other versions \(torch 1.0.0, now "):
        build(store=copied)


def test_draws_of_another_processor_are_the_same_to_three_digits_and_not_to_two(copied):
    draws = about(copied)["first_draws"]
    for change, refused in ((1.0005, False), (1.01, True)):
        target = shutil.copytree(copied, copied.with_suffix(f".{refused}"))
        moved = [[str(float(value) * change) for value in row] for row in draws["tau"]]
        about(target, first_draws={**draws, "tau": moved})
        if refused:
            with pytest.raises(StoreError, match="site 'tau' is"):
                build(store=target)
        else:
            build(store=target)


def test_a_store_needs_whole_batches(tmp_path):
    with pytest.raises(
        ArgumentError, match=r"num_guide_samples=1050 is no multiple of batch_size=100.*take 1100"
    ):
        build(store=tmp_path / "s", num_guide_samples=1050)
    with pytest.raises(ArgumentError, match=r"num_guide_samples=10007 has no divisor.*take 11000"):
        build(store=tmp_path / "s", num_guide_samples=10_007, batch_size=None)
    assert build(store=tmp_path / "s", batch_size=None).pipeline.particles.num_particles == 1000


# ---------------------------------------------------------------- larger, and shared among tasks


def test_a_larger_number_of_particles_makes_a_store_larger(whole, tmp_path):
    path = tmp_path / "particles.zarr"
    build(store=path, num_guide_samples=300)
    build(store=path)
    assert content(path) == content(whole)


def test_tasks_fill_a_store_in_any_order_and_go_on_where_they_stopped(whole, tmp_path):
    path = tmp_path / "particles.zarr"
    report = fill(path, shard="2/3")
    assert (report.num_batches, report.done, report.written) == (10, 3, 3)
    assert report.missing == (0, 1, 3, 4, 6, 7, 9)
    assert str(report).startswith(f"{path}: 3 of 10 batches (7 missing); 3 written in ")
    assert fill(path, shard="2/3").written == 0
    fill(path, shard="0/3")
    last = fill(path)
    assert last.missing == ()
    assert "(complete); 3 written" in str(last)
    assert content(path) == content(whole)


def test_a_shard_is_the_same_however_it_is_written(whole, tmp_path):
    path = fill(tmp_path / "s", shard="1/2").path
    with (
        Store.open(path).lock("1/2"),
        pytest.raises(StoreError, match=r"^shard 1/2 of .* is being written by process"),
    ):
        fill(path, shard="01/02")
    assert fill(path, shard="00/02").done == 10
    assert content(tmp_path / "s") == content(whole)


@pytest.mark.parametrize("shard", ["0/0", "5/3", "3/3", "a/b", "1", "-1/3", "1/2/3", 3, ""])
def test_a_shard_that_is_none_is_refused(tmp_path, shard):
    with pytest.raises(ArgumentError, match='shard must be "i/n"'):
        fill(tmp_path / "s", shard=shard)


def test_shards_need_a_common_seed(tmp_path):
    with pytest.raises(ArgumentError, match="a shard needs random_seed="):
        fill(tmp_path / "s", shard="0/2", random_seed=None)


def test_what_is_there_of_an_incomplete_store_is_taken_on_request(tmp_path):
    fill(tmp_path / "s", shard="1/2")
    with pytest.raises(StoreError, match="lacks 5 of 10 batches"):
        Resampler.open(tmp_path / "s")
    with pytest.warns(StoreWarning, match="lacks 5 of 10 batches, and is used without them"):
        half = Resampler.open(tmp_path / "s", incomplete=True)
    expected = build().pipeline.particles.columns["y"].value.reshape(10, 100, 4)[1::2].reshape(500, 4)
    found = half.pipeline.particles.columns["y"].value
    assert torch.equal(found.clone(), expected)
    assert torch.equal(found[[3, 499, -1]], expected[[3, 499, -1]])


def test_a_damaged_file_is_found_when_everything_is_read(copied):
    file = copied / "values" / "y" / "c" / "3" / "0"
    data = bytearray(file.read_bytes())
    data[17] ^= 1
    file.write_bytes(data)
    Resampler.open(copied)
    with pytest.raises(StoreError, match=r"batch 3.*'y'"):
        Resampler.open(copied, check=True)


def test_what_is_no_store_is_not_opened(tmp_path):
    for path in (tmp_path, tmp_path / "nothing", tmp_path / ("x" * 300)):
        with pytest.raises(StoreError):
            Resampler.open(path)


def test_what_is_a_store_of_something_else_has_no_particles(tmp_path):
    build(store=tmp_path / "s").top_up(far(12.0), ess=300)
    densities = tmp_path / "s" / "mixtures" / "1"
    for call in (Resampler.open, fill, lambda path: build(store=path)):
        with pytest.raises(StoreError, match="1 has no particles of this package, or is damaged: KeyError"):
            call(densities)


@pytest.mark.parametrize("path", [b"bytes", 5, [], "", "x\0y"])
def test_what_is_no_path_is_no_place_for_a_store(path):
    for call in (Resampler.open, fill, lambda path: build(store=path)):
        with pytest.raises(ArgumentError, match="store must be a path"):
            call(path)


def test_a_name_that_is_too_long_cannot_be_made(tmp_path):
    with pytest.raises(StoreError, match="cannot be made: File name too long"):
        build(store=tmp_path / ("x" * 300))


# ---------------------------------------------------------------- guides, and what may fail


@pytest.mark.parametrize("spread", [True, False], ids=["mixture", "family"])
def test_a_guide_of_several_programs_has_its_shares_in_each_batch(tmp_path, spread):
    guide = Mixture([prior(5.0), prior(0.5)], [0.7, 0.3]) if spread else family(prior, scale=(0.5, 5.0))
    stored = build(guide, store=tmp_path / "s", num_guide_samples=4000, batch_size=500)
    memory = build(Repeated(guide, 500), num_guide_samples=4000, batch_size=500)
    same(memory.sample(prior(1.0), 50), stored.sample(prior(1.0), 50))
    opened = Resampler.open(tmp_path / "s")
    assert opened.weigh(prior(0.5)).ess == memory.weigh(prior(0.5)).ess
    assert stored.weigh(prior(0.5)).ess > 500
    one, other = (r.simulate_one(1777) for r in (memory, stored))
    same(one, other)


def test_a_guide_of_more_parts_than_particles_are_tried_takes_a_simulator_with_data(tmp_path):
    guide = Mixture([prior(5.0), prior(2.0), prior(1.0)], [0.9, 0.06, 0.04])
    stored = build(guide, store=tmp_path / "s")
    same(stored.sample(prior(2.0), 20), Resampler.open(tmp_path / "s").sample(prior(2.0), 20))


def test_a_mixture_in_a_store_grows_without_changing(tmp_path):
    guide = Mixture([prior(5.0), prior(0.5)])
    build(guide, store=tmp_path / "a", num_guide_samples=400)
    build(guide, store=tmp_path / "a")
    build(guide, store=tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")


@SINGLY
def test_particles_that_fail_are_kept_and_counted(tmp_path):
    with pytest.warns(DrawWarning, match=r"the run of \d+ of 1000 particles failed"):
        stored = build(sim=fragile, store=tmp_path / "s", on_error="mask")
    with pytest.warns(DrawWarning):
        memory = build(sim=fragile, on_error="mask")
    with pytest.warns(DrawWarning):
        opened = Resampler.open(tmp_path / "s")
    for other in (stored, opened):
        pd.testing.assert_frame_equal(memory.failures, other.failures)
        assert memory.weigh(prior(4.0)).failed_mass == other.weigh(prior(4.0)).failed_mass
        one, two = (r.sample(prior(4.0), 100) for r in (memory, other))
        assert all(torch.equal(one[name].nan_to_num(-1.0), two[name].nan_to_num(-1.0)) for name in one)
        assert one["n"].dtype == two["n"].dtype
    values = xr.open_zarr(tmp_path / "s", group="values", chunks=None)
    failed = values["mu"].values > 5
    assert (np.isnan(values["y"].values) == failed).all()
    assert (np.isnan(values["n"].values) == failed).all()


@SINGLY
@FAILED
def test_complex_numbers_stay_complex_where_a_particle_fails(tmp_path):
    def program():
        mu, tau = prior(5.0)()
        if mu > 5:
            raise ValueError("too large")
        pyro.deterministic("c", torch.complex(mu, tau))

    options = {"sim": program, "on_error": "mask", "predictive": "c"}
    memory, stored = (build(store=path, **options) for path in (None, tmp_path / "s"))
    columns = memory.pipeline.particles.columns
    mu, c = columns["mu"].value, columns["c"].value
    assert torch.equal(c.isnan(), mu > 5)
    assert torch.equal(c.imag[mu <= 5], columns["tau"].value[mu <= 5])
    there = stored.pipeline.particles.columns["c"].value.clone()
    assert torch.equal(torch.view_as_real(there).nan_to_num(), torch.view_as_real(c).nan_to_num())


@SINGLY
def test_whole_numbers_stay_whole_where_no_particle_fails(tmp_path):
    def counts():
        pyro.sample("k", dist.Categorical(torch.ones(3)))
        prior(5.0)()

    stored = build(sim=counts, store=tmp_path / "s", on_error="mask")
    assert stored.sites["k"].dtype == "int64"
    assert stored.sample(prior(4.0), 10)["k"].dtype == torch.int64
    same(build(sim=counts, on_error="mask").sample(prior(4.0), 10), stored.sample(prior(4.0), 10))


@SINGLY
def test_a_failure_stops_a_run_that_does_not_keep_it_and_nothing_that_is_done_is_lost(tmp_path):
    with pytest.raises(ProgramError, match=r"particle \d+ failed, at mu = .*simulate_one"):
        build(sim=rarely, store=tmp_path / "s")
    with pytest.raises(StoreError, match=r"lacks \d of 10 batches"):
        Resampler.open(tmp_path / "s")


@SINGLY
def test_programs_that_always_fail_are_an_error_before_there_is_a_store(tmp_path):
    def broken():
        prior(5.0)()
        raise ValueError("no")

    with pytest.raises(ProgramError, match="no"):
        build(sim=broken, store=tmp_path / "s", on_error="mask")
    assert not (tmp_path / "s").exists()


def test_sites_that_differ_between_batches_are_refused(tmp_path):
    calls = iter(range(100))

    def unsteady():
        prior(5.0)()
        if next(calls) > 12:
            pyro.sample("extra", dist.Normal(0.0, 1.0))

    with pytest.raises(ProgramError, match="site 'extra' is in some batches and not in others"):
        build(sim=unsteady, store=tmp_path / "s")


def test_a_shape_that_differs_is_named_with_its_batch(tmp_path):
    calls = iter(range(100))

    def growing():
        prior(5.0)()
        pyro.sample("x", dist.Normal(torch.zeros(3 if next(calls) > 12 else 2), 1.0).to_event(1))

    with pytest.raises(
        ProgramError, match=r"site 'x' has shape \(3,\) and dtype float32 in batch \d, \(2,\)"
    ):
        build(sim=growing, store=tmp_path / "s")


@SINGLY
@FAILED
@pytest.mark.parametrize("in_store", [False, True])
def test_a_batch_in_which_all_fail_is_kept_like_any_other(tmp_path, in_store):
    options = {"batch_size": 1, "num_guide_samples": 40, "on_error": "mask"}
    found = build(sim=fragile, **options, **({"store": tmp_path / "s"} if in_store else {}))
    drawn = found.sample(prior(5.0), 30)
    assert len(found.failures) == int((found.pipeline.particles.columns["mu"].value > 5).sum()) > 0
    assert torch.equal(drawn["y"].isnan(), drawn["mu"] > 5)


def test_parameters_that_start_at_random_are_the_same_in_all_batches_and_kept(tmp_path):
    def guide():
        at = pyro.param("at", lambda: torch.randn(()))
        pyro.sample("x", dist.Normal(at, 0.01))

    build(guide, None, store=tmp_path / "s", num_guide_samples=300)
    opened = Resampler.open(tmp_path / "s")
    x = opened.pipeline.particles.columns["x"].value
    assert x.std() < 0.02
    assert opened.weigh(guide).ess == pytest.approx(300)
    same(opened.sample(guide, 20), build(guide, None, num_guide_samples=300).sample(guide, 20))


def test_dims_of_two_sizes_and_names_that_no_folder_takes_are_kept(tmp_path):
    def odd():
        for name, size in (("a/b", 2), ("c", 3)):
            with pyro.plate("part", size):
                pyro.sample(name, dist.Normal(0.0, 1.0))
        with pyro.plate("particle", 2):
            pyro.sample("particle", dist.Normal(0.0, 1.0))

    stored = build(odd, None, store=tmp_path / "s")
    assert stored.sites == build(odd, None).sites
    same(stored.sample(odd, 5), build(odd, None).sample(odd, 5))
    with xr.open_zarr(tmp_path / "s", group="values", chunks=None) as values:
        assert sorted(array.attrs["site"] for array in values.variables.values()) == ["a/b", "c", "particle"]


def test_a_long_batch_is_said(tmp_path, monkeypatch):
    clock = iter(range(0, 10**6, 700))
    monkeypatch.setattr("arviz_resampler.particles.filling.time.perf_counter", lambda: next(clock))
    with pytest.warns(ProgramWarning, match="batch 0 took 12 min, which is what is lost"):
        build(store=tmp_path / "s", num_guide_samples=100)


# ---------------------------------------------------------------- growing


@pytest.mark.parametrize(
    "options", [{"batch_size": None}, {"batch_size": 300}, {"vectorize": False}], ids=str
)
def test_particles_in_memory_are_extended_to_those_of_a_larger_run(options):
    few, many = (build(num_guide_samples=n, **options) for n in (350, 800))
    assert few.extend(800) is None
    same(few.sample(prior(3.0), 50), many.sample(prior(3.0), 50))
    np.testing.assert_array_equal(few.weigh(prior(3.0)).log_ratio, many.weigh(prior(3.0)).log_ratio)
    one, other = (r.simulate_one(750) for r in (few, many))
    same(one, other)
    few.extend(800)
    with pytest.raises(
        ArgumentError, match="num_guide_samples must be at least 800, which there are, got 10"
    ):
        few.extend(10)


@SINGLY
@FAILED
def test_failures_of_an_extension_have_their_numbers():
    few, many = (build(sim=fragile, num_guide_samples=n, on_error="mask") for n in (250, 600))
    few.extend(600)
    pd.testing.assert_frame_equal(few.failures, many.failures)


def test_particles_of_several_programs_are_extended_in_a_store_alone(tmp_path):
    guide = Mixture([prior(5.0), prior(0.5)])
    with pytest.raises(ArgumentError, match="cannot be extended in memory"):
        build(guide).extend(2000)
    stored = build(guide, store=tmp_path / "s", num_guide_samples=400)
    stored.extend(1000)
    build(guide, store=tmp_path / "t")
    assert content(tmp_path / "s") == content(tmp_path / "t")


def test_a_store_is_extended_to_that_of_a_larger_run(whole, tmp_path):
    stored = build(store=tmp_path / "s", num_guide_samples=300)
    stored.extend(1000)
    assert content(tmp_path / "s") == content(whole)
    same(stored.sample(prior(3.0), 50), build().sample(prior(3.0), 50))


def test_an_extension_that_is_interrupted_leaves_the_store_and_goes_on(whole, tmp_path, monkeypatch):
    stored, write = build(store=tmp_path / "s", num_guide_samples=300), filling.Filling.write

    def interrupted(self, store, number):
        if number == 6:
            raise KeyboardInterrupt
        return write(self, store, number)

    monkeypatch.setattr(filling.Filling, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stored.extend(1000)
    monkeypatch.undo()
    for resampler in (stored, Resampler.open(tmp_path / "s")):
        assert resampler.pipeline.particles.num_particles == 300
    assert xr.open_zarr(tmp_path / "s", group="values", chunks=None).sizes["particle"] == 300
    written = []

    def noted(self, store, number):
        written.append(number)
        return write(self, store, number)

    monkeypatch.setattr(filling.Filling, "write", noted)
    stored.extend(1000)
    assert written == [6, 7, 8, 9]
    assert content(tmp_path / "s") == content(whole)


def test_a_script_that_was_killed_while_it_extends_goes_on_where_it_stopped(whole, tmp_path, monkeypatch):
    def script():
        build(store=tmp_path / "s", num_guide_samples=300).extend(1000)

    written, write = [], filling.Filling.write

    def noted(self, store, number):
        if number == 6 and written[-1:] == [5]:
            raise KeyboardInterrupt
        written.append(number)
        return write(self, store, number)

    monkeypatch.setattr(filling.Filling, "write", noted)
    with pytest.raises(KeyboardInterrupt):
        script()
    written.append(None)
    script()
    assert written == [0, 1, 2, 3, 4, 5, None, 6, 7, 8, 9]
    assert content(tmp_path / "s") == content(whole)


def test_fewer_particles_of_a_guide_do_not_remove_those_of_a_task_that_writes_more(tmp_path):
    build(store=tmp_path / "s", num_guide_samples=300)
    fill(tmp_path / "s", shard="4/5")
    assert build(store=tmp_path / "s", num_guide_samples=300).pipeline.particles.num_particles == 300
    assert fill(tmp_path / "s", shard="4/5").written == 0


def test_a_resampler_without_programs_is_not_extended(whole):
    with pytest.raises(ArgumentError, match="opened has no programs to run"):
        Resampler.open(whole).extend(2000)


def far(mean):
    def program():
        pyro.sample("mu", dist.Normal(mean, 1.0))
        pyro.sample("tau", dist.HalfNormal(1.0))

    return program


@pytest.fixture
def topped(tmp_path):
    """A store that was topped up by one model, and particles in memory that were."""
    stored, memory = build(store=tmp_path / "s"), build()
    for resampler in (stored, memory):
        resampler.top_up(far(12.0), ess=400)
    return tmp_path / "s", stored, memory


def test_a_top_up_in_a_store_is_whole_batches_of_the_particles_that_one_in_memory_has(topped):
    path, stored, memory = topped
    n = stored.pipeline.particles.num_particles
    assert n % 100 == 0
    assert 0 <= n - memory.pipeline.particles.num_particles < 100
    for name in ("mu", "y"):
        here, there = (r.pipeline.particles.columns[name].value.clone() for r in (memory, stored))
        assert torch.equal(here, there[: len(here)])
    assert stored.weigh(far(12.0)).ess > 400
    opened = Resampler.open(path, check=True)
    for model in (far(12.0), prior(3.0)):
        np.testing.assert_array_equal(stored.weigh(model).log_ratio, opened.weigh(model).log_ratio)
        same(stored.sample(model, 50), opened.sample(model, 50))
    assert xr.open_zarr(path, group="values", chunks=None).sizes["particle"] == n


def test_a_store_goes_on_being_topped_up_once_its_models_are_given(topped):
    path, stored, _ = topped
    for resampler in (stored, build(store=path, top_ups=[far(12.0)])):
        again = shutil.copytree(path, path.with_name("again"))
        build(store=again, top_ups=[far(12.0)]).top_up(far(-12.0), ess=300)
        assert resampler.top_up(far(-12.0), ess=300).num_added % 100 == 0
        assert content(again) == content(path)
        break
    opened = Resampler.open(path)
    for model in (far(12.0), far(-12.0), prior(4.0)):
        assert opened.weigh(model).ess > 290
    with pytest.raises(ArgumentError, match="top_ups= where models have topped it up"):
        build(store=path, top_ups=[far(12.0)]).top_up(far(20.0))
    with pytest.raises(ProgramError, match="has another density at"):
        build(store=path, top_ups=[far(12.0), far(-11.0)]).top_up(far(20.0))
    with pytest.raises(ArgumentError, match="top_ups has 3 models, but the store was topped up 2 times"):
        build(store=path, top_ups=[far(12.0)] * 3)


@pytest.mark.parametrize("spread", [True, False], ids=["mixture", "family"])
def test_particles_of_several_programs_are_topped_up_in_a_store(tmp_path, spread):
    guide = Mixture([prior(5.0), prior(0.5)], [0.7, 0.3]) if spread else family(prior, scale=(0.5, 5.0))
    options = {"store": tmp_path / "s", "num_guide_samples": 2000, "batch_size": 500}
    stored = build(guide, **options)
    stored.top_up(far(12.0), ess=400)
    build(guide, **options, top_ups=[far(12.0)]).top_up(far(-12.0), ess=400)
    opened = Resampler.open(tmp_path / "s", check=True)
    for model in (far(12.0), far(-12.0)):
        assert opened.weigh(model).ess > 380
        assert np.exp(opened.weigh(model).log_ratio).mean() == pytest.approx(1.0, abs=0.1)


@pytest.mark.filterwarnings("ignore:the model draws random numbers outside its sites")
def test_parameters_of_a_model_that_start_at_random_are_kept_with_its_particles(tmp_path):
    def model():
        at = pyro.param("at", lambda: torch.randn(()) + 12.0)
        pyro.sample("mu", dist.Normal(at, 1.0))
        pyro.sample("tau", dist.HalfNormal(1.0))

    stored = build(store=tmp_path / "s")
    stored.top_up(model, ess=300)
    opened, again = Resampler.open(tmp_path / "s"), build(store=tmp_path / "s", top_ups=[model])
    assert stored.weigh(model).ess == opened.weigh(model).ess == again.weigh(model).ess > 290
    assert again.top_up(far(-12.0), ess=200).num_added > 0


def test_the_densities_of_a_mixture_that_are_damaged_are_an_error_of_their_own(topped):
    path, _, _ = topped
    (path / "mixtures" / "1" / "records" / "3.json").unlink()
    with pytest.raises(
        StoreError, match="the densities of its mixture cannot be read, which nothing makes again"
    ):
        Resampler.open(path)


def test_a_store_that_was_topped_up_is_not_extended(topped):
    path, stored, _ = topped
    for call in (lambda: stored.extend(3000), lambda: build(store=path, num_guide_samples=2000)):
        with pytest.raises(
            StoreError, match="was topped up, so the 1000 particles of its guide cannot become"
        ):
            call()


@pytest.mark.parametrize("step", ["append", "settle"])
def test_a_top_up_that_is_interrupted_leaves_the_store(tmp_path, monkeypatch, step, whole):
    stored = build(store=tmp_path / "s")
    broken = shutil.copytree(tmp_path / "s", tmp_path / "t")
    victim = build(store=broken)

    def interrupted(self, *args, **kwargs):
        raise KeyboardInterrupt

    target = "changed" if step == "settle" else "create"
    monkeypatch.setattr(f"arviz_resampler.storage.Store.{target}", interrupted)
    with pytest.raises(KeyboardInterrupt):
        victim.top_up(far(12.0), ess=400)
    monkeypatch.undo()
    assert Resampler.open(broken).pipeline.particles.num_particles == 1000
    for resampler, path in ((stored, tmp_path / "s"), (victim, broken)):
        resampler.top_up(far(-12.0), ess=300)
        Resampler.open(path, check=True)
    assert content(tmp_path / "s") == content(broken)
    other = shutil.copytree(whole, tmp_path / "u")
    grown = build(store=other)
    monkeypatch.setattr(f"arviz_resampler.storage.Store.{target}", interrupted)
    with pytest.raises(KeyboardInterrupt):
        grown.top_up(far(12.0), ess=400)
    monkeypatch.undo()
    grown.extend(1500)
    build(store=tmp_path / "v", num_guide_samples=1500)
    found = {name: file for name, file in content(other).items() if not name.startswith("mixtures")}
    assert found == content(tmp_path / "v")


@pytest.mark.parametrize("change", ["extend", "top_up"])
def test_a_resampler_does_not_top_up_a_store_that_another_has_changed(whole, tmp_path, change):
    path = shutil.copytree(whole, tmp_path / "s")
    one, other = build(store=path), build(store=path)
    wanted = other.wanted(far(-12.0), ess=300)
    one.extend(1500) if change == "extend" else one.top_up(far(12.0), ess=400)
    before, ess = content(path), one.weigh(far(12.0)).ess
    theta = wanted["mu"].expand_dims(school=4, axis=1).astype("float32")
    results = wanted.assign(theta=theta, y=theta, n=theta * 0, twice=2 * theta)
    results["design"] = ("particle", "design_dim_0"), np.tile(np.arange(3, dtype="float32"), (len(theta), 1))
    for add in (lambda: other.top_up(far(-12.0), ess=300), lambda: other.extend(results)):
        with pytest.raises(StoreError, match="has other particles than this Resampler: it was extended or"):
            add()
    assert content(path) == before
    assert Resampler.open(path, check=True).weigh(far(12.0)).ess == ess


def test_a_store_that_is_being_written_is_not_topped_up(whole, tmp_path):
    stored = build(store=shutil.copytree(whole, tmp_path / "s"))
    with (
        Store.open(tmp_path / "s").lock(),
        pytest.raises(StoreError, match="is being written by process"),
    ):
        stored.top_up(far(12.0), ess=300)


def test_a_top_up_of_a_store_takes_at_least_a_batch(whole, tmp_path):
    stored = build(store=shutil.copytree(whole, tmp_path / "s"))
    with pytest.raises(ArgumentError, match="at_most=99 is less than a batch of the store"):
        stored.top_up(far(12.0), at_most=99)
    assert stored.top_up(far(12.0), at_most=199).num_added == 100


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("how", ["extend", "top_up"])
def test_a_site_whose_density_new_particles_lack_is_scored_no_more(tmp_path, stored, how):
    """Whether they were simulated elsewhere, or from a distribution without a density."""

    def simulated(law):
        def program():
            pyro.sample("z", law(prior(5.0)()[0]))

        return program

    normal = simulated(lambda mu: dist.Normal(mu, 0.1))
    samples = simulated(lambda mu: dist.Empirical(torch.arange(3.0), torch.zeros(3)))
    grown = build(sim=normal, store=tmp_path / "s" if stored else None)
    assert grown.weigh(normal).ess == pytest.approx(1000)
    if how == "extend":
        with pytest.raises(MismatchError, match="the model has a density at 'z', but results of"):
            grown.wanted(normal)
        wanted = grown.wanted(far(12.0), ess=300)
        grown.extend({"z": wanted["mu"]})
    else:
        grown.top_up(far(12.0), ess=300, simulator=samples)
    reason = {"extend": "simulated elsewhere, with no density", "top_up": "Empirical has its mass"}[how]
    for each in (grown, *([Resampler.open(tmp_path / "s")] if stored else [])):
        assert each.weigh(far(12.0)).ess > 290
        with pytest.raises(MismatchError, match=f"site 'z' cannot be scored: .*{reason}"):
            each.weigh(normal)


def test_results_of_simulations_elsewhere_are_added_to_a_store(whole, tmp_path):
    stored = build(store=shutil.copytree(whole, tmp_path / "s"))
    wanted = stored.wanted(far(12.0), ess=300)
    assert wanted.sizes["particle"] % 100 == 0
    theta = wanted["mu"].expand_dims(school=4, axis=1).astype("float32")
    results = wanted.assign(theta=theta, y=theta + 1, n=(theta * 0).astype("float32"), twice=2 * theta)
    results["design"] = ("particle", "design_dim_0"), np.tile(np.arange(3, dtype="float32"), (len(theta), 1))
    stored.extend(results)
    opened = Resampler.open(tmp_path / "s")
    assert opened.weigh(far(12.0)).ess > 290
    same(stored.sample(far(12.0), 20), opened.sample(far(12.0), 20))


@pytest.mark.filterwarnings("ignore:.* lacks 1 of 14 batches")
@pytest.mark.parametrize("missing", [2, 12])
def test_what_is_there_of_a_store_that_was_topped_up_keeps_its_densities(topped, missing):
    path, stored, _ = topped
    keep = np.arange(stored.pipeline.particles.num_particles) // 100 != missing
    expected = [stored.weigh(model).log_ratio[keep] for model in (far(12.0), prior(3.0))]
    (path / "records" / f"{missing}.json").unlink()
    opened = Resampler.open(path, incomplete=True, check=True)
    for model, log_ratio in zip((far(12.0), prior(3.0)), expected, strict=True):
        np.testing.assert_array_equal(opened.weigh(model).log_ratio, log_ratio)


def test_a_missing_batch_of_a_top_up_is_not_drawn_from_the_guide(topped):
    path, _, _ = topped
    (path / "records" / "11.json").unlink()
    with pytest.raises(StoreError, match="lacks batch 11 of a top-up, which the guide does not draw"):
        build(store=path)


# ---------------------------------------------------------------- workers


def test_particles_are_the_same_whoever_runs_the_batches(whole, tmp_path):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        memory = build(executor=pool)
        build(store=tmp_path / "s", executor=pool)
        mixture = build(Mixture([prior(5.0), prior(0.5)]), executor=pool)
    same(memory.sample(prior(3.0), 50), build().sample(prior(3.0), 50))
    assert content(tmp_path / "s") == content(whole)
    same(mixture.sample(prior(3.0), 50), build(Mixture([prior(5.0), prior(0.5)])).sample(prior(3.0), 50))


class Elsewhere(Executor):
    """Runs calls here, once it has changed the folder that they find."""

    def __init__(self, before):
        self.before = before

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        self.before()
        return future


def test_workers_that_write_elsewhere_are_noticed(tmp_path):
    path = tmp_path / "s"

    def hide():
        for record in path.glob("records/*.json"):
            record.unlink()

    with pytest.raises(
        StoreError, match=r"where this process does not see it.*must be one directory for all"
    ):
        build(store=path, executor=Elsewhere(hide))


def test_an_executor_is_checked_before_anything_runs(tmp_path):
    for executor in (0, "two", ThreadPoolExecutor(1)):
        with pytest.raises(ArgumentError):
            build(store=tmp_path / "s", executor=executor)
    assert not (tmp_path / "s").exists()


def test_a_program_of_no_module_is_stored_like_any_other(tmp_path):
    def loose():
        pyro.sample("mu", dist.Normal(0.0, 1.0))

    loose.__module__ = None
    stored = Resampler(
        loose, num_guide_samples=100, batch_size=50, random_seed=0, progressbar=False, store=tmp_path / "s"
    )
    assert stored.weigh(loose).ess == 100.0
