"""Running the project as a job on a Ray cluster."""

import mtlsweep.sweep  # noqa: F401  (sets Ray's environment variables before ray is imported)
