"""Reads values, decides, writes, remembers: shared by the daemon, `apply` and `status`.

When to check, and what to log, is decided by the callers.
"""
