"""Weightings that give each task an optimizer of its own: one file per method."""
