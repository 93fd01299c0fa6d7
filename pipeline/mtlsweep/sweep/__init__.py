"""The sweep of a suite: plan, strategies, the driver that writes results, and the executors that train.

Running a sweep means: plan minus ledger. Resuming, extending a grid and a second `dvc repro` are
therefore one operation.
"""
