"""The particles: simulated once, cached.

Knows programs; nothing of models, weights or draws.

==============  ======================================================================================
simulation.py   batches from a seed, and one particle again
checks.py       what is asked of a run before its draws are kept
particles.py    the cache
==============  ======================================================================================
"""
