"""Records of runs: when a model may end early, and data with missing entries made whole."""

import pytest
import torch

from arviz_resampler.programs.runs import Invalid, ScoredRun, SiteRun, merge_masked


def test_what_is_invalid_is_counted_over_parts():
    first = Invalid("bad", 2)
    assert first.plus(None) == first
    assert first.plus(Invalid("worse", 3)) == Invalid("worse", 5)
    assert first.describe(1) == "bad"
    assert first.describe(10) == "bad (for 2 of 10 particles)"


@pytest.mark.parametrize(
    ("kinds", "early"),
    [
        (["latent", "latent", "observed"], {"0", "1"}),
        (["latent", "observed", "latent"], set()),  # the last one counts
        (["observed", "latent", "observed", "observed"], {"1"}),
        (["latent", "deterministic", "observed"], set()),
        (["latent", "observed", "factor"], set()),
        (["observed"], set()),
        ([], set()),
    ],
)
def test_a_model_may_end_where_nothing_but_data_is_left(kinds, early):
    run = ScoredRun(kinds={str(i): kind for i, kind in enumerate(kinds)})
    assert run.early == early


def test_three_sites_of_one_statement_become_the_whole_with_its_data():
    mask = torch.tensor([[True, False]]).expand(3, 2)
    seen = SiteRun(
        "y_observed",
        "observed",
        torch.zeros(3, 2),
        [(None, 2)],
        data=torch.tensor([5.0, 6.0]),
        mask=mask,
        log_density_masked=torch.tensor([1.0, 2.0, 3.0]),
    )
    unseen = SiteRun(
        "y_unobserved",
        "latent",
        torch.zeros(3, 2),
        [(None, 2)],
        log_density_masked=torch.tensor([10.0, 20.0, 30.0]),
    )
    whole = SiteRun("y", "deterministic", torch.arange(6.0).reshape(3, 2), [(None, 2)])
    merged = merge_masked({"y_observed": seen, "y_unobserved": unseen, "y": whole})
    assert list(merged) == ["y"]
    assert merged["y"].kind == "observed"
    assert torch.equal(merged["y"].value, whole.value)
    assert torch.equal(merged["y"].log_density, torch.tensor([11.0, 22.0, 33.0]))
    torch.testing.assert_close(
        merged["y"].data, torch.tensor([5.0, torch.nan], dtype=torch.float64), equal_nan=True
    )


def test_sites_that_only_look_like_parts_are_left_alone():
    sites = {
        name: SiteRun(name, kind, torch.zeros(1), [])
        for name, kind in [("y_observed", "latent"), ("y_unobserved", "latent"), ("y", "deterministic")]
    }
    assert list(merge_masked(dict(sites))) == list(sites)
