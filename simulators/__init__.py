"""Known worlds: gene graphs, mechanisms, interventions, their exact laws, and the assay that measures them."""

from gpcp.imports import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
