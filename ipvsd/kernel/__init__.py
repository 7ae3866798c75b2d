"""Talks to the kernel: one module for each interface, which returns plain data.

Other rooms decide what the data means for the guard.
"""
