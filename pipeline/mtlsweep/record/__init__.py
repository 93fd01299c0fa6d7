"""Records of a sweep: the ledger (authoritative), and its two views, MLflow and tables."""
