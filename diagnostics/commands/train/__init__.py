"""``gpcp train``."""
