"""Running the project as a job on a Ray cluster."""

from mtlsweep.sweep.executors.ray.settings import apply_ray_settings

apply_ray_settings()
