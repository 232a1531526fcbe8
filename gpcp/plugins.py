"""Modules of other packages that register what they have: found by entry points, since nothing imports upwards.

No dimension key: nothing here is an array.

``gpcp.sources`` register schemes of :mod:`gpcp.source_names` and :mod:`gpcp.pair_names`, ``gpcp.yardsticks`` what
:mod:`gpcp.offers` has tables for. Anyone's distribution can have such entry points; each names a module to import.
"""

from importlib.metadata import entry_points
from typing import Literal


def load_plugins(group: Literal["gpcp.sources", "gpcp.yardsticks"]) -> None:
    """Import the modules of a group; what is imported already stays as it is."""
    for entry in entry_points(group=group):
        entry.load()
