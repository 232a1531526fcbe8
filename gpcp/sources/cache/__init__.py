"""A panel of genes kept on disk as a memory-mapped matrix."""
