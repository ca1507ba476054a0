"""Hyper-parameters of a family from targets of what it predicts.

Knows families, the pipeline and numbers with errors; nothing of widgets.

=================  ==============================================================================
targets.py         targets as a user gives them: probability, quantile, mean, sd, interval
experts.py         quantiles by several experts, and their pool
equations.py       targets on particles: values, influences, what they reach
problem.py         residuals, their derivatives and errors at hyper-parameters; unmoved.py those that stay
search.py          Levenberg-Marquardt within the reach of the particles; solve.py several starts
region.py          hyper-parameters whose misfit is within its noise
words.py           directions that targets leave open, and what contradicts what, as sentences
answer.py          from targets to a fit, checked by a fresh simulation
fit.py             `Fit`; listing.py its tables, marks.py targets on the axes of variables
=================  ==============================================================================
"""
