import pytest

from arviz_resampler import ArgumentError
from arviz_resampler.containers import OF_POSTERIOR, OF_PRIOR, Labels, Selection
from arviz_resampler.sites import Site

SITES = {
    name: Site(name, role, (), (), 0, "float32", False)
    for name, role in {"mu": "latent", "a/b": "deterministic", "y": "predictive", "z": "predictive"}.items()
}
LABELS = Labels(SITES, {}, {}, {})


@pytest.mark.parametrize(
    ("var_names", "group", "sites"),
    [
        (None, None, ["mu", "a/b", "y", "z"]),
        (None, "prior", ["mu", "a/b"]),
        (None, ["prior_predictive", "prior"], ["mu", "a/b", "y", "z"]),
        ("z", None, ["z"]),
        (["a.b", "y", "y"], None, ["a/b", "y"]),
        ("y", "prior_predictive", ["y"]),
        ([], None, []),
        (None, [], []),
    ],
)
def test_variables_are_selected_by_their_names_in_the_container_and_by_group(var_names, group, sites):
    assert Selection(var_names, group).of(LABELS, SITES, OF_PRIOR) == sites


def test_groups_of_a_posterior_have_its_names():
    assert Selection(group="posterior").of(LABELS, SITES, OF_POSTERIOR) == ["mu", "a/b"]
    with pytest.raises(ArgumentError, match="group holds 'prior'; the groups of draws are 'posterior'"):
        Selection(group="prior").of(LABELS, SITES, OF_POSTERIOR)


@pytest.mark.parametrize(
    ("var_names", "group", "message"),
    [
        ("a/b", None, "var_names holds 'a/b', which is no variable; .* Did you mean 'a.b'"),
        ("y", "prior", "var_names holds 'y', which is no variable; there are 'a.b', 'mu'"),
        (3, None, "var_names must be a name or several names, got 3"),
        (None, 3, "group must be a name or several names, got 3"),
        (None, "observed_data", "group holds 'observed_data'; the groups of draws are 'prior', 'prior_pred"),
    ],
)
def test_what_is_not_there_cannot_be_selected(var_names, group, message):
    with pytest.raises(ArgumentError, match=message):
        Selection(var_names, group).of(LABELS, SITES, OF_PRIOR)
