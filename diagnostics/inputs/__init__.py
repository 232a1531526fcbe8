"""Models, worlds and subjects by name."""
