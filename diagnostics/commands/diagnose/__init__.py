"""``diagnose``: why a model does not learn."""
