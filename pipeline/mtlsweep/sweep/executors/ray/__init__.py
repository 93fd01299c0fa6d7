"""The executor on Ray Tune. Only this package and `cli/submit` import ray."""
