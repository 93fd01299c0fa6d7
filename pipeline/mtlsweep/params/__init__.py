"""`params.yaml` as typed models, and the registries of names used in it.

It does not know what the names mean: suites, methods and studies register themselves.
"""
