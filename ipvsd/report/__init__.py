"""The report for support: what the commands, systemd and the kernel say, in one text.

`sections` decides what it holds and how it looks, and `collect` asks for it.
"""
