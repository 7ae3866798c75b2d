"""The system around the guard: journal, systemd, files."""
