"""Parts of written source: names, arguments and exact numbers."""

import inspect

import pyro.distributions as dist
import pytest
import torch

from arviz_resampler.programs.source_parts import (
    Unwritable,
    argument,
    arguments_of,
    event_ndim,
    is_flat,
    literal,
    quote,
    repeats,
    same,
    variable,
)


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        ("mu", [], "mu"),
        ("mu", ["mu"], "mu_"),
        ("mu", ["mu", "mu_"], "mu__"),
        ("layer.weight", [], "layer_weight"),
        ("0x", [], "site_0x"),
        ("lambda", [], "lambda_"),
    ],
)
def test_variables_are_names_that_python_can_have_and_that_are_free(name, taken, expected):
    assert variable(name, taken) == expected


@pytest.mark.parametrize(("name", "text"), [("mu", '"mu"'), ('a"b', "'a\"b'"), ("a\nb", "'a\\nb'")])
def test_names_are_quoted_so_that_they_read_back(name, text):
    assert quote(name) == text
    assert eval(text) == name


def test_arguments_are_passed_by_place_by_name_or_not_at_all():
    assert argument("loc", "mu", inspect.Parameter.empty) == "mu"
    assert argument("df", "4.0", 3) == "df=4.0"
    assert argument("df", "3.0", 3) == ""
    assert argument("df", "3", 3) == ""


def test_arguments_are_what_a_distribution_was_made_with():
    given = arguments_of([dist.Bernoulli(logits=torch.tensor(0.5)), dist.Bernoulli(logits=torch.tensor(1.5))])
    assert list(given) == ["logits"]
    assert [float(value) for value in given["logits"][0]] == [0.5, 1.5]
    with pytest.raises(Unwritable, match="computed from other sites"):
        arguments_of([dist.Bernoulli(logits=torch.tensor(0.5)), dist.Bernoulli(torch.tensor(0.5))])


def test_axes_of_an_event_are_told_from_those_of_a_batch():
    fn = dist.MultivariateNormal(torch.zeros(2, 3), torch.eye(3))
    assert event_ndim(fn, "loc", fn.loc) == 1
    assert event_ndim(fn, "covariance_matrix", fn.covariance_matrix) == 2
    assert event_ndim(dist.Normal(torch.zeros(3), 1.0), "other", torch.zeros(2, 3)) == 1


def test_an_array_is_flat_where_its_batch_does_not_change_it():
    assert is_flat(torch.ones(3, 2), 1, 1)
    assert is_flat(torch.tensor([1.0, 2.0]), 1, 1)
    assert not is_flat(torch.tensor([[1.0], [2.0]]), 1, 1)


def test_a_parameter_repeats_a_site_where_it_is_its_value_broadcast():
    site = torch.tensor([1.0, torch.nan])
    assert same(site, site).all()
    assert repeats(site, site[:, None].expand(2, 3), 0, 1)
    assert not repeats(site, site.flip(0)[:, None].expand(2, 3), 0, 1)
    assert repeats(site, site.expand(4, 2), 1, 1)


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_numbers_that_have_no_digits_are_written_by_name(value):
    again = eval(literal(torch.tensor([value, 0.1])))
    torch.testing.assert_close(again, torch.tensor([value, 0.1]), rtol=0, atol=0, equal_nan=True)


def test_an_array_that_nobody_would_read_is_not_written():
    assert literal(torch.zeros(1000)).count("0.0") == 1000
    with pytest.raises(Unwritable, match="1001 numbers"):
        literal(torch.zeros(1001))
