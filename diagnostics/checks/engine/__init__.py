"""What checks are made of: the subject, the probe, statistics."""
