import inspect

import pyro
import pyro.distributions as dist
import pytest

import arviz_resampler
from arviz_resampler import errors


def prior():
    pyro.sample("x", dist.Normal(0.0, 1.0))


def test_every_error_is_of_the_one_hierarchy_and_every_warning_of_the_other():
    for name, thing in inspect.getmembers(errors, inspect.isclass):
        if thing.__module__ != errors.__name__:
            continue
        base = errors.ResamplerWarning if name.endswith("Warning") else errors.ResamplerError
        assert issubclass(thing, base), name
        assert thing.__doc__, name
        assert getattr(arviz_resampler, name) is thing


def test_bad_arguments_are_value_errors():
    assert issubclass(errors.ArgumentError, ValueError)


def test_a_warning_points_at_the_line_of_the_caller():
    resampler = arviz_resampler.Resampler(prior, num_guide_samples=50, random_seed=0)
    with pytest.warns(arviz_resampler.WeightWarning) as caught:
        resampler.sample(prior, 100)
    assert caught[0].filename == __file__
    assert caught[0].lineno == inspect.currentframe().f_lineno - 2


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("Scale", ["scale", "loc"], " Did you mean 'scale'?"),
        ("thetaa", ["theta", "mu"], " Did you mean 'theta'?"),
        ("completely_different", ["x", "y"], ""),
        ("x", [], ""),
    ],
)
def test_a_close_name_is_suggested_and_a_far_one_is_not(name, known, expected):
    assert errors.suggestion(name, known) == expected


def test_names_are_quoted_in_order():
    assert errors.quoted(["b", "a"]) == "'a', 'b'"
    assert errors.quoted([]) == "none"


def test_an_absent_library_is_said_with_its_extra_and_with_what_to_type_here_and_in_a_clone():
    with pytest.raises(errors.ExtraError) as caught, errors.from_extra("store"):
        raise ModuleNotFoundError("No module named 'zarr'")
    message = str(caught.value)
    assert "No module named 'zarr'" in message
    assert "The extra 'store' brings it" in message
    assert "pip install 'arviz-resampler[store]'" in message
    assert message.endswith("pip install '.[store]'")
