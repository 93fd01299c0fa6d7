"""The printed results of the paper, to stand beside one's own."""
