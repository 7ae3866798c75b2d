"""Finds what is in the guard's way on a host: readers, and pure checks that judge.

What it may repair is in repair.py alone.
"""
