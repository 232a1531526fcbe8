"""The first pass over a source, and the choice of genes from it."""
