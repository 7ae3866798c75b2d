"""Proves that estimation is off: watches the estimator, and judges what was seen.

Measuring the cost of estimation belongs in measure/.
"""
