"""Models on the particles.

Knows particles, programs and weights; nothing of draws or containers.

==============  ======================================================================================
score_model.py  from a model to its weights, a chunk of particles at a time
scored.py       the scored model
log_ratios.py   targets, offsets, infinities and labels of log ratios
scratch.py      memory that is used again
seen.py         models that were scored before
==============  ======================================================================================
"""
