"""What stands around a normalization: an activation after it, the input added to it."""
