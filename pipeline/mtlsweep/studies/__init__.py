"""The study's four experiments in addition to the sweep: toy problem, loss scaling, gradient conflicts, robustness.

Each is a function from typed params (and, for two of them, a suite's finished trials) to tables. What
the tables look like on a page is `mtlsweep.report`'s; Ray, Optuna and the sweep may not enter.
"""
