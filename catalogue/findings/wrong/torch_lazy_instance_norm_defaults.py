"""PyTorch: LazyInstanceNorm is affine and remembers by default, other than documented.

On: torch
Link: https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm2d.html
Documented: "affine: ... Default: False. track_running_stats: ... Default: False."
Found: Both defaults are True. So LazyInstanceNorm2d() at inference normalizes every image by
    averages over the training set, which InstanceNorm2d(8) never does.
Hurts: Who makes a model lazy and expects the same model.
"""

import torch

layer = torch.nn.LazyInstanceNorm2d()
assert layer.affine
assert layer.track_running_stats
assert layer.__doc__.count("Default: ``False``") == 2
