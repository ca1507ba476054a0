"""Plots of containers, as images. Knows matplotlib, which is imported where something is drawn.

==============  ======================================================================================
views.py        what of a prior is shown, the plots that the widget knows by name
priors.py       which panel shows which variable
panels.py       from draws of a variable to the curves of a panel; densities.py estimates these
kept.py         one picture after another of such panels, pinned ones; sheet.py their figure
figures.py      any plot function: its figures to PNG, pinned plots
limits.py       limits that seldom move
lines.py        lines at values of variables
fits.py         plots of fits
verdicts.py     colors and markers of verdicts
==============  ======================================================================================
"""
