"""The VM harness: Debian images, machines that boot them, and the tests of the harness itself."""
