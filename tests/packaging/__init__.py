"""Packaging: what is installed, built and signed, checked on the built thing. No VM."""
