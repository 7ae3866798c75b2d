"""Measures what estimation costs: its runs, its kernel threads, round trips.

Whether estimation is off as it should be is judged in verify/.
"""
