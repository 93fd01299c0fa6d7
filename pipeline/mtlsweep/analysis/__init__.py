"""From raw curves to conclusions: tables in, tables out.

This room computes; it does not draw, train or track: neither torch, ray nor mlflow may enter, and
only `suite_files` and readers of tables touch files.
"""
