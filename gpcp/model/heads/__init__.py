"""Output layers: from the vector of a query to expression."""
