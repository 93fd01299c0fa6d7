"""From raw curves to conclusions: tables in, tables out.

This room computes and does not draw, train or track: neither torch, ray nor mlflow may enter, and
nothing here touches a file except `tables`, which reads and writes them whole.
"""
