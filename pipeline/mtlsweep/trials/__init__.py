"""One training run: what it is, the key that names it, and how it ended. Plain data."""
