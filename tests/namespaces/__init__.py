"""Tests with real network namespaces and a stand-in for the sysctls of ip_vs."""
