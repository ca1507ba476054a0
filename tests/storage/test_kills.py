"""Stores whose writers are killed, compared byte by byte with one whose writer was not."""

import random
import time

import numpy as np

from arviz_resampler.storage import Store

WRITE = """
arrays = {
    ("values", "y"): ArraySpec((3, 40), "float32", ("a", "b")),
    ("values", "mu"): ArraySpec((), "float64", ()),
    ("log_q", "mu"): ArraySpec((), "float64", ()),
}
path, num = sys.argv[1], int(sys.argv[2])

def simulated(number):
    rng = np.random.default_rng(number)
    return {key: rng.normal(size=(20, *spec.shape)).astype(spec.dtype) for key, spec in arrays.items()}

def write():
    store = Store.create(path, arrays, batch_size=20, num_batches=num, attrs={})
    with store.lock():
        store.clean()
        for number in sorted(set(range(num)) - set(store.done())):
            store.write(number, simulated(number), {})
"""
RANDOM = (
    WRITE
    + """
print("started", flush=True)
write()
"""
)
# Each step that changes the disk or waits for it is once the last one of a process.
STEPS = (
    WRITE
    + """
import os, shutil

class Counted:
    left = -1

    def __init__(self, call):
        self.call = call

    def __call__(self, *args, **options):
        if not Counted.left:
            os._exit(9)
        Counted.left -= 1
        return self.call(*args, **options)

for name in ("replace", "rename", "fsync", "mkdir", "unlink"):
    setattr(os, name, Counted(getattr(os, name)))

step, killed = 0, True
while killed:
    for again in (True, False):
        process = os.fork()
        if not process:
            Counted.left = step if again else -1
            write()
            os._exit(0)
        status = os.waitpid(process, 0)[1]
        if again:
            killed = status == 9 << 8
            assert killed or not status
        else:
            assert not status
    os.system(f"mv {path} {path}.{step}")
    step += 1
print(step)
"""
)


def test_a_store_is_the_same_whichever_step_was_the_last_of_its_first_writer(tmp_path, run, files_of):
    steps = int(run(STEPS, tmp_path / "s", 2))
    assert steps > 40
    expected = files_of(tmp_path / f"s.{steps - 1}")  # whose writer was not killed
    assert sum(name.startswith("records") for name in expected) == 2
    for step in range(steps):
        assert files_of(tmp_path / f"s.{step}") == expected
    assert not list(tmp_path.glob(".*.partial"))


def test_a_store_is_the_same_whenever_its_writers_are_killed(tmp_path, start, run, files_of):
    num, kills, stores = 60, 0, 0
    run(RANDOM, tmp_path / "whole", num)
    expected = files_of(tmp_path / "whole")
    moments = random.Random(20)
    while kills < 20:
        store = tmp_path / f"s{stores}"
        stores += 1
        finished = False
        while not finished:
            process = start(RANDOM, store, num)
            assert process.stdout.readline() == "started\n"
            time.sleep(moments.uniform(0, 0.15))
            process.kill() if kills < 20 else process.wait(timeout=60)
            finished = process.wait() == 0
            kills += not finished
        assert files_of(store) == expected
        Store.open(store).check(range(num))
    assert np.isfinite(Store.open(store).read(("values", "y"), range(num))).all()
