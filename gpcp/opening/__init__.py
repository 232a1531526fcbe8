"""From ``KIND:PLACE`` to a source of cells or pairs."""
