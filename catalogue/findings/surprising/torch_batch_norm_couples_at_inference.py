"""PyTorch: BatchNorm(track_running_stats=False) lets samples see each other at inference.

On: torch
Link: https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
Documented: "When these buffers are None, this module always uses batch statistics in both
    training and eval modes."
Found: So it is: a prediction depends on what else is in the batch.
Hurts: Serving with batches of requests: the same request gets different answers.
"""

import torch

layer = torch.nn.BatchNorm1d(1, track_running_stats=False).eval()
alone, together = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [1.0], [9.0]])
assert layer(alone)[0] != layer(together)[0]
