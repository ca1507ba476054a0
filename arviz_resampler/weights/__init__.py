"""Importance weights and the verdict on them.

Knows arrays of log ratios by site; nothing of programs, particles or draws.

==============  ======================================================================================
weights.py      `Weights`
averages.py     weighted means and quantiles of values by particle, and their errors
labeled.py      values with labels, as the weights have their particles
verdict.py      the rules of the verdict, and their sentences
diagnostics.py  all diagnostics as one record; a new one is added here
pareto.py       k-hat, and weights with a smooth tail
normalize.py    arithmetic on log ratios
==============  ======================================================================================
"""
