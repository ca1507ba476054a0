import matplotlib
import pyro
import pytest
import torch

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _fresh_pyro():
    """A known seed, an empty param store and no default dtype left over from another test."""
    pyro.clear_param_store()
    pyro.set_rng_seed(20240519)
    before = torch.get_default_dtype()
    yield
    torch.set_default_dtype(before)
    pyro.clear_param_store()
