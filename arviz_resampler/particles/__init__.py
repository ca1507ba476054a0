"""The particles: simulated once, cached.

Knows programs; nothing of models, weights or draws.

==============  ======================================================================================
guides.py       what draws, and the density of what was drawn: one program, a mixture, a top-up
simulation.py   batches from a seed, and one particle again
gathering.py    batches put together
top_up.py       more particles, from a model; reach.py how many, from draws of it
checks.py       what is asked of a run before its draws are kept
particles.py    the cache
==============  ======================================================================================
"""
