"""Known gene graphs: random families, real networks, sortability."""
