"""Posterior draws under another prior, against exact posteriors and evidences."""

import pickle

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from scipy.stats import halfcauchy, halfnorm, norm

from arviz_resampler import ArgumentError, MismatchError, ProgramError, Resampler, WeightWarning
from arviz_resampler.containers.installed import major_version

# Single numbers of a wider posterior rest on few draws, which is said; here it is their average that counts.
FEW = pytest.mark.filterwarnings("ignore:.*not reliable:arviz_resampler.WeightWarning")

NUM, MEAN = 5, 1.0  # observations of unit variance, and their mean


def prior(mean=0.0, scale=1.0):
    return lambda: pyro.sample("mu", dist.Normal(float(mean), float(scale)))


def exact(mean, scale):
    """Mean and standard deviation of the posterior of the conjugate normal model."""
    variance = 1 / (1 / scale**2 + NUM)
    return variance * (mean / scale**2 + NUM * MEAN), variance**0.5


def evidence(mean, scale):
    return norm.pdf(MEAN, mean, (scale**2 + 1 / NUM) ** 0.5)


def draws(seed, shape=(4, 1000)):
    mean, sd = exact(0.0, 1.0)
    return mean + sd * np.random.default_rng(seed).standard_normal(shape)


def of(given, model=None, **options):
    return Resampler.from_posterior(given, model or prior(), random_seed=0, progressbar=False, **options)


# ---------------------------------------------------------------- truths


@FEW
@pytest.mark.parametrize("new", [(0.0, 0.7), (0.0, 10.0), (2.0, 1.0), (-2.0, 1.0)])
def test_means_standard_deviations_and_bayes_factors_of_a_conjugate_model_are_exact_within_their_errors(new):
    mean, sd = exact(*new)
    factor = evidence(*new) / evidence(0.0, 1.0)
    z, covered = [], []
    for seed in range(100):
        found = of({"mu": draws(seed)})
        weights = found.weigh(prior(*new))
        assert weights.verdict != "unreliable"
        values = found.pipeline.particles.columns["mu"].value.double().numpy()
        squares = (values - mean) ** 2
        numbers = [
            ((weights.mean(values) - mean) / weights.mcse(values)),
            ((weights.mean(squares) - sd**2) / weights.mcse(squares)),
            ((weights.bayes_factor - factor) / weights.bayes_factor_se),
        ]
        z.append(numbers)
        covered.append(abs(numbers[0]) < 1.96)
    scores = np.array(z)
    # A hundred z-scores: their mean has an error of a tenth, and their variance one of 0.14.
    assert (np.abs(scores.mean(0)) < 0.5).all()
    assert (scores.var(0) < 1.6).all()
    assert np.mean(covered) >= 0.95 - 3 * (0.95 * 0.05 / 100) ** 0.5


@pytest.mark.parametrize("new", [(3.0, 0.5), (5.0, 0.2)])
def test_priors_that_the_draws_do_not_reach_are_unreliable(new):
    assert of({"mu": draws(0)}).weigh(prior(*new)).verdict == "unreliable"


def test_a_wider_prior_is_named_where_errors_may_be_too_small():
    found = of({"mu": draws(0)})
    assert "wider at site 'mu'" in repr(found.weigh(prior(0.0, 10.0)))
    assert "No latent with another prior" in repr(found.weigh(prior(0.0, 0.7)))


Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SD = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
MU, TAU = np.meshgrid(np.linspace(-40, 60, 401), np.linspace(0.02, 80, 640), indexing="ij")


def grid(log_prior):
    """Posterior of the eight schools with the effects integrated out, and the log of its sum."""
    variance = TAU[..., None] ** 2 + SD**2
    log_p = log_prior + (-0.5 * (Y - MU[..., None]) ** 2 / variance - 0.5 * np.log(variance)).sum(-1)
    p = np.exp(log_p - log_p.max())
    return p / p.sum(), log_p.max() + np.log(p.sum())


def schools(location=10.0, spread=None):
    def program():
        mu = pyro.sample("mu", dist.Normal(0.0, location))
        tau = pyro.sample("tau", spread or dist.HalfNormal(10.0))
        with pyro.plate("school", 8):
            pyro.sample("theta", dist.Normal(mu, tau))

    return program


@FEW
@pytest.mark.parametrize(
    ("model", "log_prior"),
    [
        (schools(5.0), norm.logpdf(MU, 0, 5) + halfnorm.logpdf(TAU, 0, 10)),
        (schools(10.0, dist.HalfNormal(5.0)), norm.logpdf(MU, 0, 10) + halfnorm.logpdf(TAU, 0, 5)),
        (schools(10.0, dist.HalfCauchy(5.0)), norm.logpdf(MU, 0, 10) + halfcauchy.logpdf(TAU, 0, 5)),
    ],
)
def test_the_eight_schools_agree_with_a_grid(model, log_prior):
    base, log_evidence = grid(norm.logpdf(MU, 0, 10) + halfnorm.logpdf(TAU, 0, 10))
    new, log_new = grid(log_prior)
    rng, z = np.random.default_rng(0), []
    for _ in range(20):
        i = rng.choice(base.size, 4000, p=base.ravel())
        mu, tau = MU.ravel()[i], TAU.ravel()[i]
        variance = 1 / (1 / tau[:, None] ** 2 + 1 / SD**2)
        theta = variance * (mu[:, None] / tau[:, None] ** 2 + Y / SD**2)
        theta = theta + variance**0.5 * rng.standard_normal((4000, 8))
        given = {"mu": mu, "tau": tau, "theta": theta}
        found = of({name: v.reshape(4, 1000, *v.shape[1:]) for name, v in given.items()}, schools())
        weights = found.weigh(model)
        z.append(
            [
                (weights.mean(mu) - (new * MU).sum()) / weights.mcse(mu),
                (weights.mean(tau) - (new * TAU).sum()) / weights.mcse(tau),
                (weights.bayes_factor - np.exp(log_new - log_evidence)) / weights.bayes_factor_se,
            ]
        )
    scores = np.array(z)
    # Twenty z-scores; the variance of their mean is 0.05, and that of their variance 0.1.
    assert (np.abs(scores.mean(0)) < 4 * 0.05**0.5).all()
    assert (scores.var(0) < 1 + 4 * 0.1**0.5).all()


# ---------------------------------------------------------------- power-scaling

# Data of the example "univariate_normal" of priorsense.
# fmt: off
DATA = np.array([
    9.5, 10.2, 9.1, 9.1, 10.3, 10.9, 11.7, 10.3, 9.6, 8.6, 9.1, 11.1, 9.3, 10.5, 9.7, 10.3, 10.0, 9.8, 9.6,
    8.3, 10.2, 9.8, 10.0, 10.0, 9.1,
])
# fmt: on


def univariate():
    pyro.sample("mu", dist.Normal(0.0, 1.0))
    pyro.sample("sigma", dist.HalfNormal(2.5))


def univariate_posterior(num, seed=0):
    mu, sigma = np.meshgrid(np.linspace(4, 11.5, 1200), np.linspace(0.3, 6, 1200), indexing="ij")
    squares = (DATA**2).sum() - 2 * mu * DATA.sum() + len(DATA) * mu**2
    log_p = (
        norm.logpdf(mu) + norm.logpdf(sigma, 0, 2.5) - squares / (2 * sigma**2) - len(DATA) * np.log(sigma)
    )
    p = np.exp(log_p - log_p.max()).ravel()
    rng = np.random.default_rng(seed)
    i = rng.choice(p.size, num, p=p / p.sum())
    m = (mu.ravel()[i] + rng.uniform(-0.5, 0.5, num) * 7.5 / 1199).reshape(4, -1)
    s = (sigma.ravel()[i] + rng.uniform(-0.5, 0.5, num) * 5.7 / 1199).reshape(4, -1)
    dims = ("chain", "draw")
    log_likelihood = norm.logpdf(DATA, m[..., None], s[..., None])
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"mu": (dims, m), "sigma": (dims, s)}),
            "log_likelihood": xr.Dataset({"y": ((*dims, "obs"), log_likelihood)}),
            "log_prior": xr.Dataset(
                {"mu": (dims, norm.logpdf(m)), "sigma": (dims, halfnorm.logpdf(s, 0, 2.5))}
            ),
        }
    )


@FEW
def test_sensitivity_to_prior_and_likelihood_is_what_priorsense_has_published():
    table = of(univariate_posterior(40_000), univariate).sensitivity(univariate)
    # "Getting started with priorsense", from 4,000 draws of MCMC; two such runs differ by about 0.03.
    published = {"mu": (0.390, 0.558), "sigma": (0.288, 0.527)}
    for name, (to_prior, to_likelihood) in published.items():
        assert table.loc[("prior", name), "sensitivity"] == pytest.approx(to_prior, abs=0.05)
        assert table.loc[("likelihood", name), "sensitivity"] == pytest.approx(to_likelihood, abs=0.05)
    assert set(table["diagnosis"]) == {"prior-data conflict"}


@FEW
def test_sensitivity_agrees_with_that_of_arviz():
    import arviz as az

    if not major_version():
        pytest.skip("ArviZ 0.x has another summary")
    tree = univariate_posterior(4000)
    table = of(tree, univariate).sensitivity(univariate)
    theirs = az.psense_summary(tree, round_to=6)
    for name in ("mu", "sigma"):
        # ArviZ smooths the weights of powers 0.8 and 1.25, and takes 0.01 for the step as we do.
        for component in ("prior", "likelihood"):
            ours = table.loc[(component, name), "sensitivity"]
            assert ours == pytest.approx(float(theirs.loc[name, component]), rel=0.1)


@FEW
def test_without_a_log_likelihood_the_priors_alone_are_scaled():
    table = of({"mu": draws(0)}).sensitivity(prior())
    assert table.index.get_level_values("site").tolist() == ["mu"]
    assert "diagnosis" not in table


# ---------------------------------------------------------------- containers


def test_containers_have_the_groups_of_a_posterior():
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(
                {"mu": (("chain", "draw"), draws(0)), "twice": (("chain", "draw"), draws(0))}
            ),
            "posterior_predictive": xr.Dataset({"y": (("chain", "draw", "time"), draws(1, (4, 1000, 3)))}),
            "observed_data": xr.Dataset(
                {"y": ("time", [1.0, 2.0, 3.0])}, coords={"time": [2000, 2001, 2002]}
            ),
        }
    )
    found = of(tree).sample_prior_predictive(prior(0.0, 0.7), 100)
    assert found.posterior["mu"].shape == (1, 100)
    assert list(found.posterior) == ["mu", "twice"]
    assert found.posterior_predictive["y"].dims == ("chain", "draw", "time")
    assert found.posterior_predictive["time"].values.tolist() == [2000, 2001, 2002]
    assert found.observed_data["y"].values.tolist() == [1.0, 2.0, 3.0]
    assert found.sample_stats.attrs["bayes_factor"] == pytest.approx(0.99, abs=0.05)
    names = found.children if isinstance(found, xr.DataTree) else found.groups()
    assert not {"prior", "prior_predictive", "sample_stats_prior"} & set(names)


@pytest.mark.filterwarnings("ignore::matplotlib.MatplotlibDeprecationWarning")
def test_plots_of_arviz_take_them():
    import arviz as az

    found = of({"mu": draws(0)}).compare({"a": prior(), "b": prior(0.0, 0.7)}, num_samples=200)
    if major_version() > 0:
        az.plot_dist(found["a"])
        az.plot_forest(dict(found))
    else:
        az.plot_posterior(found["a"])
        az.plot_density(list(found.values()), data_labels=list(found))


def test_priors_stand_side_by_side_with_paired_errors():
    found = of({"mu": draws(0)}).compare({"base": prior(), "tight": prior(0.0, 0.7)}, num_samples=200)
    summary, contrast = found.summary(["mu"]), found.contrast("tight", "base", "mu")
    difference = exact(0.0, 0.7)[0] - exact(0.0, 1.0)[0]
    mcse = contrast["mcse"].iloc[0]
    assert contrast["difference"].iloc[0] == pytest.approx(difference, abs=4 * mcse)
    assert mcse < 0.5 * summary["mcse_mean"].min()
    assert found.dataset().sizes["variant"] == 2
    assert "bayes_factor" in repr(found)
    assert found.diagnostics().loc["base", "bayes_factor"] == pytest.approx(1.0)


def test_a_simulator_predicts_from_the_draws():
    def simulator():
        mu = prior()()
        with pyro.plate("obs", NUM):
            pyro.sample("y", dist.Normal(mu, 1.0), obs=torch.full((NUM,), MEAN))

    found = of({"mu": draws(0)}, simulator, simulator=simulator)
    particles, weights = found.weighted(prior(0.0, 0.7))
    mean, sd = exact(0.0, 0.7)
    assert particles["y"].dims == ("particle", "obs")
    variance = float(weights @ (particles["y"][:, 0] - mean) ** 2)
    # The variance of 4,000 weighted normal numbers has a relative error of 0.025.
    assert variance == pytest.approx(1 + sd**2, rel=0.1)
    container = found.sample_prior_predictive(prior(), 10)
    assert container.observed_data["y"].values.tolist() == [MEAN] * NUM


def test_a_simulator_that_fails_for_some_draws_may_be_masked():
    def simulator():
        mu = prior()()
        if mu > 1.9:
            raise ValueError("too large")
        pyro.sample("y", dist.Normal(mu, 1.0), obs=torch.tensor(1.0))

    with pytest.raises(ProgramError, match="too large"):
        of({"mu": draws(0, (2, 200))}, simulator=simulator, vectorize=False)
    with pytest.warns(match="the run of . of 400 particles failed"):
        found = of({"mu": draws(0, (2, 200))}, simulator=simulator, vectorize=False, on_error="mask")
    assert not found.failures.empty


def test_it_can_be_pickled_and_tuned():
    found = of({"mu": draws(0)})
    again = pickle.loads(pickle.dumps(found))
    model = prior(0.0, 0.7)
    assert again.weigh(model).bayes_factor == found.weigh(model).bayes_factor
    weights = pickle.loads(pickle.dumps(found.weigh(model)))
    assert weights.mcse(draws(0).ravel()) == found.weigh(model).mcse(draws(0).ravel())
    tuner = found.tune(lambda scale=1.0: prior(0.0, scale), scale=(0.3, 2.0))
    assert "posterior" in repr(tuner.update(scale=0.7).prior)


def test_all_draws_of_a_group_may_be_taken():
    tree = xr.DataTree.from_dict({"warmup": xr.Dataset({"mu": (("chain", "draw"), draws(0))})})
    assert of(tree, group="warmup").weigh(prior()).ess == 4000


def test_a_sampler_of_pyro_that_has_run_is_read():
    from pyro.infer import MCMC, NUTS

    def model():
        mu = prior()()
        with pyro.plate("obs", NUM):
            pyro.sample("y", dist.Normal(mu, 1.0), obs=torch.full((NUM,), MEAN))

    pyro.set_rng_seed(0)
    mcmc = MCMC(NUTS(model), num_samples=1500, warmup_steps=200, disable_progbar=True)
    mcmc.run()
    found = of(mcmc, model)
    assert found.pipeline.chains.num_chains == 1
    weights = found.weigh(prior(0.0, 0.7))
    assert 0.1 < weights.relative_efficiency <= 1
    values = found.pipeline.particles.columns["mu"].value.numpy()
    assert weights.mean(values) == pytest.approx(exact(0.0, 0.7)[0], abs=5 * weights.mcse(values))


# ---------------------------------------------------------------- bad input


def with_factor():
    mu = prior()()
    pyro.factor("likelihood", -0.5 * (mu - 1.0) ** 2)


@pytest.mark.parametrize(
    ("given", "model", "error", "message"),
    [
        (3, None, ArgumentError, "draws must be an InferenceData"),
        ({"nu": draws(0)}, None, ArgumentError, "the draws lack 'mu', which the prior has; they have 'nu'"),
        ({"mu_tilde": draws(0)}, None, ArgumentError, "stored transformed or centered"),
        ({"mu": draws(0)[0]}, None, ArgumentError, r"'mu' must have chains and draws .* got shape \(1000,\)"),
        (
            {"mu": [[1.0, 2.0], [1.0]]},
            None,
            ArgumentError,
            "'mu' has chains, or draws, of unequal length: 2, 1",
        ),
        (
            {"mu": draws(0)[:, :3]},
            None,
            ArgumentError,
            "each chain needs 4 draws or more.*got 3",
        ),
        (
            {"mu": np.where(draws(0) > 2, np.nan, draws(0))},
            None,
            ArgumentError,
            "latent 'mu' is NaN or infinite",
        ),
        (
            {"mu": draws(0, (4, 100, 2))},
            None,
            MismatchError,
            r"axes \(mu_dim_0=2\) in the draws, but \(\) in the",
        ),
        (
            {"mu": draws(0)},
            lambda: pyro.sample("mu", dist.Uniform(0.0, 1.0)),
            MismatchError,
            "draws have no density at 'mu' under the prior, for example at the value",
        ),
        ({"mu": draws(0)}, with_factor, ProgramError, "the prior has pyro.factor site 'likelihood'"),
        ({"mu": draws(0)}, lambda: pyro.sample("mu", 3.0), ProgramError, "not a Pyro distribution"),
    ],
)
def test_what_is_no_posterior_of_the_prior_is_refused(given, model, error, message):
    with pytest.raises(error, match=message):
        of(given, model)


def test_a_latent_that_is_stored_as_its_log_is_refused_even_if_most_of_its_values_fit():
    with pytest.raises(MismatchError, match="or are stored transformed"):
        of({"tau": np.log(np.abs(draws(0)))}, lambda: pyro.sample("tau", dist.HalfNormal(1.0)))


def test_particles_of_a_posterior_cannot_be_added_to():
    found = of({"mu": draws(0)})
    for call in (found.top_up, found.wanted, found.reach):
        with pytest.raises(ArgumentError, match="nothing here can draw more of them"):
            call(prior())


def test_a_model_with_an_unknown_normalizing_constant_has_no_bayes_factor():
    weights = of({"mu": draws(0)}).weigh(with_factor)
    assert np.isnan(weights.bayes_factor)
    assert np.isnan(weights.bayes_factor_se)
    assert "Bayes factor" not in repr(weights)


def test_draws_of_an_unreliable_posterior_warn():
    with pytest.warns(WeightWarning, match="draw more from the posterior, or fit the model under this prior"):
        of({"mu": draws(0)}).sample_prior_predictive(prior(3.0, 0.5), 100)


@pytest.mark.parametrize("odd", [pyro.poutine.scale(scale=0.5), pyro.poutine.mask(mask=False)])
def test_a_prior_without_a_known_constant_has_no_bayes_factor(odd):
    def fitted():
        with odd:
            return prior()()

    weights = of({"mu": draws(0)}, fitted).weigh(prior(0.0, 0.7))
    assert np.isnan(weights.bayes_factor)


def test_a_bayes_factor_that_no_float_holds_is_infinite():
    found = of({"mu": draws(0)}, prior(200.0, 1.0))
    assert found.weigh(prior(0.0, 1.0)).bayes_factor == np.inf


@FEW
def test_a_resampled_posterior_is_said_to_have_errors_that_are_too_small():
    drawn = of({"mu": draws(0)}).sample_prior_predictive(prior(0.0, 0.7), 1000)
    with pytest.warns(match="of 1000 draws repeat others"):
        of(drawn, prior(0.0, 0.7))


def test_steps_of_a_chain_that_were_rejected_are_no_repeats():
    moves = np.repeat(draws(0, (4, 250)), 4, axis=1)
    assert of({"mu": moves}).weigh(prior()).relative_efficiency < 0.35


def test_a_log_likelihood_that_is_nan_is_refused():
    tree = univariate_posterior(400)
    tree["log_likelihood"]["y"].values[1, 3, 0] = np.nan
    with pytest.raises(ArgumentError, match=r"the log likelihood is NaN for 1 of 400 draws.* draw 103"):
        of(tree, univariate)


def test_what_the_simulator_predicts_takes_the_place_of_what_came_with_the_draws():
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"mu": (("chain", "draw"), draws(0))}),
            "posterior_predictive": xr.Dataset({"y": (("chain", "draw"), np.full((4, 1000), 100.0))}),
        }
    )

    def simulator():
        pyro.sample("y", dist.Normal(prior()(), 1.0), obs=torch.tensor(1.0))

    particles, _ = of(tree, simulator=simulator).weighted(prior())
    assert abs(float(particles["y"].mean())) < 2


@pytest.mark.filterwarnings("ignore::arviz_resampler.WeightWarning")
def test_bounds_of_rare_events_count_draws_of_a_chain_for_less_than_their_number():
    slow = np.repeat(draws(0, (4, 100)), 10, axis=1)
    rare = {"rare": lambda ds: ds.mu > float(ds.mu.max()) - 1e-6}
    upper = []
    for given in (slow, draws(0)):
        table = of({"mu": given}).compare({"a": prior(), "b": prior(0.0, 0.9)}, 10).summary([], rare)
        upper.append(table["upper_mean"].iloc[0])
    assert upper[0] > 5 * upper[1]
