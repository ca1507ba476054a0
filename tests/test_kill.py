"""The script that kills processes that write stores, in short; and that it finds what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import arviz_resampler

ROOT = Path(arviz_resampler.__file__).parents[1]
MEMORY = Path("/dev/shm")  # a kill leaves what was written in memory, so no disk has to be waited for

# A record that stands before its data, on a disk that takes its time between them.
FAULT = """
import sys, time
import kill
from arviz_resampler.storage import store

put = store.put

def record_first(root, files):
    if any("/c/" in name for name in files):
        sums = {n: store.zlib.crc32(c) for n, c in files.items()}
        number = next(iter(files)).split("/c/")[1].split("/")[0]
        nodes = {n.split("/c/")[0]: crc for n, crc in sums.items()}
        notes = {"failed": {}, "infinite": {}, "bad": {}, "joint": [], "parts": [[kill.SIZE, False, False]]}
        record = {"batch": int(number), "rows": kill.SIZE, "crc32": nodes, "component": 0, **notes}
        put(root, {f"records/{number}.json": store.records.dump(record)})
        time.sleep(0.3)  # far longer than all else that a batch takes
    put(root, files)

store.put = record_first
kill.MANY = 250
sys.exit(kill.main(sys.argv[1:]))
"""


def run(folder, *arguments, code=None):
    """What the script prints and its exit code; a process of its own, since one with threads may not fork."""
    how = ["-m", "kill"] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *how, *arguments, "--folder", str(MEMORY if MEMORY.is_dir() else folder)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "scripts")])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_stores_whose_writers_are_killed_end_with_the_same_bits(tmp_path):
    done = run(tmp_path, "--kills", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    head, *lines, last = done.stdout.splitlines()
    assert last == "0 faults"
    names = head.split()[1:]
    found = {line[:12].strip(): dict(zip(names, line[12:].split(), strict=True)) for line in lines}
    assert list(found) == ["one process", "two shards", "workers", "extend", "top_up"]
    for row in found.values():
        assert row["kills"] == "2"
        assert int(row["stores"]) >= 1
        assert (row["different"], row["stuck"]) == ("0", "0")


def test_a_record_that_stands_before_its_data_is_found(tmp_path):
    done = run(tmp_path, "--kills", "6", "--designs", "one process", code=FAULT)
    assert done.returncode == 1, done.stdout + done.stderr
    assert not done.stdout.endswith("\n0 faults\n")
    assert "No such file or directory" in done.stderr + done.stdout
