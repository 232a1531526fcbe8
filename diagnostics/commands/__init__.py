"""The commands, a folder a verb."""
