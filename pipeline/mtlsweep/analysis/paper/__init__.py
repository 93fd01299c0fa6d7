"""The printed results of the paper, to compare with one's own."""
