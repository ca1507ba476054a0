"""Samples of a posterior as arrays: what is read, and what is refused with what was found."""

import re
import warnings

import numpy as np
import pytest
import torch
import xarray as xr

from arviz_resampler import ArgumentError, ProgramWarning
from arviz_resampler.containers import Labels
from arviz_resampler.containers.samples import read_samples
from arviz_resampler.sites import Site


def site(name, dims=(), shape=(), role="latent", *, discrete=False):
    return Site(name, role, dims, shape, len(dims), "float32", discrete)


SITES = {
    "mu": site("mu"),
    "theta": site("theta", ("school",), (3,)),
    "one": site("one", ("one_dim_0",), (1,)),
    "grid": site("grid", ("row", "col"), (2, 3)),
    "z": site("z", discrete=True),
    "y": site("y", ("school",), (3,), "predictive"),
    "hidden": site("hidden", role="auxiliary"),
}
EXPORTED = {name: one for name, one in SITES.items() if one.role != "auxiliary"}
LABELS = Labels(EXPORTED, {"school": ["oak", "elm", "ash"]}, {}, {})


def read(samples, latents=()):
    return read_samples(samples, SITES, LABELS, latents, "the model")


def shapes(samples):
    return {name: array.shape for name, array in read(samples).arrays.items()}


def refusal(samples, latents=()):
    with pytest.raises(ArgumentError) as caught:
        read(samples, latents)
    return str(caught.value)


class Chains:
    """Stands for an ``MCMC`` that has run several chains."""

    def __init__(self, samples, diagnostics=None):
        self.samples, self.said = samples, diagnostics or {}

    def get_samples(self, group_by_chain=False):
        assert group_by_chain
        return self.samples

    def diagnostics(self):
        return self.said


# ---------------------------------------------------------------- what is read


def test_draws_alone_are_one_chain_and_chains_are_kept():
    draws = {"mu": np.arange(5.0), "theta": np.ones((5, 3)), "grid": np.ones((5, 2, 3))}
    assert shapes(draws) == {"mu": (1, 5), "theta": (1, 5, 3), "grid": (1, 5, 2, 3)}
    chains = {"mu": np.ones((4, 5)), "theta": np.ones((4, 5, 3)), "grid": np.ones((4, 5, 2, 3))}
    assert shapes(chains) == {"mu": (4, 5), "theta": (4, 5, 3), "grid": (4, 5, 2, 3)}


def test_a_vector_of_as_many_entries_as_draws_is_told_apart_by_its_site():
    assert shapes({"theta": np.ones((3, 3)), "mu": np.ones(3)}) == {"theta": (1, 3, 3), "mu": (1, 3)}
    assert shapes({"theta": np.ones((3, 3, 3)), "mu": np.ones((3, 3))}) == {"theta": (3, 3, 3), "mu": (3, 3)}


def test_axes_of_one_where_pyro_has_no_plate_are_left_out():
    padded = {"mu": np.ones((7, 1, 1)), "theta": np.ones((7, 3, 1)), "grid": np.ones((7, 2, 3))}
    assert shapes(padded) == {"mu": (1, 7), "theta": (1, 7, 3), "grid": (1, 7, 2, 3)}
    assert shapes({"one": np.ones((7, 1))}) == {"one": (1, 7, 1)}
    assert shapes({"one": np.ones(7), "mu": np.ones(7)}) == {"one": (1, 7, 1), "mu": (1, 7)}
    assert shapes({"mu": np.ones((1, 1))}) == {"mu": (1, 1)}


@pytest.mark.parametrize("make", [list, tuple, np.array, torch.tensor, xr.DataArray])
def test_draws_may_be_of_any_library(make):
    found = read({"mu": make([1.0, 2.0, 3.0])}).arrays["mu"]
    np.testing.assert_array_equal(found, [[1.0, 2.0, 3.0]])


CHAINS = xr.DataArray(
    np.arange(8.0).reshape(2, 4), dims=("chain", "draw"), coords={"chain": [0, 1], "draw": [3, 4, 5, 6]}
)
STACKED = CHAINS.stack(sample=("chain", "draw"))
TURNED = CHAINS.stack(sample=("draw", "chain"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (CHAINS, CHAINS.isel(chain=[1, 0])),
        (CHAINS.isel(chain=[1, 0]), CHAINS.isel(draw=[3, 1, 0, 2]).T),
        (CHAINS.drop_vars("draw"), CHAINS[::-1].drop_vars("draw")),
        (STACKED, STACKED[::-1]),
        (STACKED, TURNED),
        (TURNED, STACKED.reset_index("sample")),
    ],
    ids=["chains", "draws first", "chains alone", "stacked", "stacked otherwise", "levels"],
)
def test_sites_go_by_the_labels_of_their_chains_and_draws(first, second):
    school = xr.DataArray([0.0, 100.0, 200.0], dims="school")
    found = read({"mu": first, "theta": second + school, "z": first.values}).arrays
    wanted = first.values[None] if "sample" in first.dims else first.values
    np.testing.assert_array_equal(found["mu"], wanted)
    np.testing.assert_array_equal(found["theta"], wanted[..., None] + school.values)
    np.testing.assert_array_equal(found["z"], wanted)


def test_sites_of_other_chains_or_draws_are_refused():
    assert refusal({"mu": CHAINS, "theta": CHAINS.assign_coords(draw=[4, 5, 6, 7])}) == (
        "'mu' and 'theta' have different labels of 'draw': 3 and 4 at position 0. Give them the same, or none"
    )


def test_chains_may_be_given_one_by_one():
    found = read({"theta": [torch.zeros(5, 3), torch.ones(5, 3)]}).arrays["theta"]
    assert found.shape == (2, 5, 3)
    assert found[:, 0, 0].tolist() == [0.0, 1.0]


def test_gradients_are_left_behind():
    assert read({"mu": torch.ones(4, requires_grad=True)}).arrays["mu"].shape == (1, 4)


def test_arrays_with_names_are_put_in_the_order_of_the_site():
    values = np.arange(2 * 4 * 3.0).reshape(2, 4, 3)
    given = xr.DataArray(
        values, dims=("chain", "draw", "school"), coords={"school": ["ash", "oak", "elm"]}
    ).transpose("school", "draw", "chain")
    np.testing.assert_array_equal(read({"theta": given}).arrays["theta"], values[..., [1, 2, 0]])
    with pytest.raises(ArgumentError, match="other labels along dim 'school'"):
        read({"theta": given.assign_coords(school=["a", "b", "c"])})
    with pytest.raises(ArgumentError, match="has the dims"):
        read({"theta": given.rename(school="pupil")})


def test_a_dataset_is_a_mapping():
    given = xr.Dataset({"mu": (("draw",), np.ones(4)), "theta": (("school", "draw"), np.ones((3, 4)))})
    assert shapes(given) == {"mu": (1, 4), "theta": (1, 4, 3)}


def test_chains_and_draws_that_are_one_dim_are_draws():
    values = np.arange(2 * 4 * 3.0).reshape(2, 4, 3)
    given = xr.Dataset({"theta": (("chain", "draw", "school"), values)}).stack(sample=["chain", "draw"])
    np.testing.assert_array_equal(read(given).arrays["theta"], values.reshape(1, 8, 3))


def test_auxiliary_sites_are_left_out():
    assert shapes({"mu": np.ones(4), "hidden": np.ones((9, 9))}) == {"mu": (1, 4)}


def test_an_mcmc_has_its_chains_its_divergences_and_its_acceptance_rate():
    said = {
        "mu": {"r_hat": 1.0},
        "divergences": {"chain 0": [], "chain 1": [0, 4]},
        "acceptance rate": {"chain 0": 0.5, "chain 1": 1.0},
    }
    found = read(Chains({"mu": torch.ones(2, 5)}, said))
    assert found.conditioned
    assert found.attrs == {"acceptance_rate": 0.75}
    assert found.diverging.dtype == bool
    np.testing.assert_array_equal(found.diverging, [[False] * 5, [True, False, False, False, True]])


def test_a_kernel_without_diagnostics_has_none():
    found = read(Chains({"mu": torch.ones(2, 5)}))
    assert found.diverging is None
    assert found.attrs == {}
    assert not read({"mu": np.ones(5)}).conditioned


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("given", [None, 3.0, torch.ones(3), "mu", [("mu", 1.0)]])
def test_what_is_neither_an_mcmc_nor_a_mapping_is_named(given):
    text = refusal(given)
    assert text.startswith("samples must be a pyro.infer.MCMC that has run or a mapping")
    assert type(given).__name__ in text


def test_an_mcmc_that_has_not_run_is_told_apart():
    class Idle:
        def get_samples(self, group_by_chain):
            raise AttributeError("'NoneType' object has no attribute 'items'")

    assert re.fullmatch(r"the Idle has no samples: call its run\(\) first", refusal(Idle()))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, "the samples hold no site"),
        ({"hidden": [1.0]}, "the samples hold auxiliary sites alone"),
        ({"mu": []}, "samples of 'mu' have shape (0,)"),
        ({"mu": np.ones((2, 0))}, "samples of 'mu' have shape (2, 0)"),
        ({"theta": np.ones((0, 3))}, "samples of 'theta' have shape (0, 3)"),
    ],
)
def test_no_draws_are_an_error(given, found):
    assert refusal(given) == f"there are no draws: {found}"


def test_names_that_are_no_sites_are_refused_with_the_closest():
    text = refusal({"mu": [1.0], "Theta": [1.0]})
    assert "'Theta', which is no site of the model; there are 'grid', 'hidden', 'mu'" in text
    assert text.endswith("Did you mean 'theta'?")
    assert refusal({3: [1.0]}) == "the keys of samples must be strings, got 3"


def test_latents_that_lack_are_named():
    assert refusal({"mu": [1.0]}, ["mu", "theta", "grid"]) == (
        "the samples lack 'grid', 'theta', a latent site of the model; they have 'mu'"
    )


def test_a_discrete_latent_may_lack_which_is_said():
    with pytest.warns(ProgramWarning, match="lack 'z', which is discrete"):
        read({"mu": [1.0]}, ["mu", "z"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read({"mu": [1.0], "z": [1]}, ["mu", "z"])


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("theta", (5,)),
        ("theta", (5, 4)),
        ("theta", (2, 5, 4)),
        ("theta", (2, 2, 5, 3)),
        ("grid", (5, 3, 2)),
        ("grid", (5, 6)),
        ("mu", ()),
        ("mu", (2, 5, 3)),
    ],
)
def test_shapes_that_do_not_fit_are_quoted_beside_those_of_the_site(name, shape):
    assert refusal({name: np.ones(shape)}) == (
        f"samples of {name!r} have shape {shape}, but site {name!r} has shape {SITES[name].shape} with axes "
        f"{SITES[name].dims}: in front of these must stand the draws, or chains and draws"
    )


def test_an_mcmc_has_chains_in_front():
    assert "samples of 'mu' have shape (5,)" in refusal(Chains({"mu": torch.ones(5)}))


def test_many_chains_of_one_draw_may_be_draws_of_a_padded_site_and_are_asked_about():
    assert refusal({"mu": np.ones((7, 1))}) == (
        "samples of 'mu' have shape (7, 1): 7 draws, or 7 chains of one draw? Give them the shape (7,) or "
        "(1, 7)"
    )
    assert "the shape (7, 3) or (1, 7, 3)" in refusal({"theta": np.ones((7, 1, 3))})
    assert shapes(Chains({"mu": torch.ones(7, 1)})) == {"mu": (7, 1)}


@pytest.mark.parametrize(
    ("mu", "theta"), [((4,), (5, 3)), ((2, 4), (2, 5, 3)), ((2, 4), (4, 3)), ((8,), (2, 4, 3))]
)
def test_sites_with_other_draws_are_refused(mu, theta):
    assert refusal({"mu": np.ones(mu), "theta": np.ones(theta)}) == (
        f"samples of 'theta' have shape {theta}, but those of 'mu' {mu}: all sites must have the same chains "
        f"and draws in front"
    )


def test_chains_of_unequal_length_are_refused_with_their_lengths():
    assert refusal({"mu": [torch.ones(5), torch.ones(4)]}) == (
        "samples of 'mu' are of unequal length, 5, 4: all chains must have the same number of draws"
    )
    assert "unequal length, 5, 4" in refusal(Chains({"mu": [torch.ones(5), torch.ones(4)]}))
    assert "cannot be read as an array" in refusal({"theta": [np.ones((5, 3)), np.ones((5, 2))]})


def test_what_is_no_number_is_refused():
    assert "has dtype" in refusal({"mu": ["a", "b"]})
