"""PyTorch: InstanceNorm keeps learning in eval mode once track_running_stats is set to False.

On: torch
Link: https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm1d.html
Documented: "when set to False, this module does not track such statistics and always uses batch
    statistics in both training and eval modes."
Found: If the setting is changed after the layer was made, its running statistics are still there,
    and every call updates them, in eval mode too. BatchNorm does not.
Hurts: Domain adaptation and style transfer code that switches the setting for an evaluation: the
    saved model is another one afterwards.
"""

import torch

layer = torch.nn.InstanceNorm1d(1, track_running_stats=True).eval()
layer.track_running_stats = False
layer(torch.ones(4, 1, 9))
assert layer.running_mean > 0
