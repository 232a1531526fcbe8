"""``selftest``: how often the checks are wrong."""
