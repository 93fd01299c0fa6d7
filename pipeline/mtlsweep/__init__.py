"""mtlsweep: which optimizer, which task weighting, which learning rate, and what each costs the other tasks."""
