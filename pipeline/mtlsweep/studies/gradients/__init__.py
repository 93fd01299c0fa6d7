"""Conflicts between the gradients of tasks and of samples while a suite's cells train."""
