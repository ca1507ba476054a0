"""The prior of the eight schools."""

import pyro
import pyro.distributions as dist


def schools(location, spread):
    """Effects around a mean with a scale of ``location``, whose spread has a scale of ``spread``."""

    def program():
        mu = pyro.sample("mu", dist.Normal(0.0, location))
        tau = pyro.sample("tau", dist.HalfNormal(spread))
        with pyro.plate("school", 8):
            pyro.sample("theta", dist.Normal(mu, tau))

    return program
