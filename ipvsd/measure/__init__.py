"""Measures what estimation costs: its runs, its kernel threads, round trips.

verify/ judges whether estimation is off as it should be.
"""
