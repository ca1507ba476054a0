"""Importance weights and the verdict on them: arrays of log ratios by site, nothing of programs or draws.

``weights.py`` has the class, ``normalize.py`` its arithmetic, ``pareto.py`` k-hat, ``verdict.py`` the
rules and sentences, and ``diagnostics.py`` all of it as one record.
"""
