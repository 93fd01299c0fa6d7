"""The sweep: its plan, its runner on Ray Tune, its lease, its one recorder, and its raw tables.

Running a sweep means: plan minus ledger. Resuming, extending a grid and a second `dvc repro` are
therefore one operation. Only this room imports ray and optuna.
"""
