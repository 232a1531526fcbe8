"""Worlds with a known graph whose cells look like given real ones: fitting, drawing, and how close they come."""
