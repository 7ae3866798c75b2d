"""Finds what prevents the guard from working on a host: modules that read, and pure checks.

Only repair.py changes files.
"""
