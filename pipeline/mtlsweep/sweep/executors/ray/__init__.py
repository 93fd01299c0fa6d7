"""The executor on Ray Tune. Only this room, and `cli/submit`, imports ray."""

from mtlsweep.sweep.executors.ray.settings import apply_ray_settings

apply_ray_settings()
