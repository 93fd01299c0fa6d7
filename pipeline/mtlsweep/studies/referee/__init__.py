"""Is any weighting better than well-chosen fixed task weights, given the same search?"""
