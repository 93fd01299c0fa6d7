"""The raw tables of a stage: curves, outcomes and costs."""
