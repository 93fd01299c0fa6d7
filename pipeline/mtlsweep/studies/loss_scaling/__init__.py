"""What multiplying the losses changes, for each weighting and optimizer."""
