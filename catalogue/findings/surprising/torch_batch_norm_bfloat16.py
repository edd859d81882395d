"""PyTorch: the running statistics of BatchNorm in bfloat16 stop moving.

On: torch
Link: https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
Documented: running = (1 - momentum) * running + momentum * batch
Found: The buffers become bfloat16 with the module, and near the end a step is smaller than half a
    bit: for a batch mean of 100 the running mean stops at 96.
Hurts: Who casts a whole model with .bfloat16() and goes on training; autocast keeps the buffers
    in float32.
"""

import torch

layer = torch.nn.BatchNorm1d(1).bfloat16()
for _ in range(200):
    layer(torch.full((4, 1), 100.0).bfloat16())
assert layer.running_mean == 96
