"""The particles: simulated once, cached.

Knows programs; nothing of models, weights or draws.

==============  ======================================================================================
guides.py       what draws, and the density of what was drawn: one program, a mixture, a top-up
looking.py      a look at the programs, and any batch of what they draw
simulation.py   all batches in memory, and one particle again; gathering.py puts them together
log_q.py        log densities that particles were drawn with
filling.py      all batches in a store; stored.py particles in it, disk.py values that stay there
top_up.py       more particles, from a model or the guide; reach.py how many, from draws of a model
joining.py      particles behind others; appending.py the same in a store
checks.py       what is asked of a run before its draws are kept
particles.py    the cache
==============  ======================================================================================
"""
