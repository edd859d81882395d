"""What the operators of PyTorch mean: one table for each kind."""
