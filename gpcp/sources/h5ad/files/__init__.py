"""Files of cells, and AnnData objects, as tables and matrices that are read a block at a time."""
