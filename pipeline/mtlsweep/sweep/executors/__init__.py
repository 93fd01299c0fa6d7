"""Where assignments run: in this process, on Ray, or replayed from records."""
