r"""gpcp, the Gene Perturbation Correlate Predictor: a synthetic-first testbed that says why a model does not learn.

One question decides every choice: when a transformer on gene-perturbation data does not learn, is it the data,
the optimiser, the architecture, or a bug, and what is the most that could have been learnt?

The way of the data::

    where cells come from      how cells meet           what the model eats      what it learns     what we ask of it

    simulators ─────────┐
    gpcp.sources.h5ad   ├─ CellBatch ─ gpcp.pairing ─┐
    gpcp.sources.census ┘                            ├─ PairBatch ─ gpcp.model ─ gpcp.training ─ diagnostics.scoring
    simulated pairs (paired by construction) ────────┘                                           diagnostics.graphs
                                                                                                 diagnostics.checks

``dir(gpcp)`` lists the public names, and ``__init__.pyi`` says where each is defined. They are imported when they are
first asked for: importing ``gpcp`` imports no torch.
"""

from gpcp.imports import public_names

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
