"""Decisions: pure functions and plain data, no effects."""
