"""Properties that hold for any program, any weights and any axes, tried on random ones."""

import contextlib
import math
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pyro import poutine
from schema import check_container

from arviz_resampler import ProgramError, ProgramWarning, Resampler, WeightError, Weights, WeightWarning
from arviz_resampler.programs.axes import describe_axes, match_axes
from arviz_resampler.programs.program import Program
from arviz_resampler.programs.source import write_source
from arviz_resampler.programs.source_parts import Unwritable
from arviz_resampler.sites import name_axes

quick = settings(
    derandomize=True,
    deadline=None,
    max_examples=40,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

# ---------------------------------------------------------------- random programs

# Scalar distributions, from a location of any batch shape and a spread; discrete ones too.
SCALARS: dict[str, Callable] = {
    "Normal": lambda t, s: dist.Normal(t, s),
    "StudentT": lambda t, s: dist.StudentT(4.0, t, s),
    "Laplace": lambda t, s: dist.Laplace(t, s),
    "Gumbel": lambda t, s: dist.Gumbel(t, s),
    "LogNormal": lambda t, s: dist.LogNormal(t, 0.5 * s),
    "Gamma": lambda t, s: dist.Gamma(2.0 * s, (-t).exp()),
    "Exponential": lambda t, s: dist.Exponential((-t).exp() / s),
    "HalfNormal": lambda t, s: dist.HalfNormal(t.exp() * s),
    "Beta": lambda t, s: dist.Beta(2.0 * t.exp(), torch.tensor(3.0 / s)),
    "Uniform": lambda t, s: dist.Uniform(t - s, t + 1.0 + s),
    "VonMises": lambda t, s: dist.VonMises(t, torch.tensor(1.0 / s)),
    "Weibull": lambda t, s: dist.Weibull(t.exp() * s, 1.5),
    "Bernoulli": lambda t, s: dist.Bernoulli(logits=t / s),
    "Poisson": lambda t, s: dist.Poisson(t.exp() * s),
    "Geometric": lambda t, s: dist.Geometric(logits=t / s),
    "Binomial": lambda t, s: dist.Binomial(3, logits=t / s),
    "Categorical": lambda t, s: dist.Categorical(logits=t[..., None] * torch.tensor([1.0, 0.0, -1.0]) / s),
    "ZeroInflatedPoisson": lambda t, s: dist.ZeroInflatedPoisson(t.exp() * s, gate=torch.tensor(0.3)),
    "mixture": lambda t, s: dist.MixtureSameFamily(
        dist.Categorical(logits=0 * t[..., None] + torch.zeros(2)),
        dist.Normal(t[..., None] + torch.tensor([-1.0, 1.0]), s),
    ),
}
# Distributions of vectors of three.
VECTORS: dict[str, Callable] = {
    "MultivariateNormal": lambda t, s: dist.MultivariateNormal(
        t[..., None] + torch.zeros(3), s * (torch.eye(3) + 0.2)
    ),
    "Dirichlet": lambda t, s: dist.Dirichlet((t[..., None] + torch.zeros(3)).exp() + s),
    "Multinomial": lambda t, s: dist.Multinomial(4, logits=t[..., None] * torch.tensor([1.0, 0.0, -1.0]) / s),
    "OneHotCategorical": lambda t, s: dist.OneHotCategorical(
        logits=t[..., None] * torch.tensor([1.0, 0.0, -1.0]) / s
    ),
}


@dataclass(frozen=True)
class Plate:
    name: str
    size: int
    dim: int | None  # None: wherever Pyro puts it


@dataclass(frozen=True)
class Spec:
    """One site: its distribution, the plates around it from the outside in, and what it depends on."""

    name: str
    family: str
    plates: tuple[Plate, ...]
    event: tuple[int, ...]  # by to_event
    parent: str | None

    @property
    def own_event(self) -> tuple[int, ...]:
        return (3,) if self.family in VECTORS else ()

    @property
    def places(self) -> dict[int, int]:
        """The size of each plate by its dim. The plates that Pyro places stand from right to left."""
        return {p.dim if p.dim is not None else -1 - i: p.size for i, p in enumerate(self.plates)}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that a draw should have: plates from left to right, then the event."""
        return (*(self.places[dim] for dim in sorted(self.places)), *self.event, *self.own_event)

    @property
    def padded(self) -> tuple[int, ...]:
        """The shape of a value within the program."""
        deepest = min(self.places, default=0)
        return (*(self.places.get(dim, 1) for dim in range(deepest, 0)), *self.event, *self.own_event)


@dataclass(frozen=True)
class Structure:
    plates: tuple[Plate, ...]
    sites: tuple[Spec, ...]
    deterministic: bool
    observed: Spec | None

    def program(self, spread: float = 1.5, *, data: bool = True, only: int | None = None) -> Callable:
        """The program; with a ``spread`` of its distributions, with or without ``obs=``."""

        def run() -> None:
            values: dict[str, tuple[torch.Tensor, Spec]] = {}
            made = {p: pyro.plate(p.name, p.size, dim=p.dim) for p in self.plates}
            for spec in self.sites[:only]:
                values[spec.name] = _draw(spec, made, values, spread, None), spec
            if self.deterministic and only is None:
                value, spec = values[self.sites[-1].name]
                rank = len(spec.event) + len(spec.own_event)
                with _inside(spec, made):
                    pyro.deterministic("computed", value.float() ** 2, event_dim=rank)
            if self.observed is not None and only is None:
                zeros = torch.zeros(self.observed.padded) if data else None
                _draw(self.observed, made, values, spread, zeros)

        return run


@contextlib.contextmanager
def _inside(spec: Spec, made: dict) -> Iterator[None]:
    """Within the plates of a site."""
    with contextlib.ExitStack() as stack:
        for plate in spec.plates:
            stack.enter_context(made[plate])
        yield


def _draw(spec: Spec, made: dict, values: dict, spread: float, data: torch.Tensor | None) -> torch.Tensor:
    location = torch.zeros(())
    if spec.parent is not None:
        value, parent = values[spec.parent]
        rank = len(parent.event) + len(parent.own_event)
        value = value.float()
        location = torch.tanh(value.mean(tuple(range(-rank, 0))) if rank else value)
    for _ in spec.event:
        location = location[..., None]
    location = location + torch.zeros(spec.event)
    with _inside(spec, made):
        fn = (VECTORS if spec.family in VECTORS else SCALARS)[spec.family](location, spread)
        return pyro.sample(spec.name, fn.to_event(len(spec.event)), obs=data)


sizes = st.sampled_from([1, 2, 3, 5])


@st.composite
def structures(draw: st.DrawFn, observed: bool = False) -> Structure:
    explicit = draw(st.booleans())
    dims = draw(st.permutations([-1, -2, -3])) if explicit else [None, None, None]
    plates = [Plate(f"plate_{i}", draw(sizes), dims[i]) for i in range(draw(st.integers(0, 3)))]
    specs: list[Spec] = []

    def spec(name: str, families: list[str]) -> Spec:
        parents = [None, *specs]
        parent = draw(st.sampled_from(parents))
        least = parent.plates if parent is not None else ()
        if explicit:
            around = tuple(p for p in plates if p in least or draw(st.booleans()))
        else:
            around = tuple(plates[: draw(st.integers(len(least), len(plates)))])
        event = tuple(draw(st.lists(sizes, max_size=2)))
        return Spec(name, draw(st.sampled_from(families)), around, event, parent.name if parent else None)

    families = [*SCALARS, *VECTORS]
    for i in range(draw(st.integers(1, 4))):
        specs.append(spec(f"site_{i}", families))
    seen = spec("seen", ["Normal", "Bernoulli", "Poisson"]) if observed and draw(st.booleans()) else None
    return Structure(tuple(plates), tuple(specs), draw(st.booleans()), seen)


# Numbers of particles that are also sizes of plates and events are among them.
particles = st.sampled_from([2, 3, 5, 16])


def make(structure: Structure, n: int, simulator: bool = False, **kwargs) -> Resampler:
    guide = structure.program(only=len(structure.sites))
    return Resampler(
        guide if simulator else structure.program(),
        structure.program() if simulator else None,
        num_guide_samples=n,
        random_seed=3,
        progressbar=False,
        **kwargs,
    )


class quietly(warnings.catch_warnings):  # noqa: N801
    """Without the warnings that few particles, and data in a model, bring with them."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore", WeightWarning)
        warnings.filterwarnings("ignore", "site .* carries obs= and is left out", ProgramWarning)


def sample(resampler: Resampler, model: Callable, number: int) -> dict[str, torch.Tensor] | None:
    """Draws, or None where no particle is in the support of the model."""
    try:
        with quietly():
            return resampler.sample(model, number)
    except WeightError as error:
        assert "no particle has positive weight" in str(error)  # noqa: PT017
        return None


# ---------------------------------------------------------------- programs


@quick
@given(structures(), particles)
def test_weights_are_equal_where_the_model_is_the_guide(structure, n):
    weights = make(structure, n).weigh(structure.program())
    assert set(weights.log_ratio_by_site) == {spec.name for spec in structure.sites}
    assert weights.ess == pytest.approx(n)
    # The same density twice: what rounding there is comes from another order of the same sums.
    assert np.abs(weights.log_ratio).max() < 1e-4


@quick
@given(structures(observed=True), particles, st.booleans())
def test_draws_have_the_plates_and_the_event_of_their_site(structure, n, simulator):
    assume(structure.observed is not None or not simulator)
    resampler = make(structure, n, simulator)
    drawn = sample(resampler, structure.program(only=len(structure.sites)), 7)
    expected = {spec.name: spec.shape for spec in structure.sites}
    if structure.observed is not None:
        expected["seen"] = structure.observed.shape
    if structure.deterministic:
        expected["computed"] = structure.sites[-1].shape
    assert {name: tuple(value.shape) for name, value in drawn.items()} == {
        name: (7, *shape) for name, shape in expected.items()
    }
    assert {name: site.shape for name, site in resampler.sites.items()} == expected
    for spec in (*structure.sites, *([structure.observed] if structure.observed else [])):
        named = [dim for dim in resampler.sites[spec.name].dims if dim.startswith("plate_")]
        assert sorted(named) == sorted(p.name for p in spec.plates)


@quick
@given(structures(observed=True), particles, st.floats(0.7, 1.4))
def test_draws_carry_the_density_that_pyro_gives_them_one_by_one(structure, n, spread):
    # The reference knows no particles: each draw is put into a trace of its own.
    model = structure.program(spread, data=False, only=len(structure.sites))
    resampler = make(structure, n)
    drawn = sample(resampler, model, 3)
    assume(drawn is not None)
    with quietly():
        tree = resampler.sample_prior_predictive(model, 3, container="datatree")
    stats = tree["sample_stats_prior"]
    for i in range(3):
        values = {spec.name: drawn[spec.name][i] for spec in structure.sites}
        log_p = one_trace(model, values)
        log_q = one_trace(structure.program(data=False, only=len(structure.sites)), values)
        # Sums of some hundred float32 terms of size ten: 1e-6 of each.
        bound = {"rel": 1e-4, "abs": 1e-3}
        assert stats["lp"].values[0, i] == pytest.approx(log_p, **bound)
        assert stats["log_importance_ratio"].values[0, i] == pytest.approx(log_p - log_q, **bound)


@quick
@given(structures(), st.floats(0.7, 1.4))
def test_source_scores_every_particle_as_its_program_does_or_names_a_site(structure, spread):
    model = structure.program(spread)
    resampler = make(structure, 16)
    particles = resampler.pipeline.particles
    try:
        text = write_source(Program(model, "model"), particles.columns, 16)
    except Unwritable as why:
        children = [spec.name for spec in structure.sites if spec.parent is not None]
        named = re.findall("site '(.*?)' cannot be written as source: a parameter is computed", str(why))
        assert named
        assert set(named) <= set(children)
        return
    namespace = {}
    exec(text, namespace)
    wanted, found = (resampler.weigh(program).log_ratio_by_site for program in (model, namespace["prior"]))
    assert wanted.keys() == found.keys()
    for name in wanted:
        # Sums of some hundred float32 terms of size ten: 1e-6 of each.
        assert found[name] == pytest.approx(wanted[name], rel=1e-4, abs=1e-3)


def one_trace(program: Callable, values: dict[str, torch.Tensor]) -> float:
    """Log density of one set of values."""
    shapes = {name: site["value"].shape for name, site in poutine.trace(program).get_trace().nodes.items()
              if site["type"] == "sample"}  # fmt: skip
    data = {name: value.reshape(shapes[name]) for name, value in values.items()}
    trace = poutine.trace(poutine.condition(program, data)).get_trace()
    trace.compute_log_prob()
    return sum(trace.nodes[name]["log_prob"].double().sum().item() for name in values)


@quick
@given(structures(), particles, st.randoms(use_true_random=False))
def test_the_order_of_sites_that_do_not_depend_on_each_other_changes_nothing(structure, n, random):
    # Children after their parents, else in any order.
    left, order = list(structure.sites), []
    while left:
        ready = [s for s in left if s.parent is None or s.parent in {done.name for done in order}]
        order.append(random.choice(ready))
        left.remove(order[-1])
    shuffled = replace(structure, sites=tuple(order), deterministic=False)
    resampler = make(structure, n)
    first = resampler.weigh(structure.program(1.2, only=len(structure.sites)))
    second = resampler.weigh(shuffled.program(1.2))
    assert dict_equal(first.log_ratio_by_site, second.log_ratio_by_site)


def dict_equal(first, second) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[k], second[k]) for k in first)


@quick
@given(structures(), particles, st.floats(-50, 50))
def test_a_constant_factor_changes_no_draw(structure, n, constant):
    plain = structure.program(1.2)

    def model() -> None:
        plain()
        pyro.factor("constant", torch.tensor(constant))

    resampler = make(structure, n)
    first, second = sample(resampler, plain, 20), sample(resampler, model, 20)
    assert (first is None) == (second is None)
    if first is not None:
        assert all(torch.equal(first[name], second[name]) for name in first)


@quick
@given(st.sampled_from([2, 3, 5, 1500]), st.booleans())
def test_a_factor_that_is_the_same_for_all_changes_no_weight_whatever_its_shape(n, plated):
    def guide() -> None:
        pyro.sample("x", dist.Normal(0.0, 1.0))

    def model() -> None:
        guide()
        with pyro.plate("item", n) if plated else contextlib.nullcontext():
            pyro.factor("constant", torch.arange(float(n)) + 1)

    resampler = Resampler(guide, num_guide_samples=n, random_seed=0)
    assert resampler.weigh(model).ess == pytest.approx(n)


def test_a_model_cannot_change_the_particles():
    def guide() -> None:
        pyro.sample("x", dist.Normal(0.0, 1.0))

    def careless() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        x += 100.0

    resampler = Resampler(guide, num_guide_samples=2000, random_seed=0)
    before = resampler.sample(guide, 5)
    with contextlib.suppress(ProgramError):
        resampler.weigh(careless)
    after = resampler.sample(guide, 5)
    assert torch.equal(before["x"], after["x"])


def mean_of_all() -> None:
    a = pyro.sample("a", dist.Normal(0.0, 3.0).expand([4]).to_event(1))
    pyro.sample("x", dist.Normal(a.mean(), 0.1))


def first_of_all() -> None:
    a = pyro.sample("a", dist.Normal(0.0, 3.0).expand([4]).to_event(1))
    pyro.sample("x", dist.Normal(a[0], 0.1))


def last_of_all() -> None:
    a = pyro.sample("a", dist.Normal(0.0, 3.0).expand([4]).to_event(1))
    pyro.sample("x", dist.Normal(a.sort(0).values[-1], 0.1))


OF_ONE_DRAW = {
    mean_of_all: lambda a: a.mean(-1),
    first_of_all: lambda a: a[:, 0],
    last_of_all: lambda a: a.max(-1).values,
}


@pytest.mark.parametrize("n", [1, 4, 2000])
@pytest.mark.parametrize("program", OF_ONE_DRAW)
def test_a_program_that_reduces_a_draw_reduces_each_particle_by_itself(program, n):
    resampler = Resampler(program, num_guide_samples=n, random_seed=0)
    a, x = (resampler.pipeline.particles.columns[name].value for name in "ax")
    assert (x - OF_ONE_DRAW[program](a)).abs().max() < 0.1 * 6
    scored = resampler.pipeline.score(program).scored["x"]
    expected = dist.Normal(OF_ONE_DRAW[program](a), 0.1).log_prob(x)
    # Squares of up to 6 in float32, of means that are rounded differently: 1e-4.
    torch.testing.assert_close(scored, expected, rtol=1e-4, atol=1e-4)


@quick
@given(structures(), particles)
def test_the_first_draws_are_those_asked_for_alone(structure, n):
    resampler = make(structure, n)
    model = structure.program(1.2)
    many, few = sample(resampler, model, 300), sample(resampler, model, 11)
    assert (many is None) == (few is None)
    if few is not None:
        assert all(torch.equal(many[name][:11], few[name]) for name in few)


@quick
@given(structures(observed=True), particles, st.booleans())
def test_the_container_has_each_site_with_its_axes(structure, n, simulator):
    assume(structure.observed is not None or not simulator)
    resampler = make(structure, n, simulator)
    model = structure.program(only=len(structure.sites))
    with quietly():
        container = resampler.sample_prior_predictive(model, 6)
    groups = check_container(container)
    latent = {spec.name: spec.shape for spec in structure.sites}
    if structure.deterministic:
        latent["computed"] = structure.sites[-1].shape
    assert {name: v.shape for name, v in groups["prior"].data_vars.items()} == {
        name: (1, 6, *shape) for name, shape in latent.items()
    }
    if structure.observed is not None:
        assert groups["prior_predictive"]["seen"].shape == (1, 6, *structure.observed.shape)
        assert groups["observed_data"]["seen"].shape == structure.observed.shape
        assert (groups["observed_data"]["seen"].values == 0).all()


@quick
@given(structures(observed=True), st.sampled_from([4, 6]), st.sampled_from([1, 2, 3]))
def test_batches_have_the_same_structure_as_one(structure, n, size):
    whole, parts = make(structure, n), make(structure, n, batch_size=size)
    assert whole.sites == parts.sites
    assert parts.weigh(structure.program(only=len(structure.sites))).ess == pytest.approx(n)


@quick
@given(st.lists(sizes, min_size=1, max_size=4), st.data(), particles)
def test_axes_may_be_plates_in_one_program_and_events_in_the_other(shape, data, n):
    first, second = (data.draw(st.integers(0, len(shape))) for _ in range(2))
    # In the model the plates may also stand on other dims than in the guide, apart from each other.
    both = min(first, second)
    free = data.draw(st.permutations([-1, -2, -3, -4, -5]))[:second] if both == second else range(-second, 0)
    location = torch.arange(math.prod(shape)).reshape(shape) / math.prod(shape)

    def program(count: int, dims, loc: torch.Tensor, scale: float) -> Callable:
        def run() -> None:
            order = sorted(range(count), key=lambda i: dims[i])
            here = loc.permute(*order, *range(count, len(shape)))
            padded = [1] * -min(dims, default=0)
            for i in range(count):
                padded[dims[i]] = shape[i]
            plates = [pyro.plate(f"plate_{i}", shape[i], dim=dims[i]) for i in range(count)]
            with contextlib.ExitStack() as stack:
                for plate in plates:
                    stack.enter_context(plate)
                fn = dist.Normal(here.reshape(*padded, *shape[count:]), scale)
                pyro.sample("x", fn.to_event(len(shape) - count))

        return run

    guide = program(first, range(-first, 0), torch.zeros(shape), 2.0)
    model = program(second, list(free), location, 1.5)
    resampler = Resampler(guide, num_guide_samples=n, random_seed=0)
    with quietly():
        tree = resampler.sample_prior_predictive(model, 5, container="datatree")
    x = torch.as_tensor(tree["prior"]["x"].values[0])
    expected = dist.Normal(location, 1.5).log_prob(x) - dist.Normal(torch.zeros(shape), 2.0).log_prob(x)
    found = tree["sample_stats_prior"]["log_importance_ratio"].values[0]
    # Up to 625 differences of float32 numbers of size two: 1e-7 of each.
    np.testing.assert_allclose(found, expected.sum(tuple(range(1, x.dim()))), atol=1e-3)


# ---------------------------------------------------------------- weights

ratios = st.lists(
    st.one_of(st.floats(-700, 700), st.just(-math.inf)), min_size=1, max_size=40
).filter(lambda values: max(values) > -math.inf)  # fmt: skip


@quick
@given(ratios)
def test_weights_sum_to_one_and_the_effective_size_is_between_one_and_their_number(values):
    weights = Weights({"x": np.array(values)})
    assert weights.normalized.sum() == pytest.approx(1.0)
    assert (weights.normalized >= 0).all()
    slack = 1e-9 * len(values)
    for size in (weights.ess, weights.ess_entropy):
        assert 1 - slack <= size <= weights.num_supported + slack
    assert weights.ess <= weights.ess_entropy + slack
    assert 1 / weights.num_supported - slack <= weights.max_weight <= 1 + slack
    assert weights.normalized.max() == pytest.approx(weights.max_weight)
    assert 0 < weights.expected_distinct(10) <= min(10, weights.num_supported) + slack


@quick
@given(ratios, st.floats(-500, 500))
def test_a_constant_in_the_log_ratios_changes_no_weight(values, constant):
    first = Weights({"x": np.array(values)})
    second = Weights({"x": np.array(values), "constant": np.full(len(values), constant)})
    # A sum of size 1200 in float64 is rounded by 1e-13.
    np.testing.assert_allclose(second.normalized, first.normalized, rtol=1e-11, atol=1e-300)
    assert second.ess == pytest.approx(first.ess)
    assert second.log_mean_weight == pytest.approx(first.log_mean_weight + constant, abs=1e-9)
    assert second.num_supported == first.num_supported


@quick
@given(ratios, st.integers(1, 4), st.randoms(use_true_random=False))
def test_sites_and_particles_may_stand_in_any_order(values, parts, random):
    array = np.array(values)
    shares = {f"site_{i}": array / parts for i in range(parts)}
    order = random.sample(range(len(values)), len(values))
    first = Weights(shares)
    second = Weights({name: shares[name][order] for name in random.sample(sorted(shares), parts)})
    np.testing.assert_allclose(second.normalized, first.normalized[order], rtol=1e-9)
    assert second.ess == pytest.approx(first.ess)
    assert second.pareto_k == pytest.approx(first.pareto_k, nan_ok=True, rel=1e-6, abs=1e-6)


@quick
@pytest.mark.filterwarnings("ignore:.*reliable")
@given(ratios, st.data())
def test_means_and_quantiles_stay_within_the_values_and_quantiles_do_not_fall(values, data):
    weights = Weights({"x": np.array(values)})
    number = st.floats(-1e6, 1e6)
    x = np.array(data.draw(st.lists(number, min_size=len(values), max_size=len(values))))
    levels = sorted(data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=5)))
    supported = x[weights.normalized > 0]
    low, high = supported.min(), supported.max()
    slack = 1e-9 * (1 + np.abs(supported).max())
    assert low - slack <= weights.mean(x) <= high + slack
    assert not weights.mcse(x) > (high - low) + slack
    assert 0 <= weights.n_effective(x) <= len(values) * (1 + 1e-9)
    quantiles = weights.quantile(x, levels)
    assert (np.diff(quantiles) >= 0).all()
    assert np.isin(quantiles, supported).all()


@quick
@pytest.mark.filterwarnings("ignore:.*reliable")
@given(st.integers(1, 60), st.data())
def test_equal_weights_give_the_plain_mean_and_quantiles(n, data):
    x = np.array(data.draw(st.lists(st.floats(-1e3, 1e3), min_size=n, max_size=n)))
    weights = Weights({"x": np.zeros(n)})
    assert weights.ess == pytest.approx(n)
    assert weights.mean(x) == pytest.approx(x.mean(), abs=1e-9)
    assert weights.quantile(x, 0.0) == x.min()
    assert weights.quantile(x, 1.0) == x.max()
    assert weights.log_mean_weight == pytest.approx(0.0, abs=1e-12)


# ---------------------------------------------------------------- axes

axes = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", None]), sizes), max_size=4).filter(
    lambda items: len({n for n, _ in items if n}) == len([n for n, _ in items if n])
)


def stored(items):
    return name_axes("x", [name for name, _ in items]), tuple(size for _, size in items)


@quick
@given(axes)
def test_axes_match_themselves_in_their_order(items):
    dims, shape = stored(items)
    order = match_axes(dims, shape, items)
    wide = [i for i, size in enumerate(shape) if size != 1]
    assert order is not None
    assert list(order[: len(wide)]) == wide
    assert sorted(order) == list(range(len(shape)))


@quick
@given(axes, axes)
def test_a_match_is_a_permutation_that_fills_what_is_wanted(items, wanted):
    dims, shape = stored(items)
    order = match_axes(dims, shape, wanted)
    if sorted(s for s in shape if s != 1) != sorted(s for _, s in wanted if s != 1):
        assert order is None
    if order is None:
        return
    assert sorted(order) == list(range(len(shape)))
    array = np.arange(math.prod(shape)).reshape(shape)
    placed = array.transpose(order).reshape([size for _, size in wanted])
    assert placed.size == array.size
    wide = [(name, size) for name, size in wanted if size != 1]
    for i, (name, size) in zip(order, wide, strict=False):
        assert shape[i] == size
        if name in dims and shape[dims.index(name)] != 1:
            assert dims[i] == name, "plates of the same name go together"


@quick
@given(axes, st.randoms(use_true_random=False))
def test_named_axes_are_found_in_any_order(items, random):
    items = [(name or f"own_{i}", size) for i, (name, size) in enumerate(items)]
    dims, shape = stored(items)
    wanted = random.sample(items, len(items))
    order = match_axes(dims, shape, wanted)
    assert order is not None
    wide = [name for name, size in wanted if size != 1]
    assert [dims[i] for i in order[: len(wide)]] == wide


@quick
@given(axes, st.lists(st.integers(0, 4), max_size=3))
def test_axes_of_one_may_stand_anywhere(items, places):
    dims, shape = stored(items)
    wanted = list(items)
    for place in places:
        wanted.insert(min(place, len(wanted)), (None, 1))
    assert match_axes(dims, shape, wanted) is not None


@quick
@given(axes)
def test_axes_are_described_by_name_or_size(items):
    text = describe_axes([name for name, _ in items], [size for _, size in items])
    assert text.startswith("(")
    assert text.endswith(")")
    assert all(f"{name}={size}" in text for name, size in items if name)
