"""What the trial table says: results, comparisons, sensitivity, cuts, importance."""
