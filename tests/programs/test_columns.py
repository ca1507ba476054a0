"""Cached sites: stored without padding, and taken by rows."""

import pytest
import torch

from arviz_resampler.densities.kinds import Kind
from arviz_resampler.programs.columns import example, select, to_column, values_of
from arviz_resampler.programs.runs import SiteRun


def run(value, axes, **more):
    return SiteRun("x", "latent", value, axes, **more)


@pytest.mark.parametrize(
    ("shape", "axes", "stored", "dims", "plates"),
    [
        ((4,), [], (4,), (), 0),
        ((4, 3), [("a", 3)], (4, 3), ("a",), 1),
        ((4, 3, 2), [("a", 3)], (4, 3, 2), ("a", "x_dim_0"), 1),
        ((4, 3, 1, 2), [("a", 3), (None, 1), ("b", 2)], (4, 3, 2), ("a", "b"), 2),  # in no plate there
        ((4, 1, 3), [(None, 1), ("a", 3)], (4, 1, 3), ("x_dim_0", "a"), 1),  # an axis of its own
        ((1, 3), [("a", 3)], (4, 3), ("a",), 1),  # the same for all particles
    ],
)
def test_values_are_stored_without_padding(shape, axes, stored, dims, plates):
    column = to_column(run(torch.zeros(shape), axes), 4)
    assert column.value.shape == stored
    assert column.site.dims == dims
    assert column.site.shape == stored[1:]
    assert column.site.num_plates == plates


def test_what_is_known_of_a_site_is_kept():
    column = to_column(
        run(torch.zeros(2), [], kind_of=Kind(continuous=True), auxiliary=True, unscorable="no density"), 2
    )
    assert (column.site.role, column.site.dtype, column.site.discrete) == ("auxiliary", "float32", False)
    assert (column.continuous, column.point_mass, column.reason) == (True, False, "no density")
    assert to_column(run(torch.zeros(2, dtype=torch.int64), []), 2).site.discrete
    computed = to_column(SiteRun("x", "deterministic", torch.zeros(2), []), 2)
    assert (computed.site.role, computed.reason) == ("deterministic", "deterministic")


@pytest.mark.parametrize("index", [slice(1, 3), torch.tensor([1, 2])])
def test_rows_are_selected_without_the_densities_they_were_drawn_with(index):
    column = to_column(run(torch.arange(4.0), [], log_density=torch.zeros(4)), 4)
    (chosen,) = select({"x": column}, index).values()
    assert chosen.value.tolist() == [1.0, 2.0]
    assert chosen.log_q is None
    assert chosen.site == column.site


def test_an_example_is_the_first_flagged_particle():
    values = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.5, 6.0, 7.0, 8.0]])
    assert example(values, torch.tensor([False, True])) == "for example at the value 5.5, 6, 7"


def test_latents_of_a_particle_are_shown_in_a_line():
    columns = {
        "a": to_column(SiteRun("a", "latent", torch.tensor([1.0, 0.25]), []), 2),
        "b": to_column(SiteRun("b", "latent", torch.arange(8.0).reshape(2, 4), [(None, 4)]), 2),
        "c": to_column(SiteRun("c", "deterministic", torch.zeros(2), []), 2),
    }
    assert values_of(columns, 1) == "a = 0.25, b = [4, 5, 6, …]"
