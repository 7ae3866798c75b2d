"""What `ipvsd doctor` looks for: pure functions from what was seen to findings."""
