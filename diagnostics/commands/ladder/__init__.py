"""``gpcp ladder``: whether the data are too poor, or something is wrong with the model."""
