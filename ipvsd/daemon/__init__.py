"""The service: event sources, scans, the host's check, the canary, publishing, the loop.

A rule about values belongs in enforce/.
"""
