"""What is no test: the demo, the man pages' examples, the bench and the soak, in VMs."""
