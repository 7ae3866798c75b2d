"""One module for each verb of the command line: arguments, a call, and printing.

No command imports another, and none decides anything about values.
"""
