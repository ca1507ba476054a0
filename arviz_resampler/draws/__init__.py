"""From weights to the particle of each draw; nothing of programs or containers.

``schemes.py`` has the schemes, ``race.py`` the randomness of those that are coupled, and ``chooser.py``
seeds, streams and the warning.
"""
