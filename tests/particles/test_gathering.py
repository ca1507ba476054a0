"""Batches of particles put together, of one guide or of several."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from arviz_resampler import DrawWarning, MismatchError, ProgramError, Resampler
from arviz_resampler.particles.checks import Batch, Piece
from arviz_resampler.particles.gathering import Gathered, with_roles
from arviz_resampler.programs.columns import CachedSite
from arviz_resampler.sites import Site


def column(value, name="x", *, role="latent", support=None, **more):
    value = torch.as_tensor(value, dtype=torch.float32)
    shape = tuple(value.shape[1:])
    site = Site(name, role, tuple(f"d{i}" for i in range(len(shape))), shape, 0, "float32", False)
    log_q = more.pop("log_q", torch.arange(len(value), dtype=torch.float32))
    return CachedSite(site, value, log_q, support=support, from_guide=True, **more)


def batch(start, columns, part=0, failed=None):
    n = len(next(iter(columns.values())).value)
    return Batch(columns, (Piece(part, range(start, start + n), (False, False)),), failed or {})


def test_batches_go_one_after_the_other():
    gathered = Gathered(5, 0)
    gathered.add(batch(0, {"x": column([1.0, 2.0, 3.0])}))
    gathered.add(batch(3, {"x": column([4.0, 5.0])}))
    assert gathered.columns["x"].value.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert gathered.columns["x"].log_q.tolist() == [0.0, 1.0, 2.0, 0.0, 1.0]


def test_numbers_of_particles_begin_at_the_first_of_them():
    gathered = Gathered(4, 100)
    gathered.add(batch(100, {"x": column([1.0, 2.0])}, failed={1: "no"}))
    gathered.add(batch(102, {"x": column([3.0, 4.0])}, failed={0: "neither"}))
    assert gathered.columns["x"].value.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert gathered.failed == {1: "no", 2: "neither"}


def test_a_batch_that_is_all_is_kept_without_a_copy():
    gathered, only = Gathered(3, 7), column([1.0, 2.0, 3.0])
    gathered.add(batch(7, {"x": only}))
    assert gathered.columns["x"] is only


def test_a_constant_stays_one_value_while_it_is_the_same():
    gathered, same = Gathered(4, 0), torch.full((1, 2), 3.0)
    gathered.add(batch(0, {"x": column(same.expand(2, 2), log_q=None)}))
    gathered.add(batch(2, {"x": column(same.clone().expand(2, 2), log_q=None)}))
    assert gathered.columns["x"].value.stride(0) == 0
    other = Gathered(4, 0)
    other.add(batch(0, {"x": column(same.expand(2, 2), log_q=None)}))
    other.add(batch(2, {"x": column((same + 1).expand(2, 2), log_q=None)}, 1))
    assert other.columns["x"].value.tolist() == [[3.0, 3.0]] * 2 + [[4.0, 4.0]] * 2


def test_sites_that_differ_between_batches_of_one_guide_are_refused():
    gathered = Gathered(4, 0)
    gathered.add(batch(0, {"x": column([1.0, 2.0])}))
    with pytest.raises(ProgramError, match="site 'z' is in some batches and not in others"):
        gathered.add(batch(2, {"x": column([1.0, 2.0]), "z": column([1.0, 2.0], "z")}))
    with pytest.raises(ProgramError, match=r"shape \(3,\) .* in one batch, \(\) .* in another"):
        gathered.add(batch(2, {"x": column(torch.zeros(2, 3))}))


@pytest.mark.parametrize("field", ["log_q", "log_conditional"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_density_that_a_batch_does_not_know_is_nan_there(field, order):
    known = torch.tensor([3.0, 4.0])
    gathered = Gathered(4, 0)
    for i, density in enumerate([known, None][::order]):
        gathered.add(batch(2 * i, {"x": column([1.0, 2.0], **{"log_q": None, field: density})}))
    parts = getattr(gathered.columns["x"], field).split(2)[::order]
    assert torch.equal(parts[0], known)
    assert parts[1].isnan().all()


@pytest.mark.parametrize("reasons", [("none", None, None), (None, "none", None), (None, None, "none")])
def test_a_site_without_a_density_in_one_batch_has_none(reasons):
    gathered = Gathered(6, 0)
    for i, reason in enumerate(reasons):
        more = {} if reason is None else {"log_q": None, "reason": reason}
        gathered.add(batch(2 * i, {"x": column([1.0, 2.0], **more)}))
    assert (gathered.columns["x"].log_q, gathered.columns["x"].reason) == (None, "none")


def latent():
    return pyro.sample("mu", dist.Normal(0.0, 1.0))


def sometimes_dense(turned):
    """A site with a density in some particles, at samples alone in the others."""

    def program():
        mu = latent()
        samples = dist.Empirical(torch.arange(3.0), torch.zeros(3))
        pyro.sample("y", dist.Normal(mu, 1.0) if (mu > 0) != turned else samples)

    return program


@pytest.mark.parametrize("batch_size", [1, 4, 12])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("stored", [False, True])
def test_a_density_that_some_particles_lack_has_one_outcome_in_batches_of_any_size(
    batch_size, turned, stored, tmp_path
):
    """Refused where it is needed, and no matter elsewhere."""
    program = sometimes_dense(turned)
    options = {"num_guide_samples": 12, "random_seed": 0, "vectorize": False, "progressbar": False}
    options |= {"batch_size": batch_size, "store": tmp_path / "a.zarr" if stored else None}
    cache = Resampler(latent, program, **options)
    opened = [Resampler.open(tmp_path / "a.zarr")] if stored else []
    for each in (cache, *opened):
        assert each.weigh(latent).ess == pytest.approx(12)
        with pytest.raises(MismatchError, match=r"'y' cannot be scored: .*Empirical has its mass"):
            each.weigh(program)
    options["store"] = tmp_path / "b.zarr" if stored else None
    with pytest.raises(ProgramError, match="site 'y' of the guide: Empirical has its mass at its samples"):
        Resampler(program, **options)


def test_a_simulator_without_a_density_where_the_guide_has_drawn_a_prediction_is_refused():
    def guide():
        pyro.sample("y", dist.Normal(latent(), 1.0))

    options = {"num_guide_samples": 20, "random_seed": 0, "vectorize": False}
    assert Resampler(guide, guide, predictive=["y"], **options).weigh(latent).ess > 19
    with pytest.raises(ProgramError, match="site 'y' of the simulator: Empirical has its mass"):
        Resampler(guide, sometimes_dense(False), predictive=["y"], **options)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"z": column([1.0, 2.0], "z")}, "site '[xz]' is in guide [02] and not in"),
        (
            {"x": column([1.0, 2.0]), "z": column([1.0, 2.0], "z")},
            "site 'z' is in guide 2 and not in guide 0",
        ),
        ({"x": column(torch.zeros(2, 3))}, r"'x' is float32 of shape \(\) .*guide 0, .* \(3,\) .* guide 2"),
        ({"x": column([1.0, 2.0], point_mass=True)}, "discrete in guide 0, but .* a point mass in guide 2"),
        ({"x": column([1.0, 2.0], continuous=True)}, "discrete in guide 0, but .* continuous in guide 2"),
    ],
)
def test_guides_that_do_not_draw_the_same_are_refused(other, message):
    gathered = Gathered(4, 0)
    gathered.add(batch(0, {"x": column([1.0, 2.0])}))
    with pytest.raises(MismatchError, match=message):
        gathered.add(batch(2, other, 2))


def test_a_support_that_differs_is_not_relied_on():
    positive, real = dist.constraints.positive, dist.constraints.real
    gathered = Gathered(6, 0)
    gathered.add(batch(0, {"x": column([1.0, 2.0], support=real)}))
    gathered.add(batch(2, {"x": column([1.0, 2.0], support=real)}, 1))
    assert gathered.columns["x"].support is real
    gathered.add(batch(4, {"x": column([1.0, 2.0], support=positive)}, 2))
    assert gathered.columns["x"].support is None


def test_invalid_draws_are_counted_over_all_parts():
    def simulator():
        pyro.sample("y", dist.Normal(pyro.sample("x", dist.Normal(0.0, 1.0)).sqrt(), 1.0))

    def guide(mean):
        return lambda: pyro.sample("x", dist.Normal(mean, 1.0))

    with pytest.warns(DrawWarning, match=r"for (\d+) of 300 particles; their values are NaN") as said:
        cache = Resampler(
            [guide(0.0), guide(1.0), guide(-1.0)], simulator, num_guide_samples=300, random_seed=0
        )
    missing = int((cache.pipeline.particles.columns["x"].value < 0).sum())
    assert f"for {missing} of 300" in str(said[0].message)
    with pytest.raises(ProgramError, match="'y' has no valid value in any particle"):
        Resampler([guide(-50.0), guide(-60.0)], simulator, num_guide_samples=300, random_seed=0)


def test_the_rest_of_a_simulator_is_predictive_where_nothing_else_is():
    columns = {
        "x": column([1.0]),
        "y": CachedSite(column([1.0], "y").site, torch.ones(1), torch.zeros(1)),
        "d": CachedSite(column([1.0], "d", role="deterministic").site, torch.ones(1), reason="deterministic"),
    }

    def roles(*args):
        return {name: c.site.role for name, c in with_roles(columns, *args).items()}

    assert roles(set(), frozenset(), True) == {"x": "latent", "y": "predictive", "d": "deterministic"}
    assert roles(set(), frozenset(), False) == {"x": "latent", "y": "latent", "d": "deterministic"}
    assert roles({"x"}, frozenset(), True)["y"] == "latent"
    assert roles(set(), frozenset({"y"}), False)["y"] == "predictive"


def test_a_density_that_is_not_finite_is_known():
    columns = {"x": column([1.0, 2.0], log_q=torch.tensor([0.0, -torch.inf])), "z": column([1.0], "z")}
    settled = with_roles(columns, set(), frozenset(), False)
    assert [settled[name].finite for name in "xz"] == [False, True]


@pytest.mark.parametrize("late", [0, 1])
def test_a_site_of_several_kinds_has_no_density_whichever_batch_comes_first(late):
    gathered = Gathered(4, 0)
    for i in (0, 1):
        kind = {"point_mass": True, "masked": True} if i == late else {"continuous": True}
        gathered.add(batch(2 * i, {"x": column([1.0, 2.0], **kind)}))
    found = gathered.columns["x"]
    assert found.log_q is None
    assert found.reason == "it is continuous for some particles and point-mass for others: it has no density"
    assert found.masked
    assert not found.continuous
    assert not found.point_mass


def test_a_site_that_is_computed_in_another_batch_is_refused():
    gathered = Gathered(4, 0)
    gathered.add(batch(0, {"x": column([1.0, 2.0])}))
    with pytest.raises(ProgramError, match=r"is deterministic over \(\) in one batch, latent over \(\) in"):
        gathered.add(batch(2, {"x": column([1.0, 2.0], role="deterministic")}))
