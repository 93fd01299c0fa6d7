"""The toy problem: which settings reach its global minimum."""
