"""Try every distribution of Pyro, and every kind of program, and write what became of it.

Knows the package, and the tables of distributions and idioms; `__main__` runs all and writes the page.
"""
