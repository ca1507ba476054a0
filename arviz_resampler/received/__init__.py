"""Particles from elsewhere, and the density that they were drawn with.

===========  ==========================================================
existing.py  simulations that exist
fitted.py    draws of a posterior
common.py    what both have: settings, what comes along, the pipeline
keeping.py   a store of them
===========  ==========================================================
"""
