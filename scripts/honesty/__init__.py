"""Measure how far numbers can be trusted, on guides and models whose numbers are known.

Run with ``make honesty``.
"""
