"""Programs: run once, mapped or for one particle, and what a run leaves behind.

Knows densities and maps; Pyro in program.py alone. Knows nothing of weights, draws or containers.

=====================  ===============================================================================
program.py             one run of a program; validation.py switches torch's checks off meanwhile
handler.py             what is asked of every site of a run
sample_handler.py      sites of a guide or simulator: drawn
score_handler.py       sites of a model: scored at cached values
runner.py              a guide or simulator over a batch of particles
model_runner.py        a model over cached particles
fallback.py            programs that cannot be mapped
stacking.py            runs of one particle, put together; alike.py what they must have in common
runs.py, columns.py    records of a run; cached sites
axes.py                plates and events: names, sizes and order
plates.py              plates that take some of their rows
source.py              latent sites, written back as Pyro source; its parts in source_parts.py
=====================  ===============================================================================
"""
