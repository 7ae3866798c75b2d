"""The guard's journal: its events, which of them are logged, sending, reading back.

What has happened is decided in the rooms that know.
"""
