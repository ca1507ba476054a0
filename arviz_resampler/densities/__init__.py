"""Log densities that can be trusted.

Knows torch's distributions and maps; nothing of programs, particles or weights.

================  ====================================================================================
density.py        the log density of values, minus infinity outside the support
closed_form.py    the same in few passes, for the priors that are used most
support.py        which values are in a support, and when two supports are the same
parameters.py     parameters that are wrong, or only repeated; what a distribution is made of
kinds.py          discrete or continuous, a point mass, drawn as it says
================  ====================================================================================
"""
