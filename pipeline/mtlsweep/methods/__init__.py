"""A method: a task weighting with an optimizer. Networks, data and training may not enter."""
