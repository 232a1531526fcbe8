"""Values that everything speaks in: genes, cells, pairs, predictors, intervals, files, random streams."""
