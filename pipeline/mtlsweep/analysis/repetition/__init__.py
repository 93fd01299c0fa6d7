"""The whole procedure again with other seeds: how far its result depends on them, and how much of that is the search's."""
