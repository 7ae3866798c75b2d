"""What any program needs of the system: event loop, systemd, files, terminal, processes.

Nothing here knows IPVS.
"""
