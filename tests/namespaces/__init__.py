"""Real network namespaces on this machine, with a sysctl that every kernel has for each of them."""
