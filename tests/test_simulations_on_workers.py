"""Stores that are filled by executors of others, by tasks that start at once, and on a disk that fills up."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import loky
import pyro
import pyro.distributions as dist
import pytest
from distributed import Client, LocalCluster
from test_simulations import about, build, content, prior

import arviz_resampler
from arviz_resampler import Resampler, StoreError, WorkerError
from arviz_resampler.storage import Store

ROOT = Path(arviz_resampler.__file__).parents[1]


def extending(folder=None, target=None, *, times=0, scale=1.0):
    """A simulator that kills its worker at one particle, as often as is said, and counts its runs there."""

    def program():
        mu, _ = prior(5.0)()
        pyro.sample("y", dist.Normal(mu, scale))
        if folder is not None and float(mu) == target:
            calls = Path(folder) / "calls"
            with calls.open("a") as file:
                file.write("x")
            if len(calls.read_text()) <= times:
                os.kill(os.getpid(), signal.SIGKILL)

    return program


def filled(path, program, **options):
    return build(sim=program, store=path, vectorize=False, **options)


def alike(one, other):
    """Whether stores are the same but for the texts of their programs."""
    for path in (one, other):
        about(path, source={})
    return content(one) == content(other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store that nothing has interrupted, and what one of its particles in batch 4 is told by."""
    path = tmp_path_factory.mktemp("whole") / "particles.zarr"
    return path, filled(path, extending()).pipeline.particles.columns["mu"].value[423].item()


# ---------------------------------------------------------------- executors of others


def test_a_store_is_finished_though_a_worker_of_dask_is_killed(whole, tmp_path):
    path, target = whole
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        filled(tmp_path / "s", extending(tmp_path, target, times=1), executor=client.get_executor())
    assert (tmp_path / "calls").read_text() == "xx"
    assert alike(tmp_path / "s", path)


def two_of_loky():
    return loky.ProcessPoolExecutor(2)


def one_of_loky():
    return loky.ProcessPoolExecutor(1)


def test_a_store_is_finished_though_a_worker_of_loky_is_killed(whole, tmp_path):
    path, target = whole
    filled(tmp_path / "s", extending(tmp_path, target, times=1), executor=two_of_loky)
    assert (tmp_path / "calls").read_text() == "xx"
    assert alike(tmp_path / "s", path)


def test_a_batch_that_always_kills_its_worker_is_named_and_simulated_once_it_is_mended(whole, tmp_path):
    path, target = whole
    with pytest.raises(WorkerError, match="died in each of 3 attempts at batch 4; all others are finished"):
        filled(tmp_path / "s", extending(tmp_path, target, times=9), executor=one_of_loky)
    assert Store.open(tmp_path / "s").done() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    with pytest.raises(StoreError, match=r"lacks 1 of 10 batches \(4\)"):
        Resampler.open(tmp_path / "s", check=True)
    with pytest.raises(StoreError, match="simulated by other programs: from the same seed, site 'y' is"):
        filled(tmp_path / "s", extending(scale=2.0))
    filled(tmp_path / "s", extending())
    assert alike(tmp_path / "s", path)


# ---------------------------------------------------------------- tasks

TASK = """
import sys
from test_simulations import fill

print("started", flush=True)
sys.stdin.readline()
print(fill(sys.argv[1], shard=sys.argv[2]).written)
"""


def test_tasks_that_start_at_once_make_one_store(tmp_path):
    tasks = [
        subprocess.Popen(
            [sys.executable, "-c", TASK, str(tmp_path / "s"), f"{i}/3"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(3)
    ]
    for task in tasks:
        assert task.stdout.readline() == "started\n"
    for task in tasks:
        task.stdin.write("\n")
        task.stdin.flush()
    said = [task.communicate(timeout=60) for task in tasks]
    assert said == [("4\n", ""), ("3\n", ""), ("3\n", "")]
    assert not list(tmp_path.rglob("*.partial"))
    build(store=tmp_path / "whole")
    assert content(tmp_path / "s") == content(tmp_path / "whole")


# ---------------------------------------------------------------- a disk that fills up


def wide():
    mu, _ = prior(5.0)()
    pyro.sample("y", dist.Normal(mu, 1.0).expand([2000]).to_event(1))


@contextlib.contextmanager
def small_disk(folder):
    """A file system of 3 MB; what gives it more room."""
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("file systems may not be mounted here")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=30m", str(folder)], check=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def small_files(_):
    """Files of 400 kB at most; what lets them be larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def restore():
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))
    try:
        yield restore
    finally:
        restore()


@pytest.mark.parametrize(
    ("limit", "reason", "done"),
    [(small_disk, "No space left on device", 3), (small_files, "File too large", 0)],
)
def test_a_store_on_a_full_disk_goes_on_when_there_is_room(tmp_path, limit, reason, done):
    (tmp_path / "disk").mkdir()
    build(sim=wide, store=tmp_path / "whole")
    with limit(tmp_path / "disk") as give_room:
        path = tmp_path / "disk" / "s"
        with pytest.raises(
            StoreError, match=f"batch {done} cannot be written: {reason}. {done} of 10 batches are done; once"
        ):
            build(sim=wide, store=path)
        store = Store.open(path)
        assert store.done() == list(range(done))
        store.check(store.done())
        assert not list(path.parent.rglob("*.partial"))
        give_room()
        build(sim=wide, store=path)
        assert content(path) == content(tmp_path / "whole")
