"""How states and counts are shown: documents, metrics, exit codes, the daemon's files.

Printing belongs in commands/.
"""
