"""Experiments in addition to the sweep: toy problem, loss scaling, gradient conflicts, robustness, and fixed weights as referee.

Each is a function from typed params (and, for three of them, a suite's finished trials) to tables. What the tables look
like on a page is `mtlsweep.report`'s. Ray and Optuna may not enter, and the sweep only into a study that trains trials of its own.
"""
