"""Proves that estimation is off: watches the estimator, and judges what it did.

Measuring the cost of estimation belongs in measure/.
"""
