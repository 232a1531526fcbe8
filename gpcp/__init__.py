"""gpcp, the Gene Perturbation Correlate Predictor: a synthetic-first testbed that says why a model does not learn.

One question decides every choice: when a transformer on gene-perturbation data does not learn, is it the data,
the optimiser, the architecture, or a bug, and what is the most that could have been learnt?
"""

__version__ = "0.1.0"
