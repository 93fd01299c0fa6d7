"""What is kept of a sweep: the ledger (the truth), and its two views, MLflow and tables."""
