"""The benchmark of devices: a short run of it, on the host."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_benchmark_writes_a_table_of_aims_and_times(tmp_path):
    page = tmp_path / "device.md"
    command = [sys.executable, str(ROOT / "benchmarks/devices.py"), "--device", "cpu", "--largest", "10000"]
    subprocess.run([*command, "--page", str(page)], check=True, capture_output=True, timeout=300)
    text = page.read_text()
    assert "Measured on the device cpu" in text
    assert "| sample, stable, N = 10,000, ms | <= 2.5 |" in text
    assert "| N | stable | independent | Pyro, independent | Pyro, stable |" in text
