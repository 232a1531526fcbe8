"""What we ask of a model: read-outs, scores with their ceilings and nulls, baselines, and the commands."""

from gpcp.imports import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
