"""Weightings that need task losses only: one file per method."""
