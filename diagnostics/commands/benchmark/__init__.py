"""``benchmark``: speed of simulators and input, and graph recovery by our methods and those of others."""
