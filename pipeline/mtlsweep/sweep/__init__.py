"""The sweep of a suite: plan, strategies, the driver that writes results, and the executors that train.

Running a sweep means: plan minus ledger. Resuming, extending a grid and a second `dvc repro` are
therefore one operation.
"""

from mtlsweep.sweep.executors.ray.settings import apply_ray_settings

apply_ray_settings()  # here and not in the Ray executor: a user's own module may import ray before it
