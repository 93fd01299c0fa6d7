"""One trial from its first step to its last: steps, epochs and evaluation.

Ray, MLflow and the ledger may not enter: a trial runs in a notebook as it does on a cluster.
"""
