"""From tables to what people read: figures, tables in three formats, and one self-contained page.

This room presents what `mtlsweep.analysis` computed; neither torch, ray nor mlflow may enter.
"""
