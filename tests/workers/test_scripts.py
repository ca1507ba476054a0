"""Whole scripts: one that is interrupted, and those without a guard."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import arviz_resampler

ROOT = Path(arviz_resampler.__file__).parents[1]

# The room alone, in the script and where a worker runs it again: programs take seconds to import.
ROOM = f"""
import os, sys, time, types
package = types.ModuleType("arviz_resampler")
package.__path__ = [{str(ROOT / "arviz_resampler")!r}]
sys.modules["arviz_resampler"] = package
"""
IMPORTS = """
import os, sys, time
from arviz_resampler.workers.executors import as_workers
from arviz_resampler.workers.batches import run_batches
"""

SLEEPING = (
    IMPORTS
    + """
def task(batch):
    open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
    time.sleep(60)

if __name__ == "__main__":
    try:
        list(run_batches(as_workers(2), task, range(9), parts={}))
    except KeyboardInterrupt:
        print("interrupted")
"""
)

UNGUARDED = (
    IMPORTS
    + """
executor = int(sys.argv[1]) or None
workers = as_workers(executor)
print(dict(run_batches(workers, abs, range(2), parts={})) if workers else "alone")
"""
)


# Jobs that a shell starts in the background ignore interrupts, and so do the tests there.
IN_FOREGROUND = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"


def start(script, folder, *args, **options):
    path = folder / "script.py"
    path.write_text(IN_FOREGROUND + script)
    return subprocess.Popen(
        [sys.executable, str(path), *args],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def interrupted(script, send):
    """What a script said, and how long it took to end."""
    began = time.monotonic()
    send(script.pid, signal.SIGINT)
    out, err = script.communicate(timeout=30)
    took = time.monotonic() - began
    print(f"from the interrupt to the end: {took:.2f} s")
    return out, err, took


def spawned(pid):
    """Processes that a process has spawned as workers."""
    children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [child for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_an_interrupt_ends_a_run_and_its_processes(tmp_path):
    folder = tmp_path / "workers"
    folder.mkdir()
    script = start(ROOM + SLEEPING, tmp_path, str(folder))
    wait_for(lambda: len(list(folder.iterdir())) == 2)
    out, err, took = interrupted(script, os.kill)
    assert (out, err) == ("interrupted\n", "")
    assert took < 5
    assert not any(exists(int(path.name)) for path in folder.iterdir())


def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path):
    script = start(ROOM + SLEEPING, tmp_path, str(tmp_path))
    wait_for(lambda: len(spawned(script.pid)) == 2)
    pids = spawned(script.pid)
    wait_for(lambda: all((tmp_path / str(pid)).exists() for pid in pids))
    script.kill()
    script.communicate(timeout=30)
    wait_for(lambda: not any(map(exists, pids)))


def test_ctrl_c_in_a_terminal_is_quiet_while_workers_start(tmp_path):
    script = start(SLEEPING, tmp_path, str(tmp_path), start_new_session=True)
    wait_for(lambda: len(spawned(script.pid)) == 2)
    pids = spawned(script.pid)
    time.sleep(0.5)  # for the workers to be at their imports
    out, err, took = interrupted(script, os.killpg)
    assert (out, err) == ("interrupted\n", "")
    assert took < 5
    assert not any(map(exists, pids))


def test_a_script_without_a_guard_is_told_to_have_one(tmp_path):
    script = start(ROOM + UNGUARDED, tmp_path, "2")
    out, err = script.communicate(timeout=60)
    assert script.returncode == 1
    assert out == ""
    *_, last = err.rstrip().splitlines()
    assert last.startswith(
        "arviz_resampler.errors.WorkerError: the worker processes ended while they started. Where no worker "
        "starts, the reason is most often that worker processes run the script again from its beginning"
    )
    assert 'put it under `if __name__ == "__main__":`' in err


def test_a_script_without_a_guard_runs_where_no_process_is_started(tmp_path):
    script = start(ROOM + UNGUARDED, tmp_path, "0")
    assert script.communicate(timeout=60) == ("alone\n", "")
