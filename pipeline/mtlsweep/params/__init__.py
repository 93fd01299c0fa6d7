"""`params.yaml`, typed, and the registries of the names that stand in it.

It knows nothing of what the names mean: suites, methods and studies register themselves.
"""
