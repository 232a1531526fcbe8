"""``evaluate``: score predictions of a screen beside references, baselines and the exact answer."""
