"""Real cells as what a known effect is planted into: untreated cells of any source, and the source ``spike:``."""
