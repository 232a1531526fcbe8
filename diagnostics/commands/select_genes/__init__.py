"""``select-genes``: choose a panel of genes in a first pass."""
