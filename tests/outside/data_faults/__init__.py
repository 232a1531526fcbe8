"""Faults of data, each in three worlds; importing them fills ``DATA_FAULTS``."""

from tests.outside.data_faults import rows, values
from tests.outside.data_faults.registry import IN_BOTH, KINDS, sound
from tests.outside.data_faults.training import WORLDS

__all__ = ["IN_BOTH", "KINDS", "WORLDS", "rows", "sound", "values"]
