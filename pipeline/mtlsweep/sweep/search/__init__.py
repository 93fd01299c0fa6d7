"""Parts of a search: the space of cells, live Delta_m, objective values and Optuna's study."""
