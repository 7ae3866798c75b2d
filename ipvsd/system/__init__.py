"""Provides what any program needs: event loop, systemd, files, terminal, processes.

Nothing here is about IPVS.
"""
