"""One training step: task losses, their gradients by one of several routes, and the update."""
