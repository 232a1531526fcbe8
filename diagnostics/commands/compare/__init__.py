"""``compare``: whether a head, value embedding or query form loses information."""
