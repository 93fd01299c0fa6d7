"""What changes when the losses are multiplied, for each weighting and optimizer."""
