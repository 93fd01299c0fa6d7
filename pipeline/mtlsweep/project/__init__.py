"""A project in Python: the steps of the DVC pipeline, and `Project` for notebooks and scripts."""
