"""The three regimes under which two cells become a pair, named once for sources, ceilings and diagnostics.

In all three a set of genes ``T`` is *perturbed*: the predictor sees ``before`` and the perturbed genes' values after.

* ``matched``: two independent cells of a type; any genes may be the perturbed ones, though nothing was done to them.
  ``before`` says nothing but the type, so the best predictor is ``E[x_U | x_T = values]``: what the perturbed genes
  say about the others by *correlation*.
* ``counterfactual``: ``after`` is ``before`` re-simulated from the same noise under ``Do(T = values)``.
  The best predictor knows the noise, so its risk is 0.
* ``interventional``: ``after`` is another cell, of fresh noise, under ``Do(T = values)``. The best predictor is
  ``E[x | Do(T = values)]``, whatever ``before`` was.
"""

from typing import Literal

from gpcp.core.errors import InputError, nearest

Regime = Literal["matched", "counterfactual", "interventional"]
"""How the two cells of a pair belong together; see the module's docstring."""

REGIMES: tuple[Regime, ...] = ("matched", "counterfactual", "interventional")
"""Every regime, from what predicts by correlation alone to what an intervention shows."""


def regime_of(name: str) -> Regime:
    """Check the name of a regime.

    Raises
    ------
    InputError
        There is no such regime; the message names the nearest.
    """
    if name not in REGIMES:
        raise InputError(f"regime is {name!r}; {nearest(name, REGIMES)}")
    return name
