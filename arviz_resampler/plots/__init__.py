"""Plots of containers, as images. Knows ArviZ and matplotlib, which are imported where something is drawn.

==============  ======================================================================================
priors.py       the plots that the widget knows by name
figures.py      figures to PNG, steady limits, pinned plots
verdicts.py     colors, markers and signs of verdicts
==============  ======================================================================================
"""
