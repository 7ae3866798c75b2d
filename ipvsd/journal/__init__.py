"""Logs the guard's events: describes, limits and sends them, and reads them back.

The other rooms decide which events happened.
"""
