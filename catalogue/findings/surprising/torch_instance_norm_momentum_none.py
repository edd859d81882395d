"""PyTorch: InstanceNorm(momentum=None) never updates its running statistics.

On: torch
Link: https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm2d.html
Documented: Nothing about None, which for BatchNorm means a cumulative average.
Found: None is taken as 0: the running mean stays 0 and the variance 1, and inference does not
    normalize at all.
Hurts: Who swaps BatchNorm for InstanceNorm and keeps the arguments.
"""

import torch

layer = torch.nn.InstanceNorm1d(1, momentum=None, track_running_stats=True)
layer(torch.ones(4, 1, 9))
assert layer.running_mean == 0
