"""Reads what the administrator wants: the files, their grammar, and the policy in them.

enforce/ acts on the policy.
"""
