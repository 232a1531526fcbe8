"""``recover-graph``: train on a known world and read its graph back."""
