"""How good predictions of a screen are: others' scorers, always beside references, baselines and the exact answer."""
