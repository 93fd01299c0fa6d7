"""One training run as plain data: its configuration, its key, and its state."""
