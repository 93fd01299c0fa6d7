"""Weightings that need task gradients: one file per method."""
