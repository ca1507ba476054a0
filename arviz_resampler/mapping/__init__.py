"""Programs of one particle, mapped over many by ``torch.vmap``.

Knows torch alone; nothing of Pyro, distributions or weights.

==================  ==================================================================================
functorch.py        a map, the ways into it and out; every private name of torch
particle_mode.py    what a map refuses although it makes sense for each particle, a rule for each
in_place.py         changes in place
modules.py          parameters and buffers of modules
random_mode.py      random numbers
streams.py          where they come from: seed, site and particle
batched.py          functions that take all particles at once
==================  ==================================================================================
"""
