"""Programs as they are written, an idiom each: what is drawn and scored is what plain Pyro has."""

import contextlib
import functools
import warnings
from collections.abc import Iterator, Mapping

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from idioms import GUIDE, IDIOMS, MODEL, Idiom
from pyro import poutine
from pyro.infer.autoguide import (
    AutoDiagonalNormal,
    AutoLowRankMultivariateNormal,
    AutoMultivariateNormal,
    AutoNormal,
)
from reference import draw_one_by_one, run_one, score_one

from arviz_resampler import ProgramError, ProgramWarning, Resampler, Weights
from arviz_resampler.programs.columns import CachedSite

each_idiom = pytest.mark.parametrize("idiom", IDIOMS.values(), ids=IDIOMS)
MAPPED, SINGLE, PLAIN = 2000, 400, 300  # draws of a program that maps, of one that does not, of plain Pyro
FEW = 3  # particles; many sites have axes of this size, which must not be mistaken for particles


@contextlib.contextmanager
def expected_warnings(idiom: Idiom, *, drawn: bool = True) -> Iterator[None]:
    """A program says so if it cannot be mapped, when it is drawn from; nothing unexpected is said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    texts = [f"{warning.category.__name__}: {warning.message}" for warning in said]
    single = [text for text in texts if "runs one particle at a time" in text]
    assert all(text.startswith("ProgramWarning: the ") for text in single)
    assert bool(single) == (not idiom.mapped) or (not drawn and not idiom.mapped)
    expected = ["carries obs= and is left out"] + ["random numbers outside its sites"] * idiom.random
    other = [text for text in texts if not any(part in text for part in expected)]
    assert other == single


@functools.cache
def resampler_of(idiom: Idiom, n: int) -> Resampler:
    with expected_warnings(idiom):
        return Resampler(idiom.program(), num_guide_samples=n, random_seed=1, progressbar=False)


def weigh(resampler: Resampler, idiom: Idiom, scale: float) -> Weights:
    with expected_warnings(idiom, drawn=False):
        return resampler.weigh(idiom.program(scale))


def columns(resampler: Resampler) -> Mapping[str, CachedSite]:
    return resampler.pipeline.particles.columns


# ------------------------------------------------------------------ draws


def features(draws: dict[str, torch.Tensor]) -> torch.Tensor:
    """Bounded features of draws: a constant and the first elements of each site."""
    n = len(next(iter(draws.values())))
    parts = [torch.tanh(draws[name].reshape(n, -1)[:, :8].double()) for name in sorted(draws)]
    return torch.cat([torch.ones(n, 1, dtype=torch.float64), *parts], dim=1)


def moments(draws: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Means of the products of every two features, and the variances of these products.

    With the constant and the squares, they hold means, variances and dependence.
    """
    f = features(draws)
    mean, square = f.T @ f / len(f), (f**2).T @ f**2 / len(f)
    return mean, square - mean**2


@each_idiom
def test_draws_have_the_law_of_plain_pyro(idiom):
    n = MAPPED if idiom.mapped else SINGLE
    found = {name: column.value for name, column in columns(resampler_of(idiom, n)).items()}
    assert_same_law(found, draw_one_by_one(idiom.program(), PLAIN, seed=2))


def assert_same_law(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in found.items():
        wide = [size for size in expected[name].shape[1:] if size != 1]
        assert [size for size in value.shape[1:] if size != 1] == wide
        assert value.dtype == expected[name].dtype
    (first, first_variance), (second, second_variance) = moments(found), moments(expected)
    n, m = (len(next(iter(draws.values()))) for draws in (found, expected))
    # A difference of two means of products within [-1, 1] has the variance v (1 / n + 1 / m). The v is that
    # of both samples together, so that an event that one of them lacks does not make it zero; 1e-5 is for
    # products that are constant but for rounding.
    within = (n * first_variance + m * second_variance) / (n + m)
    variance = within + n * m / (n + m) ** 2 * (first - second) ** 2
    bound = 5 * torch.sqrt(variance.clamp(min=0) * (1 / n + 1 / m)) + 1e-5
    assert ((first - second).abs() <= bound).all()


@each_idiom
def test_no_two_particles_share_a_draw(idiom):
    n = MAPPED if idiom.mapped else SINGLE
    for column in columns(resampler_of(idiom, n)).values():
        if column.continuous:
            # Two of 2,000 float32 numbers may be equal: there are about 2^23 of them near one.
            assert len(column.value.unique(dim=0)) >= n - 3


@each_idiom
def test_what_is_computed_belongs_to_the_values_of_its_particle(idiom):
    if idiom.random:
        pytest.skip("what is computed holds random numbers of its own")
    found = columns(resampler_of(idiom, FEW))
    for i in range(FEW):
        values = {name: column.value[i] for name, column in found.items()}
        for name, value in run_one(idiom.program(), values).deterministic.items():
            torch.testing.assert_close(values[name].reshape(value.shape), value, rtol=1e-5, atol=1e-5)


@each_idiom
def test_a_seed_fixes_every_bit(idiom):
    first = columns(resampler_of(idiom, FEW))
    with expected_warnings(idiom):
        again = Resampler(idiom.program(), num_guide_samples=FEW, random_seed=1, progressbar=False)
        other = Resampler(idiom.program(), num_guide_samples=FEW, random_seed=2, progressbar=False)
    for name, column in first.items():
        assert torch.equal(column.value, columns(again)[name].value)
        if column.continuous:
            assert not torch.equal(column.value, columns(other)[name].value)


@each_idiom
def test_the_first_particles_do_not_depend_on_how_many_there_are(idiom):
    few = columns(resampler_of(idiom, FEW))
    many = columns(resampler_of(idiom, MAPPED if idiom.mapped else SINGLE))
    for name, column in few.items():
        # The random numbers are the same; a matrix product of more rows may be rounded in another way.
        torch.testing.assert_close(column.value, many[name].value[:FEW], rtol=1e-5, atol=1e-5)


@each_idiom
def test_a_simulator_keeps_what_the_guide_has_drawn(idiom):
    alone = columns(resampler_of(idiom, FEW))
    with expected_warnings(idiom):
        both = Resampler(
            idiom.program(), idiom.program(), num_guide_samples=FEW, random_seed=1, progressbar=False
        )  # fmt: skip
    for name, column in columns(both).items():
        if column.reason != "deterministic":
            assert torch.equal(column.value, alone[name].value)


@pytest.mark.parametrize(
    "kind", [AutoNormal, AutoDiagonalNormal, AutoMultivariateNormal, AutoLowRankMultivariateNormal]
)
def test_an_automatic_guide_is_drawn_and_scored_as_pyro_does(kind):
    def model() -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        tau = pyro.sample("tau", dist.LogNormal(mu, 0.5))
        pyro.sample("probs", dist.Dirichlet(torch.ones(3)))
        with pyro.plate("group", 3):
            z = pyro.sample("z", dist.Normal(mu, tau))
            pyro.sample("y", dist.Normal(z, 1.0), obs=torch.zeros(3))

    guide = kind(model, init_scale=0.5)
    guide()
    resampler = Resampler(guide, num_guide_samples=MAPPED, random_seed=1, progressbar=False, vectorize=True)
    found = columns(resampler)
    expected = draw_one_by_one(guide, PLAIN, seed=2)
    assert_same_law({name: found[name].value for name in expected}, expected)
    with pytest.warns(ProgramWarning, match="'y' of the model carries obs="):
        log_ratio = resampler.weigh(model).log_ratio
    for i in range(FEW):
        values = {name: column.value[i] for name, column in found.items()}
        drawn = {name: values[name] for name, c in found.items() if c.site.role == "auxiliary"}
        log_q = sum(score_one(guide, drawn).values())
        log_p = score_one(model, values)
        # Sums of some ten float32 terms of size ten: 1e-6 of each.
        assert log_ratio[i] == pytest.approx(sum(log_p[n] for n in values if n in log_p) - log_q, abs=1e-4)


# ------------------------------------------------------------------ densities


@each_idiom
def test_a_program_weighs_nothing_against_itself(idiom):
    if idiom.scaled:
        pytest.skip("what is scaled is not what is drawn")
    weights = weigh(resampler_of(idiom, FEW), idiom, GUIDE)
    np.testing.assert_allclose(weights.log_ratio, 0.0, atol=1e-5)


@each_idiom
def test_densities_are_those_of_a_trace_of_one_particle(idiom):
    resampler, model = resampler_of(idiom, FEW), idiom.program(MODEL)
    found = weigh(resampler, idiom, MODEL).log_ratio_by_site
    assert found
    for i in range(FEW):
        values = {name: column.value[i] for name, column in columns(resampler).items()}
        # A mask around a site that is drawn says which data there are: it changes no weight.
        above = score_one(model, values, masks=not idiom.masked)
        below = score_one(idiom.program(), values, scales=False, masks=False)
        for name, log_ratio in found.items():
            # Sums of some ten float32 terms of size ten: 1e-6 of each.
            assert log_ratio[i] == pytest.approx(above[name] - below[name], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("drawn", [False, True])
def test_a_mask_that_differs_between_particles_leaves_out_their_own_elements(drawn):
    data = torch.tensor([True, False, True])

    def guide() -> None:
        pyro.sample("a", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        with pyro.plate("row", 3):
            pyro.sample("x", dist.Normal(0.0, 1.0))

    def model() -> None:
        a = pyro.sample("a", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
        with pyro.plate("row", 3), poutine.mask(mask=a > 0 if drawn else data):
            pyro.sample("x", dist.Normal(a, 1.0))

    resampler = Resampler(guide, num_guide_samples=FEW, random_seed=1, progressbar=False)
    found = resampler.weigh(model).log_ratio_by_site
    for i in range(FEW):
        values = {name: column.value[i] for name, column in columns(resampler).items()}
        expected = score_one(model, values)["x"] - score_one(guide, values)["x"]
        assert found["x"][i] == pytest.approx(expected, abs=1e-5)


# ------------------------------------------------------------------ ways


@each_idiom
@pytest.mark.filterwarnings("ignore:the guide draws random numbers outside its sites")
def test_what_cannot_be_mapped_is_refused_where_nothing_else_is_allowed(idiom):
    options = {"num_guide_samples": FEW, "random_seed": 1, "progressbar": False}
    if idiom.mapped:
        with expected_warnings(idiom):
            Resampler(idiom.program(), vectorize=True, **options)
        return
    with pytest.raises(ProgramError, match="the guide cannot be mapped over particles"):
        Resampler(idiom.program(), vectorize=True, **options)


@each_idiom
def test_scores_do_not_depend_on_the_way(idiom):
    resampler = resampler_of(idiom, FEW)
    mapped = weigh(resampler, idiom, MODEL).log_ratio_by_site
    before, resampler.pipeline.vectorize = resampler.pipeline.vectorize, False
    try:
        single = weigh(resampler, idiom, MODEL).log_ratio_by_site
    finally:
        resampler.pipeline.vectorize = before
    assert mapped.keys() == single.keys()
    for name in mapped:
        np.testing.assert_allclose(mapped[name], single[name], rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------ memory that is shared


def _matrix() -> torch.Tensor:
    return pyro.sample("m", dist.Normal(0.0, 1.0).expand([3, 3]).to_event(2)) * 2.0


def _changed_row(x: torch.Tensor, place, a: torch.Tensor) -> None:
    row = x[place]
    row += a


def _changed_element(x: torch.Tensor, place, a: torch.Tensor) -> None:
    x[place][1] = a


def _changed_view_of_row(x: torch.Tensor, place, a: torch.Tensor) -> None:
    ends = x[place][1:]
    ends.add_(a)


def _added(x: torch.Tensor, place, a: torch.Tensor) -> None:
    x[place] += a


def _added_to_element(x: torch.Tensor, place, a: torch.Tensor) -> None:
    x[place, 1] += a


def _changed_base(x: torch.Tensor, place, a: torch.Tensor) -> None:
    row = x[place]
    x.fill_(a)
    x[0] = row + 1.0


def _changed_transpose(x: torch.Tensor, place, a: torch.Tensor) -> None:
    x.T[place] = a
    x.view(-1)[:2] = x[place, 0] + 1.0


@pytest.mark.parametrize("made", ["zeros", "drawn"])
@pytest.mark.parametrize("place", ["number", "tensor", "drawn"])
@pytest.mark.parametrize(
    "change",
    [
        _changed_row,
        _changed_element,
        _changed_view_of_row,
        _added,
        _added_to_element,
        _changed_base,
        _changed_transpose,
    ],
)
@pytest.mark.filterwarnings("ignore:the guide runs one particle at a time")
def test_a_row_that_is_looked_up_is_a_view(change, place, made):
    # Torch takes a tensor of one whole number as a number: what it looks up is the memory itself.
    def program() -> None:
        x = _matrix() if made == "drawn" else torch.zeros(3, 3)
        z = pyro.sample("z", dist.Categorical(torch.ones(3)))
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        change(x, {"number": 1, "tensor": torch.tensor(1), "drawn": z}[place], a)
        pyro.deterministic("x", x, event_dim=2)

    found = columns(Resampler(program, num_guide_samples=7, random_seed=1, progressbar=False))
    for i in range(7):
        values = {name: column.value[i] for name, column in found.items()}
        torch.testing.assert_close(values["x"], run_one(program, values).deterministic["x"])
