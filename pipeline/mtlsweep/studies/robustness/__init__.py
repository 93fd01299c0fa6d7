"""How a suite's selected cells and its baselines perform on corrupted images."""
