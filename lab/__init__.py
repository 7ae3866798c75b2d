"""Programs in VMs that are no tests: the demo, the man pages' examples, the bench, the soak."""
