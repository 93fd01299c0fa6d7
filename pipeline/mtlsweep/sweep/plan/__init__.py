"""The plan of a stage: its cells, its trials, and what the ledger holds of them."""
