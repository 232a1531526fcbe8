"""From ``KIND:PLACE`` to a source of cells or pairs."""

# Registers the scheme `screen:`, whichever of the modules is imported first.
from gpcp.opening import screens as _screens  # noqa: F401  # pyright: ignore[reportUnusedImport]
