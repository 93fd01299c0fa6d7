"""Figures: each is a pure function from tables to a chart."""
