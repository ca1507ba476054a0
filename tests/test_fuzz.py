"""The script that compares random programs with plain Pyro, in short; and that it finds what is wrong."""

import sys

import fuzz
import pytest
import torch
from fuzz_programs import Written, write

from arviz_resampler import Resampler


@pytest.mark.parametrize("number", range(40))
def test_a_random_program_is_drawn_and_scored_as_plain_pyro_does(number):
    written = write(0, number)
    assert not fuzz.failures(written), written.source


def test_draws_that_belong_to_other_particles_are_found(monkeypatch):
    written = Written(
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


def test_a_main_program_counts_what_passed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "--programs", "2", "--seed", "3"])
    assert fuzz.main() == 0
    assert capsys.readouterr().out == "2 passed, 0 refused by name, 0 failed\n"
    monkeypatch.setattr(fuzz, "failures", lambda written: ["wrong"])
    assert fuzz.main() == 1
    assert "def program(s):" in (out := capsys.readouterr().out)
    assert out.endswith("0 passed, 0 refused by name, 2 failed\n")


def test_the_figures_go_to_a_page(monkeypatch, tmp_path):
    page = tmp_path / "fuzz.md"
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "--programs", "3", "--page", str(page)])
    found = iter([[], None, []])
    monkeypatch.setattr(fuzz, "failures", lambda written: next(found))
    assert fuzz.main() == 0
    assert page.read_text().startswith("3 random programs of seed 0, ")
    assert page.read_text().endswith("2 agree with plain Pyro, 1 are refused by name, **0 differ**.\n")


def test_a_program_of_a_seed_and_a_number_is_always_the_same():
    first = write(5, 7)
    torch.manual_seed(99)
    assert write(5, 7) == first
    assert write(5, 8) != first
