"""Checks of a screen's file: values, labels, controls, guides, duplicates, and labels against expression."""
