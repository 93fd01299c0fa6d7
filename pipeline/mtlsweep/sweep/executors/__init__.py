"""Executors of assignments: in this process, on Ray, or replayed from records."""
