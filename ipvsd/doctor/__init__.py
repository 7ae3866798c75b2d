"""Finds what prevents the guard from working on a host: modules that read, and pure checks.

Only `doctor --fix` changes files.
"""
