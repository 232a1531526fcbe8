"""``benchmark``: speed of simulators and input."""
