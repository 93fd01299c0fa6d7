"""Pareto sets, hypervolumes and attainment surfaces."""
