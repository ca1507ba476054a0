"""From weights to the particle of each draw.

Knows weights; nothing of programs, particles or containers.

==============  ======================================================================================
schemes.py      the schemes, by name; a new one is added here
race.py         the randomness of coupled draws
chooser.py      seeds, streams and the warning
==============  ======================================================================================
"""
