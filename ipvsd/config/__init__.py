"""What the administrator wants: the files, their grammar, the policy that follows.

What is done about it belongs in enforce/.
"""
