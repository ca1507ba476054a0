"""What is asked of every site, whether a program is scored or sampled."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import MismatchError, ProgramError
from arviz_resampler.mapping.streams import Streams
from arviz_resampler.programs.columns import to_column
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.sample_handler import SampleHandler


def run(program, *, n=None):
    """A handler after a run over some particles, or over one by itself."""
    handler, streams = SampleHandler("guide", {}, (), Streams(0)), Streams(0)
    program = Program(program, "guide")
    if n is None:
        program.run_one(handler)
    else:
        program.run_mapped(handler, n, streams)
    return handler


def twice():
    pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(0.0, 1.0))


def of_torch():
    pyro.sample("x", torch.distributions.Normal(0.0, 1.0))


def improper():
    pyro.sample("x", dist.ImproperUniform(dist.constraints.real, (), ()))


def subsampled():
    with pyro.plate("p", 10, subsample_size=3):
        pyro.sample("x", dist.Normal(0.0, 1.0))


@pytest.mark.parametrize("n", [None, 4])
@pytest.mark.parametrize(
    ("program", "text"),
    [
        (twice, "two sites named 'x'"),
        (of_torch, "is not a Pyro distribution"),
        (improper, "has an improper distribution"),
        (subsampled, "takes a subsample of 3 of 10"),
    ],
)
def test_what_no_program_may_hold_is_refused_in_every_way(program, text, n):
    with pytest.raises(ProgramError, match=text):
        run(program, n=n)


@pytest.mark.parametrize("n", [None, 4])
def test_computed_values_are_kept_with_their_axes_as_they_were_at_the_site(n):
    def program():
        with pyro.plate("p", 3):
            value = pyro.sample("x", dist.Normal(0.0, 1.0)).clone()
            pyro.deterministic("d", 2 * value)
            kept = pyro.deterministic("e", value)
        kept += 1.0

    found = run(program, n=n).found
    assert found["d"].axes == [("p", 3)]
    assert torch.equal(found["d"].value, 2 * found["x"].value)
    assert torch.equal(found["e"].value, found["x"].value)
    assert [site.kind for site in found.values()] == ["latent", "deterministic", "deterministic"]


def test_a_run_forgets_what_the_one_before_has_found():
    handler = SampleHandler("guide", {}, (), Streams(0))
    Program(lambda: pyro.sample("x", dist.Normal(0.0, 1.0)), "guide").run_one(handler)
    Program(lambda: pyro.sample("y", dist.Normal(0.0, 1.0)), "guide").run_one(handler)
    assert list(handler.found) == ["y"]
    assert (handler.current, handler.last) == (None, "y")


def test_invalid_parameters_are_described_for_the_message_of_a_failure():
    def program():
        pyro.sample("x", dist.Normal(0.0, torch.tensor(-1.0)))

    handler = SampleHandler("simulator", {}, (), Streams(0))
    Program(program, "simulator").run_one(handler)
    expected = ". At site 'x', parameter 'scale' of Normal is -1, but must be GreaterThan(lower_bound=0.0)"
    assert handler.describe_invalid() == expected
    assert run(lambda: pyro.sample("x", dist.Normal(0.0, 1.0))).describe_invalid() == ""


def test_a_distribution_that_a_map_does_not_know_is_asked_particle_by_particle():
    class Branching(dist.Normal):
        def log_prob(self, value):
            return super().log_prob(torch.tensor(float(value)))  # reads a number

    def program():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", Branching(x, 1.0))

    handler = run(program, n=5)
    assert list(handler.looped) == ["y"]
    x, y = handler.found["x"].value, handler.found["y"].value
    torch.testing.assert_close(handler.found["y"].log_density, dist.Normal(x, 1.0).log_prob(y))


def test_values_that_do_not_fit_are_refused_with_both_axes():
    def guide():
        with pyro.plate("p", 3):
            pyro.sample("x", dist.Normal(0.0, 1.0))

    columns = {"x": to_column(run(guide, n=4).found["x"], 4)}
    handler = SampleHandler("simulator", columns, (), Streams(0))

    def other():
        with pyro.plate("p", 5):
            pyro.sample("x", dist.Normal(0.0, 1.0))

    with pytest.raises(MismatchError, match=r"axes \(p=5\) in the simulator, but \(p=3\) in the particles"):
        Program(other, "simulator").run_one(handler, 0)
