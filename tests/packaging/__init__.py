"""Packaging: what is installed, built and signed, checked on the built packages without a VM."""
