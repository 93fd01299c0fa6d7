"""The plan of a stage: its cells, its trials, and their records in the ledger."""
