"""ipvs-estoff-guard: keeps IPVS estimation switched off."""

__version__ = "0.2.0"
