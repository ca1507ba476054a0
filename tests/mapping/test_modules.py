"""Modules that programs call are as they were, whatever they keep in training mode."""

import copy
import gc
import threading
import weakref

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from torch import nn
from torch.nn.utils import parametrizations

from arviz_resampler import ProgramError, Resampler
from arviz_resampler.mapping.modules import modules_kept

SAID = pytest.mark.filterwarnings("ignore:the .* (runs one particle at a time|draws random numbers outside)")
N = 30


class Counter(nn.Module):
    """Replaces a buffer at each call, and changes its parameter without a version."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x):
        self.calls = self.calls + 1
        self.weight.data.mul_(2.0)
        return x * self.weight


class Function(nn.Module):
    """Calls the forward of its part, which is no call of a module."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(1)

    def forward(self, x):
        return self.norm.forward(x)


MODULES = {
    "batch norm": lambda: nn.BatchNorm1d(1),
    "in a sequence": lambda: nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)),
    "in another module": Function,
    "of a Pyro module": lambda: PyroModule[nn.BatchNorm1d](1),
    "spectral norm as a hook": lambda: nn.utils.spectral_norm(nn.Linear(1, 1)),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Linear(1, 1)),
    "weight norm": lambda: parametrizations.weight_norm(nn.Linear(1, 1)),
    "dropout": lambda: nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.5)),
    "counter": Counter,
}


def guide():
    return pyro.sample("x", dist.Normal(0.0, 1.0))


def simulator_of(module, rows):
    def simulator():
        x = guide() + torch.arange(float(rows))
        pyro.sample("y", dist.Normal(module(x.reshape(-1, 1)).sum(), 0.1))

    return simulator


def build(simulator, **options):
    return Resampler(guide, simulator, num_guide_samples=N, random_seed=0, progressbar=False, **options)


def assert_same_state(module, tensors, before):
    """Tensors are the same objects, with the same values."""
    for name, tensor in tensors.items():
        assert module.state_dict(keep_vars=True)[name] is tensor
        assert torch.equal(tensor, before[name]), name


@SAID
@pytest.mark.parametrize("vectorize", ["auto", False])
@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
def test_modules_are_as_they_were_after_a_build_and_a_weighing(make, vectorize):
    module = make()
    tensors = module.state_dict(keep_vars=True)
    before = copy.deepcopy(module.state_dict())
    simulator = simulator_of(module, rows=4)
    resampler = build(simulator, vectorize=vectorize)
    assert_same_state(module, tensors, before)
    resampler.weigh(simulator)
    assert_same_state(module, tensors, before)


@SAID
@pytest.mark.parametrize("vectorize", ["auto", False])
@pytest.mark.parametrize("make", [MODULES["batch norm"], MODULES["counter"]])
def test_modules_are_as_they_were_after_a_run_that_failed(make, vectorize):
    module = make()
    tensors = module.state_dict(keep_vars=True)
    before = copy.deepcopy(module.state_dict())

    def failing():
        simulator_of(module, rows=4)()
        raise RuntimeError("no more")

    with pytest.raises(ProgramError, match="no more"):
        build(failing, vectorize=vectorize)
    assert_same_state(module, tensors, before)


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.InstanceNorm1d])
def test_statistics_of_one_value_are_refused_with_what_to_do(kind):
    module = kind(1)
    simulator = simulator_of(module, rows=1)
    words = r"when training.*A module in training mode .* sees one of the particles: call \.eval\(\)"
    with pytest.raises(ProgramError, match=words):
        build(simulator)
    if kind is nn.BatchNorm1d:
        module.eval()
        assert build(simulator, vectorize=True).weigh(simulator).ess == pytest.approx(N)


@SAID
@pytest.mark.parametrize("make", [MODULES["batch norm"], MODULES["spectral norm"], Counter])
def test_each_particle_meets_a_module_as_plain_pyro_meets_it_at_first(make):
    module = make()
    columns = build(simulator_of(module, rows=4)).pipeline.particles.columns
    for x, log_q in zip(columns["x"].value, columns["y"].log_q, strict=True):
        mean = copy.deepcopy(module)((x + torch.arange(4.0)).reshape(-1, 1)).sum().detach()
        i = int((columns["x"].value == x).nonzero()[0])
        expected = dist.Normal(mean, 0.1).log_prob(columns["y"].value[i])
        assert float(log_q) == pytest.approx(float(expected), rel=1e-3, abs=1e-3)


@SAID
def test_dropout_is_drawn_for_each_particle():
    module = nn.Dropout(0.5)

    def simulator():
        guide()
        pyro.sample("y", dist.Normal(module(torch.ones(8)).sum(), 0.001))

    values = build(simulator).pipeline.particles.columns["y"].value
    assert len(values.round().unique()) > 3


def test_a_module_that_is_made_at_first_use_stays_as_it_was_made():
    module = nn.Sequential(nn.LazyLinear(2), nn.Linear(2, 1))
    simulator = simulator_of(module, rows=3)
    resampler = build(simulator, vectorize=True)
    weight = module[0].weight.clone()
    assert weight.shape == (2, 1)
    assert resampler.weigh(simulator).ess == pytest.approx(N)
    assert torch.equal(module[0].weight, weight)


def test_modules_that_share_a_weight_are_plain_pyro():
    first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    second.weight = first.weight
    columns = build(simulator_of(nn.Sequential(first, second), rows=3)).pipeline.particles.columns
    x, y = columns["x"].value, columns["y"].value
    with torch.no_grad():
        mean = sum(second(first((x + i)[:, None])) for i in range(3))[:, 0]
        expected = dist.Normal(mean, 0.1).log_prob(y)
    torch.testing.assert_close(columns["y"].log_q.float(), expected, rtol=1e-3, atol=1e-3)
    assert second.weight is first.weight


@pytest.mark.parametrize("vectorize", ["auto", False])
def test_two_parameters_that_start_at_one_tensor_are_two(vectorize):
    start = torch.tensor(1.0)

    def simulator():
        x = guide()
        slope, level = pyro.param("slope", start), pyro.param("level", start)
        assert slope is not level
        pyro.sample("y", dist.Normal(slope * x + level, 0.001))

    found = build(simulator, vectorize=vectorize).pipeline.particles.columns
    torch.testing.assert_close(found["y"].value, found["x"].value + 1.0, rtol=0.0, atol=0.01)
    assert not pyro.get_param_store().keys()
    assert start == 1.0


def test_modules_of_other_threads_are_left_alone():
    module = nn.BatchNorm1d(1)
    with modules_kept():
        thread = threading.Thread(target=module, args=(torch.arange(4.0)[:, None],))
        thread.start()
        thread.join()
    assert module.num_batches_tracked == 1


def test_a_module_that_a_program_makes_is_not_kept_alive():
    with modules_kept():
        module = nn.BatchNorm1d(1)
        module(torch.arange(4.0)[:, None])
        alive = weakref.ref(module)
        del module
        gc.collect()
        assert alive() is None


def test_values_are_put_back_at_the_end_of_each_context():
    module = nn.BatchNorm1d(1)
    with modules_kept():
        for _ in range(2):
            with modules_kept():
                module(torch.arange(4.0)[:, None])
                assert module.num_batches_tracked == 1
            assert module.num_batches_tracked == 0
    module(torch.arange(4.0)[:, None])
    assert module.num_batches_tracked == 1


# ------------------------------------------------------------------ tensors that are lent to modules


class Norm(nn.Module):
    """Scales by a buffer, and counts its calls in another."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("calls", torch.zeros(()))
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        self.calls.add_(1.0)
        return x * self.scale + self.shift


@SAID
@pytest.mark.parametrize("vectorize", ["auto", False])
@pytest.mark.parametrize("name", ["scale", "shift"])
@pytest.mark.parametrize("wrap", [lambda x: x, nn.Parameter])
def test_what_a_functional_call_lends_a_module_is_not_its_own(name, vectorize, wrap):
    module = Norm()
    tensors = module.state_dict(keep_vars=True)
    before = copy.deepcopy(module.state_dict())

    def simulator():
        x = guide()
        lent = wrap(torch.tensor(5.0)) if wrap is nn.Parameter else x
        called = torch.func.functional_call(module, {name: lent}, (torch.tensor(1.0),))
        pyro.deterministic("called", called)
        pyro.sample("own", dist.Normal(module(torch.tensor(1.0)), 1e-3))

    columns = build(simulator, vectorize=vectorize).pipeline.particles.columns
    assert_same_state(module, tensors, before)
    assert (columns["own"].value - 1.0).abs().max() < 0.01  # ten standard deviations
    lent = torch.full((N,), 5.0) if wrap is nn.Parameter else columns["x"].value
    torch.testing.assert_close(columns["called"].value, lent + (name == "shift"))


def test_a_network_whose_weights_are_drawn_runs_by_a_functional_call():
    network = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    tensors = network.state_dict(keep_vars=True)
    before = copy.deepcopy(network.state_dict())

    def program():
        weights = {
            name: pyro.sample(name, dist.Normal(torch.zeros(p.shape), 1.0).to_event(p.dim()))
            for name, p in network.named_parameters()
        }
        mean = torch.func.functional_call(network, weights, (torch.ones(4, 2),)).squeeze(-1)
        pyro.sample("y", dist.Normal(mean, 0.1).to_event(1))

    resampler = Resampler(program, num_guide_samples=N, random_seed=0, vectorize=True)
    assert resampler.weigh(program).ess == pytest.approx(N)
    assert_same_state(network, tensors, before)
