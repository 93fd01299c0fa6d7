"""The executor on Ray Tune. Only this package and `cli/submit` import ray."""

from mtlsweep.sweep.executors.ray.settings import apply_ray_settings

apply_ray_settings()
