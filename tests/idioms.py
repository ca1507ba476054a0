"""Pyro programs as they are written for one draw, an idiom each.

Each takes the scale of its priors, and is a guide at one scale and a model at another. Where it runs
mapped over particles, and where one particle at a time, is said by its decorator.
"""

import functools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyro
import pyro.distributions as dist
import scipy.special
import torch
from pyro import poutine
from pyro.infer.reparam import LocScaleReparam, TransformReparam
from pyro.nn import PyroModule, PyroParam, PyroSample
from pyro.ops.indexing import Vindex
from torch import nn
from torch.distributions import constraints
from torch.nn import functional

from arviz_resampler import batched

IDIOMS: dict[str, "Idiom"] = {}
SCALES = GUIDE, MODEL = 1.0, 1.3


@dataclass(frozen=True)
class Idiom:
    """A program, and how it is expected to run.

    Attributes
    ----------
    body : callable
        Takes the scale of the priors.
    mapped : bool
        Whether it can be mapped over particles.
    masked : bool
        Whether a mask stands around sites: it does not change what is drawn.
    random : bool
        Whether it draws random numbers outside its sites: what is computed from them is not repeated.
    scaled : bool
        Whether a scale stands around sites: the program is then not the density that it draws from.
    """

    body: Callable[[float], object]
    mapped: bool = True
    masked: bool = False
    random: bool = False
    scaled: bool = False

    @property
    def name(self) -> str:
        return self.body.__name__

    def program(self, scale: float = GUIDE) -> Callable[[], object]:
        """The program without arguments."""
        return functools.partial(self.body, scale)


def maps(body: Callable | None = None, **options: bool) -> Callable:
    """Register a program that can be mapped over particles."""
    if body is None:
        return functools.partial(maps, **options)
    IDIOMS[body.__name__] = Idiom(body, **options)
    return body


def one_at_a_time(body: Callable | None = None, **options: bool) -> Callable:
    """Register a program that reads values as Python numbers, or that torch cannot map."""
    return maps(body, mapped=False, **options)


X = torch.linspace(-1.0, 1.0, 12).reshape(4, 3)
GROUP = torch.tensor([0, 2, 1, 2, 0])


def normal(name: str, loc=0.0, scale=1.0) -> torch.Tensor:
    return pyro.sample(name, dist.Normal(loc, scale))


def vector(name: str, size: int, scale=1.0) -> torch.Tensor:
    return pyro.sample(name, dist.Normal(0.0, scale).expand([size]).to_event(1))


# ------------------------------------------------------------------ indexing


@maps
def an_event_is_indexed_from_the_left(s):
    beta = vector("beta", 3, s)
    normal("y", beta[0] - 0.5 * beta[2])


@maps
def an_event_is_unpacked(s):
    a, b = vector("beta", 2, s)
    normal("y", a - b)


@maps
def an_event_is_indexed_from_the_right(s):
    beta = vector("beta", 3, s)
    normal("y", beta[..., 0] + beta[..., -1])


@maps
def a_plate_is_indexed_by_groups(s):
    with pyro.plate("group", 3):
        level = normal("level", 0.0, s)
    with pyro.plate("row", 5):
        normal("y", level[GROUP], 0.5)


@maps
def a_plate_is_indexed_by_its_own_positions(s):
    level = vector("level", 3, s)
    with pyro.plate("row", 3) as rows:
        normal("y", level[rows] * X[0][rows])


@maps
def a_vector_is_indexed_by_a_table(s):
    theta = vector("theta", 3, s)
    positions = torch.tensor([[0, 1], [2, 0]])
    pyro.sample("y", dist.Normal(theta[positions], 0.5).to_event(2))


@maps
def a_matrix_is_indexed_by_two_tensors(s):
    a = pyro.sample("a", dist.Normal(0.0, s).expand([3, 2]).to_event(2))
    with pyro.plate("row", 5):
        normal("y", a[GROUP, torch.tensor([0, 1, 1, 0, 1])], 0.5)


@maps
def index_tensors_stand_apart(s):
    a = pyro.sample("a", dist.Normal(0.0, s).expand([3, 2, 4]).to_event(3))
    pyro.sample("y", dist.Normal(a[torch.tensor([0, 2]), :, torch.tensor([1, 3])], 0.5).to_event(2))


@maps
def a_row_is_picked_by_a_drawn_state(s):
    probs = pyro.sample("probs", dist.Dirichlet(torch.ones(2, 3) * s).to_event(1))
    state = pyro.sample("state", dist.Bernoulli(0.4)).long()
    pyro.sample("next", dist.Categorical(probs[state]))


@maps
def locations_are_picked_by_drawn_assignments(s):
    weights = pyro.sample("weights", dist.Dirichlet(torch.ones(3) * s))
    locs = vector("locs", 3, s)
    with pyro.plate("row", 5):
        z = pyro.sample("z", dist.Categorical(weights))
        normal("y", locs[z], 0.3)


@maps
def a_drawn_state_is_indexed_by_vindex(s):
    p = pyro.sample("p", dist.Beta(s, 1.0).expand([2, 3]).to_event(2))
    with pyro.plate("row", 4):
        z = pyro.sample("z", dist.Categorical(torch.ones(3) / 3))
        pyro.sample("y", dist.Bernoulli(Vindex(p)[torch.tensor([0, 1, 0, 1]), z]))


@maps
def values_are_gathered(s):
    a = pyro.sample("a", dist.Normal(0.0, s).expand([4, 3]).to_event(2))
    z = pyro.sample("z", dist.Categorical(torch.ones(4, 3) / 3).to_event(1))
    pyro.sample("y", dist.Normal(a.gather(1, z[:, None])[:, 0], 0.5).to_event(1))


@maps
def the_largest_is_found(s):
    a = vector("a", 3, s)
    normal("y", a[a.argmax()] - a.sort().values[0])


@maps
def a_number_is_compared_with_its_median(s):
    a = normal("a", 0.0, s)
    normal("y", torch.where(a > a.median(), 5.0, -5.0) + a.mean() + a.sort(0)[0] + a.argsort(0))


@maps
def a_plate_is_compared_with_its_median(s):
    with pyro.plate("group", 3):
        a = normal("a", 0.0, s)
        normal("y", torch.where(a > a.median(), 1.0, -1.0) + a.sort(0)[0] - a.mean())


@maps
def a_number_is_multiplied_by_a_grid_as_long_as_the_particles(s):
    a = normal("a", 0.0, s)
    curve = pyro.deterministic("curve", a * torch.linspace(-1.0, 1.0, 3))
    normal("y", curve.sum() + curve[-1])


@maps
def a_number_is_normalized_by_its_own_spread(s):
    a, b = normal("a", 0.0, s), vector("b", 3)
    z = torch.stack([a, *b])
    normal("y", ((z - z.mean(0)) / z.std(0)).max(0).values)


@maps
def a_plate_is_shared_out_by_a_function_of_all(s):
    with pyro.plate("group", 3):
        a = normal("a", 0.0, s)
    shares = batched(lambda x: x / np.abs(x).sum(-1, keepdims=True))(a)
    with pyro.plate("row", 3):
        normal("y", shares, 0.5)


@maps
def data_is_a_mask_to_read_by(s):
    a = vector("a", 4, s)
    normal("y", a[torch.tensor([True, False, False, True])].sum())


@maps
def an_embedding_is_looked_up(s):
    table = pyro.sample("table", dist.Normal(0.0, s).expand([3, 2]).to_event(2))
    with pyro.plate("row", 5):
        z = pyro.sample("z", dist.Categorical(torch.ones(3) / 3))
        pyro.sample("y", dist.Normal(functional.embedding(z, table), 0.5).to_event(1))


# ------------------------------------------------------------------ products


@maps
def a_design_matrix_is_multiplied(s):
    beta = vector("beta", 3, s)
    with pyro.plate("row", 4):
        normal("y", X @ beta, 0.5)


@maps
def products_are_spelled_as_methods(s):
    beta = vector("beta", 3, s)
    w = pyro.sample("w", dist.Normal(0.0, s).expand([3, 2]).to_event(2))
    pyro.sample("y", dist.Normal(X.mv(beta), 0.5).to_event(1))
    pyro.sample("z", dist.Normal(torch.mm(X, w), 0.5).to_event(2))


@maps
def a_product_is_summed(s):
    beta = vector("beta", 3, s)
    with pyro.plate("row", 4):
        normal("y", (X * beta).sum(-1), 0.5)


@maps
def axes_are_summed_by_einsum(s):
    a = vector("a", 3, s)
    b = pyro.sample("b", dist.Normal(0.0, s).expand([3, 2]).to_event(2))
    normal("y", torch.einsum("i,ij,j->", a, b, b[0]).tanh())


@maps
def an_outer_product_is_taken(s):
    a, b = vector("a", 3, s), vector("b", 2, s)
    pyro.sample("y", dist.Normal((a[:, None] * b).T, 0.5).to_event(2))


def _linear(scale: float) -> PyroModule:
    layer = PyroModule[nn.Linear](3, 2)
    layer.weight = PyroSample(dist.Normal(0.0, scale).expand([2, 3]).to_event(2))
    layer.bias = PyroSample(dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    return layer


# Made outside the programs: what a mapped program makes and keeps is dead afterwards.
LAYERS = {scale: _linear(scale) for scale in SCALES}


@maps
def a_linear_layer_has_drawn_weights(s):
    mean = LAYERS[s](X)
    with pyro.plate("row", 4):
        pyro.sample("y", dist.Normal(mean, 0.5).to_event(1))


class Network(PyroModule):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.hidden = PyroModule[nn.Linear](3, 4)
        self.hidden.weight = PyroSample(dist.Normal(0.0, scale).expand([4, 3]).to_event(2))
        self.out = PyroModule[nn.Linear](4, 1)
        self.out.weight = PyroSample(dist.Normal(0.0, scale).expand([1, 4]).to_event(2))
        self.gain = PyroSample(lambda module: dist.Normal(module.shift, 1.0))
        self.shift = PyroParam(torch.tensor(0.5))

    def forward(self) -> None:
        mean = self.out(torch.tanh(self.hidden(X))).squeeze(-1)
        with pyro.plate("row", 4):
            normal("y", mean * self.gain, 0.5)


with torch.random.fork_rng():
    torch.manual_seed(0)
    NETWORKS = {scale: Network(scale) for scale in SCALES}


@maps
def a_network_is_a_module_of_modules(s):
    NETWORKS[s]()


@maps
def layers_are_functions(s):
    w = pyro.sample("w", dist.Normal(0.0, s).expand([2, 3]).to_event(2))
    h = functional.softplus(functional.linear(X, w))
    pyro.sample("y", dist.Normal(functional.layer_norm(h, (2,)), 0.5).to_event(2))


@maps
def a_series_is_convolved(s):
    kernel = vector("kernel", 3, s)
    series = functional.conv1d(torch.arange(6.0).sin()[None, None], kernel[None, None])[0, 0]
    pyro.sample("y", dist.Normal(series, 0.5).to_event(1))


# ------------------------------------------------------------------ shapes


@maps
def a_site_is_expanded_by_a_number(s):
    tau = pyro.sample("tau", dist.HalfNormal(s))
    pyro.sample("theta", dist.Normal(0.0, tau + 0.1).expand([3]).to_event(1))


@maps
def all_axes_are_an_event(s):
    tau = pyro.sample("tau", dist.HalfNormal(s))
    theta = pyro.sample("theta", dist.Normal(torch.zeros(2, 3), tau + 0.1).to_event())
    normal("y", theta[1, 2])


@maps
def a_batch_is_not_declared(s):
    tau = pyro.sample("tau", dist.HalfNormal(s))
    theta = pyro.sample("theta", dist.Normal(0.0, tau + 0.1).expand([3]))
    pyro.sample("y", dist.Normal(theta, 0.5))


@maps
def shapes_are_asserted(s):
    tau = pyro.sample("tau", dist.HalfNormal(s))
    theta = vector("theta", 3, tau + 0.1)
    assert tau.shape == ()
    assert theta.shape == (3,)
    assert tau.dim() == 0
    assert theta.ndim == 1
    assert theta.numel() == 3
    with pyro.plate("row", 4):
        y = normal("y", theta[1] * X[:, 0])
    assert y.shape == (4,)
    assert y.size(-1) == 4


@maps
def sizes_are_asked_for(s):
    theta = vector("theta", 3, s)
    shift = torch.zeros(theta.size(0)) + len(theta) + theta.shape[-1]
    pyro.sample("y", dist.Normal(theta + 0.1 * shift, 0.5).to_event(1))


@maps
def axes_are_moved_and_put_together(s):
    a = pyro.sample("a", dist.Normal(0.0, s).expand([2, 3]).to_event(2))
    b = torch.cat([a.T.reshape(-1), a.flatten(), a.permute(1, 0).contiguous().view(6), a[0]])
    c = b.unsqueeze(-1).expand(-1, 2).transpose(0, 1).squeeze(0)
    pyro.sample("y", dist.Normal(c.roll(1, -1).flip(0).sum(0), 0.5).to_event(1))


@maps
def a_number_is_spread(s):
    a = normal("a", 0.0, s)
    pyro.sample("y", dist.Normal(a * torch.arange(3.0) + torch.zeros(3), 0.5).to_event(1))
    pyro.sample("z", dist.Normal(a.expand(3), torch.ones_like(a)).to_event(1))


@maps
def an_axis_of_one_is_left_out(s):
    a = pyro.sample("a", dist.Normal(0.0, s).expand([1]).to_event(1))
    b = normal("b")
    normal("y", a.squeeze(-1) + b.squeeze(-1) + a.squeeze())


@maps
def the_dtype_changes(s):
    a = vector("a", 3, s)
    k = pyro.sample("k", dist.Poisson(2.0))
    pyro.sample("y", dist.Normal(a.double() * k.to(torch.float64), 0.5).to_event(1))
    normal("z", (a > 0).float().sum() + a.long().sum())


# ------------------------------------------------------------------ tensors from draws


@maps
def draws_are_stacked(s):
    a, b = normal("a", 0.0, s), normal("b")
    loc = torch.stack([a, b, a * b])
    pyro.sample("y", dist.Normal(loc, 0.5).to_event(1))


@maps
def a_tensor_is_made_of_draws(s):
    a, b = normal("a", 0.0, s), normal("b")
    matrix = torch.tensor([[a, 1.0], [b, a + b]])
    pyro.sample("y", dist.Normal(matrix.sum(-1), 0.5).to_event(1))


@maps
def zeros_are_filled_in_place(s):
    a = normal("a", 0.0, s)
    x = torch.zeros(4)
    for t in range(4):
        x[t] = normal(f"x{t}", 0.5 * (x[t - 1] if t else a), 0.5)
    pyro.sample("y", dist.Normal(x, 0.5).to_event(1))


@maps
def zeros_are_filled_by_rows(s):
    a = vector("a", 3, s)
    x = torch.empty(2, 3)
    x[0] = a
    x[1, :] = a.cumsum(0)
    x[:, 1] += a[0]
    x[..., -1] *= 2
    pyro.sample("y", dist.Normal(x, 0.5).to_event(2))


@maps
def a_list_of_states_is_stacked(s):
    states = [normal("x0", 0.0, s)]
    for t in range(1, 4):
        states.append(normal(f"x{t}", 0.8 * states[-1], 0.5))
    pyro.sample("y", dist.Normal(torch.stack(states), 0.5).to_event(1))


@maps
def a_drawn_vector_is_changed_in_place(s):
    epsilon = vector("epsilon", 4, s)
    for t in range(1, 4):
        epsilon[t] += 0.5 * epsilon[t - 1]
    pyro.sample("y", dist.Normal(epsilon, 0.5).to_event(1))


@maps
def a_drawn_vector_is_shifted_in_place(s):
    x = vector("x", 3, s)
    x += 1.0
    x *= 2.0
    pyro.sample("y", dist.Normal(x, 0.5).to_event(1))


@maps
def the_data_are_copied_and_changed(s):
    a = normal("a", 0.0, s)
    x = X.clone()
    x[1] = x[1] * a
    x[x < 0] = 0.0
    pyro.sample("y", dist.Normal(x.sum(0), 0.5).to_event(1))


@maps
def a_mask_says_what_is_zero(s):
    x = vector("x", 4, s).clone()
    x[x < 0] = 0.0
    pyro.sample("y", dist.Normal(x, 0.5).to_event(1))


@maps
def places_that_stand_apart_are_filled(s):
    y = pyro.sample("a", dist.Normal(0.0, s).expand([2, 3]).to_event(2))
    x = torch.zeros(3, 3, 3)
    x[torch.tensor([0, 2]), :, torch.tensor([1, 0])] = y
    pyro.sample("y", dist.Normal(x, 0.5).to_event(3))


@maps
def places_are_filled_by_index_functions(s):
    a = vector("a", 2, s)
    x = torch.zeros(4).index_add(0, torch.tensor([1, 3]), a)
    x = x.index_copy(0, torch.tensor([0, 2]), a.exp().clamp(max=3.0))
    x = x + torch.zeros(4).scatter_add(0, torch.tensor([1, 1]), a)
    pyro.sample("y", dist.Normal(x, 0.5).to_event(1))


@maps
def values_are_clamped_in_place(s):
    x = vector("x", 3, s) * 2
    x.clamp_(min=-1.0)
    x.clamp_max_(1.0)
    pyro.sample("y", dist.Normal(x.relu_(), 0.5).to_event(1))


@maps
def a_tensor_is_filled_with_a_draw(s):
    a = normal("a", 0.0, s)
    x = a.new_zeros(3)
    x.fill_(a)
    pyro.sample("y", dist.Normal(x, 0.5).to_event(1))


@maps
def branches_are_chosen_by_where(s):
    a = vector("a", 3, s)
    z = pyro.sample("z", dist.Bernoulli(0.4))
    loc = torch.where(z.bool(), a, -2.0 * a.abs())
    pyro.sample("y", dist.Normal(loc, torch.where(a > 0, 1.0, 0.5)).to_event(1))


@maps
def python_adds_up(s):
    parts = [normal(name, 0.0, s) for name in "abc"]
    normal("y", sum(parts) + abs(parts[0]) - 2 ** (-(parts[1] ** 2)) + 1 / (1 + parts[2] ** 2))


# ------------------------------------------------------------------ plates


@maps
def plates_are_nested(s):
    with pyro.plate("outer", 3, dim=-2):
        mean = normal("mean", 0.0, s)
        with pyro.plate("inner", 2, dim=-1):
            x = normal("x", mean, 0.5)
            normal("y", x)
    assert mean.shape == (3, 1)
    assert x.shape == (3, 2)


@maps
def plates_are_crossed(s):
    rows, columns = pyro.plate("row", 3, dim=-2), pyro.plate("column", 4, dim=-1)
    with rows:
        a = normal("a", 0.0, s)
    with columns:
        b = normal("b", 0.0, s)
    with rows, columns:
        normal("y", a + b, 0.5)


@maps
def plates_find_their_own_dims(s):
    with pyro.plate("a", 2):
        x = normal("x", 0.0, s)
        with pyro.plate("b", 3):
            y = normal("y", x, 0.5)
            pyro.sample("v", dist.Normal(y[..., None], 0.5).expand([3, 2, 4]).to_event(1))


@maps
def plates_have_one_row(s):
    with pyro.plate("a", 1):
        x = normal("x", 0.0, s)
        with pyro.plate("b", 1, dim=-3):
            y = pyro.sample("y", dist.Normal(x[..., None], 0.5).expand([1, 1, 1, 1]).to_event(1))
    normal("z", x[0] + y.sum())


@maps
def plates_are_far_to_the_left(s):
    with pyro.plate("a", 3, dim=-4):
        x = normal("x", 0.0, s)
        assert x.shape == (3, 1, 1, 1)
    with pyro.plate("b", 2, dim=-2):
        normal("y", x.sum(), 0.5)


@maps
def a_plate_is_a_loop(s):
    total = normal("a", 0.0, s)
    for i in pyro.plate("i", 3):
        total = total + normal(f"x{i}", 0.5 * total, 0.5)
    normal("y", total)


@maps
def a_loop_over_a_plate_reads_a_vector_from_the_left(s):
    w = vector("w", 3, s)
    for i in pyro.plate("i", 3):
        normal(f"y{i}", w[i], 0.1)


@maps
def a_plate_has_all_of_its_rows_as_a_subsample(s):
    a = vector("a", 5, s)
    with pyro.plate("row", 5, subsample=torch.arange(5)) as rows:
        normal("y", a[rows], 0.5)


@maps
def a_plate_has_some_of_its_rows_as_a_subsample(s):
    drift = pyro.sample("drift", dist.LogNormal(-1.0, 0.5 * s))
    data = torch.tensor([0.0, 1.0, 1.0])
    with pyro.plate("row", 20, subsample=torch.tensor([3, 7, 19])):
        state = normal("state", 0.0, drift)
        state = normal("next state", state, drift)
        pyro.sample("y", dist.Bernoulli(logits=state), obs=data)


@maps
def a_value_is_kept_in_a_plate(s):
    with pyro.plate("row", 3):
        a = normal("a", 0.0, s)
        pyro.deterministic("square", a**2)
    pyro.deterministic("pair", torch.stack([a.sum(), a[0]]), event_dim=1)


@maps
def sites_stand_beside_their_data(s):
    beta = vector("beta", 3, s)
    with pyro.plate("row", 4):
        pyro.sample("y", dist.Bernoulli(logits=X @ beta), obs=torch.tensor([0.0, 1.0, 1.0, 0.0]))


@maps
def some_data_are_missing(s):
    a = normal("a", 0.0, s)
    with pyro.plate("row", 4):
        seen = torch.tensor([True, False, True, True])
        y = pyro.sample("y", dist.Normal(a, 0.5), obs=torch.zeros(4), obs_mask=seen)
        normal("z", y, 0.5)


# ------------------------------------------------------------------ sequences


@maps
def a_chain_picks_its_rows(s):
    probs = pyro.sample("probs", dist.Dirichlet(s * torch.eye(2) + 0.5).to_event(1))
    locs = vector("locs", 2, s)
    x = 0
    for t in pyro.markov(range(4)):
        x = pyro.sample(f"x{t}", dist.Categorical(probs[x]))
        normal(f"y{t}", locs[x], 0.5)


@maps(masked=True)
def states_are_masked_by_length(s):
    lengths = torch.tensor([1, 3, 2])
    probs = pyro.sample("probs", dist.Dirichlet(s * torch.eye(2) + 0.5).to_event(1))
    with pyro.plate("sequence", 3):
        x = torch.zeros(3, dtype=torch.long)
        for t in pyro.markov(range(3)):
            with poutine.mask(mask=t < lengths):
                x = pyro.sample(f"x{t}", dist.Categorical(probs[x]))
                normal(f"y{t}", x.float() * s, 0.5)


@maps(scaled=True)
def sites_are_scaled(s):
    with poutine.scale(scale=0.5):
        a = normal("a", 0.0, s)
    with pyro.plate("row", 3), poutine.scale(scale=torch.tensor([1.0, 2.0, 3.0])):
        normal("y", a, s)


@maps
def a_walk_is_summed_up(s):
    drift = normal("drift", 0.0, s)
    with pyro.plate("t", 5):
        step = normal("step", drift, 0.5)
    pyro.sample("y", dist.Normal(step.cumsum(-1), 0.5).to_event(1))


@maps
def an_equation_is_stepped(s):
    rate = pyro.sample("rate", dist.LogNormal(0.0, 0.3 * s))
    state, path = torch.tensor([1.0, 0.0]), []
    for _ in range(5):
        state = state + 0.1 * torch.stack([-rate * state[0], rate * state[0] - state[1]])
        path.append(state)
    pyro.sample("y", dist.Normal(torch.stack(path), 0.1).to_event(2))


# ------------------------------------------------------------------ linear algebra


@maps
def a_kernel_is_factorized(s):
    length = pyro.sample("length", dist.LogNormal(0.0, 0.3 * s))
    x = X[:, 0]
    kernel = torch.exp(-0.5 * ((x[:, None] - x) / length) ** 2) + 0.1 * torch.eye(4)
    factor = torch.linalg.cholesky(kernel)
    z = vector("z", 4, s)
    pyro.sample("y", dist.Normal(factor @ z, 0.5).to_event(1))
    pyro.sample("f", dist.MultivariateNormal(torch.zeros(4), scale_tril=factor))


@maps
def all_data_have_one_covariance(s):
    sd = pyro.sample("sd", dist.LogNormal(0.0, 0.3 * s))
    rho = pyro.sample("rho", dist.Beta(2.0, 2.0))
    covariance = sd**2 * (torch.eye(3) * (1 - rho) + rho)
    pyro.sample("y", dist.MultivariateNormal(torch.zeros(3), covariance_matrix=covariance))


@maps
def a_matrix_is_inverted(s):
    a = pyro.sample("a", dist.Normal(0.0, 0.2 * s).expand([3, 3]).to_event(2))
    precision = torch.eye(3) + a @ a.T
    mean = torch.inverse(precision) @ torch.ones(3) + torch.linalg.solve(precision, X[0])
    scale = torch.logdet(precision).exp().clamp(max=3.0)
    pyro.sample("y", dist.MultivariateNormal(mean, precision_matrix=precision))
    normal("z", torch.trace(precision), scale)


@maps
def a_correlation_is_drawn(s):
    corr = pyro.sample("corr", dist.LKJCholesky(2, 2.0 * s))
    sd = pyro.sample("sd", dist.LogNormal(torch.zeros(2), 0.3).to_event(1))
    with pyro.plate("row", 3):
        pyro.sample("y", dist.MultivariateNormal(torch.zeros(2), scale_tril=torch.diag(sd) @ corr))


@maps
def a_factor_model_has_low_rank(s):
    w = pyro.sample("w", dist.Normal(0.0, s).expand([4, 2]).to_event(2))
    pyro.sample("y", dist.LowRankMultivariateNormal(torch.zeros(4), w, torch.ones(4)))


# ------------------------------------------------------------------ distributions


@maps
def a_mixture_is_summed_out(s):
    weights = pyro.sample("weights", dist.Dirichlet(torch.ones(2) * s))
    locs = vector("locs", 2, s)
    with pyro.plate("row", 3):
        parts = dist.Normal(locs, 0.5)
        pyro.sample("y", dist.MixtureSameFamily(dist.Categorical(weights), parts))


@maps
def one_of_three_is_hot(s):
    logits = vector("logits", 3, s)
    hot = pyro.sample("hot", dist.OneHotCategorical(logits=logits))
    counts = pyro.sample("counts", dist.Multinomial(5, logits=logits))
    normal("y", (hot * logits).sum() + 0.1 * counts[0])


@maps
def counts_have_drawn_rates(s):
    rate = pyro.sample("rate", dist.Gamma(2.0 * s, 1.0))
    p = pyro.sample("p", dist.Beta(1.5 * s, 2.0))
    k = pyro.sample("k", dist.Poisson(rate))
    with pyro.plate("row", 3):
        pyro.sample("binomial", dist.Binomial(total_count=4, probs=p))
        pyro.sample("negative", dist.NegativeBinomial(2.0, probs=0.5 * p))
        pyro.sample("inflated", dist.ZeroInflatedPoisson(rate, gate=p))
    normal("y", k)


@maps
def sticks_are_broken(s):
    with pyro.plate("stick", 3):
        v = pyro.sample("v", dist.Beta(1.0, s))
    left = (1 - v).cumprod(-1)
    weights = functional.pad(v, (0, 1), value=1.0) * functional.pad(left, (1, 0), value=1.0)
    pyro.sample("z", dist.Categorical(weights))


@maps
def a_draw_is_transformed(s):
    loc = normal("loc", 0.0, s)
    transforms = [dist.transforms.AffineTransform(loc, 0.5), dist.transforms.ExpTransform()]
    pyro.sample("x", dist.TransformedDistribution(dist.Normal(0.0, 1.0), transforms))
    pyro.sample("t", dist.StudentT(4.0, loc, s))
    pyro.sample("u", dist.Uniform(loc - s, loc + s))


# ------------------------------------------------------------------ Pyro's own


@maps
def a_parameter_is_met_in_the_program(s):
    shift = pyro.param("shift", torch.tensor([0.5, -0.5]))
    sd = pyro.param("sd", lambda: torch.tensor(0.8), constraint=constraints.positive)
    a = vector("a", 2, s)
    pyro.sample("y", dist.Normal(a + shift, sd).to_event(1))


@maps
def locations_are_decentered(s):
    def inner():
        mu = normal("mu", 0.0, s)
        tau = pyro.sample("tau", dist.HalfNormal(s))
        with pyro.plate("school", 3):
            theta = normal("theta", mu, tau + 0.1)
            normal("y", theta)

    poutine.reparam(inner, config={"theta": LocScaleReparam(0.0)})()


@maps
def the_base_of_a_transform_is_drawn(s):
    def inner():
        mu = normal("mu", 0.0, s)
        base, affine = dist.Normal(0.0, 1.0), dist.transforms.AffineTransform(mu, 0.5)
        x = pyro.sample("x", dist.TransformedDistribution(base, [affine]))
        normal("y", x)

    poutine.reparam(inner, config={"x": TransformReparam()})()


@maps
def a_handler_puts_data_in(s):
    def inner():
        a = normal("a", 0.0, s)
        with pyro.plate("row", 3):
            normal("y", a, s)

    poutine.condition(inner, data={"y": torch.zeros(3)})()


@maps(random=True)
def random_numbers_stand_in_no_site(s):
    a = normal("a", 0.0, s)
    noise = 0.5 * torch.randn(3) + torch.rand_like(a)
    pyro.deterministic("noisy", a + noise)


@maps(random=True)
def a_sampler_stands_in_no_site(s):
    a = normal("a", 0.0, s)
    pyro.deterministic("noisy", dist.Normal(a, 0.5).sample((3,)) + torch.normal(a, 1.0))


# ------------------------------------------------------------------ one particle at a time


@one_at_a_time
def a_value_is_branched_on(s):
    z = pyro.sample("z", dist.Bernoulli(0.4))
    a = normal("a", 0.0, s)
    normal("y", a if z else -2.0 * a.abs())


@one_at_a_time
def a_loop_ends_by_a_value(s):
    a = normal("a", 0.0, s)
    x, steps = a.abs() + 0.1, 0
    while x < 2.0:
        x, steps = 2.0 * x, steps + 1
    normal("y", 0.5 * steps)


@one_at_a_time
def a_count_is_looped_over(s):
    k = pyro.sample("k", dist.Poisson(2.0 * s))
    total = normal("a")
    for i in range(int(k)):
        total = 0.5 * total + i
    normal("y", total)


@one_at_a_time
def a_value_becomes_a_number(s):
    a = normal("a", 0.0, s)
    normal("y", float(a) + a.item())


@one_at_a_time
def a_value_is_given_to_math(s):
    a = pyro.sample("a", dist.LogNormal(0.0, s))
    normal("y", math.log(a))


@one_at_a_time
def a_value_is_given_to_numpy(s):
    a = vector("a", 3, s)
    mean = torch.from_numpy(np.sin(a.numpy()))
    pyro.sample("y", dist.Normal(mean, 0.5).to_event(1))


@one_at_a_time
def a_value_is_given_to_scipy(s):
    a = vector("a", 3, s)
    mean = torch.as_tensor(scipy.special.expit(np.asarray(a)))
    pyro.sample("y", dist.Normal(mean, 0.5).to_event(1))


@one_at_a_time
def the_larger_is_found_by_python(s):
    a, b = normal("a", 0.0, s), normal("b")
    normal("y", max(a, b))


@one_at_a_time
def values_become_a_list(s):
    a = vector("a", 3, s)
    normal("y", sorted(a.tolist())[0])


@one_at_a_time
def values_are_looked_up_in_a_dict(s):
    z = pyro.sample("z", dist.Categorical(torch.ones(3) / 3))
    normal("y", {0: -1.0, 1: 0.0, 2: 2.0}[int(z)], s)


@one_at_a_time
def as_many_are_read_as_there_are(s):
    a = vector("a", 4, s)
    normal("y", a[a > 0].sum())


@one_at_a_time(random=True)
def numpy_draws_at_random(s):
    a = normal("a", 0.0, s)
    pyro.deterministic("noisy", a + np.random.normal())


@one_at_a_time(random=True)
def python_draws_at_random(s):
    a = normal("a", 0.0, s)
    pyro.deterministic("noisy", a + random.random())


@one_at_a_time(random=True)
def a_step_is_taken_where_it_is_accepted(s):
    x = normal("x", 0.0, s)
    proposed = normal("proposed", x)
    if torch.rand(()) < 0.5:
        x = proposed
    pyro.deterministic("kept", x)
