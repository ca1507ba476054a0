"""The script that compares random programs with plain Pyro, in short; and that it finds what is wrong."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from arviz_resampler import Resampler

SCRIPT = Path(__file__).parents[1] / "scripts" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    sys.modules["fuzz"] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules["fuzz"]
        sys.path[:] = path


@pytest.mark.parametrize("number", range(40))
def test_a_random_program_is_drawn_and_scored_as_plain_pyro_does(fuzz, number):
    written = fuzz.write(0, number)
    assert not fuzz.failures(written), written.source


def test_draws_that_belong_to_other_particles_are_found(fuzz, monkeypatch):
    written = fuzz.Written(
        (
            'x = pyro.sample("x", dist.Normal(0.0, s))',
            'y = pyro.sample("y", dist.Normal(x, 0.05 * s))',
            'pyro.deterministic("square", y**2)',
        ),
        mapped=True,
        scaled=False,
        num_particles=3,
    )
    assert not fuzz.failures(written)

    def scrambled(*args, **kwargs):
        resampler = Resampler(*args, **kwargs)
        value = resampler.pipeline.particles.columns["y"].value
        value.copy_(value.roll(1, 0))
        return resampler

    monkeypatch.setattr(fuzz, "Resampler", scrambled)
    found = fuzz.failures(written)
    assert any("standard deviations from its location" in text for text in found)
    assert "y = " in fuzz.shrunk(written, "'y' is ").source


def test_a_main_program_counts_what_passed(fuzz, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "--programs", "2", "--seed", "3"])
    assert fuzz.main() == 0
    assert capsys.readouterr().out == "2 passed, 0 failed\n"
    monkeypatch.setattr(fuzz, "failures", lambda written: ["wrong"])
    assert fuzz.main() == 1
    assert "def program(s):" in (out := capsys.readouterr().out)
    assert out.endswith("0 passed, 2 failed\n")


def test_a_program_of_a_seed_and_a_number_is_always_the_same(fuzz):
    first = fuzz.write(5, 7)
    torch.manual_seed(99)
    assert fuzz.write(5, 7) == first
    assert fuzz.write(5, 8) != first
