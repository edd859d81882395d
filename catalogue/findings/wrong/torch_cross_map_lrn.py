"""PyTorch: CrossMapLRN2d never lets go of the first channel.

On: torch
Link: https://docs.pytorch.org/docs/stable/generated/torch.nn.LocalResponseNorm.html
Documented: Nothing of its own; it is the older form of LocalResponseNorm, whose formula sums over
    a window of neighbouring channels.
Found: The window slides by adding the next channel and subtracting the last one, but the first
    channel is never subtracted (it compares with >, not >=): it enters the divisor of every
    channel.
Hurts: Old networks that were ported from Lua with this layer: the first channel dims all others.
"""

import torch

layer = torch.nn.CrossMapLRN2d(3, alpha=1.0)
x, changed = torch.ones(1, 9, 1, 1), torch.ones(1, 9, 1, 1)
changed[0, 0] = 9  # right: outputs 0 and 1 change
assert (layer(x) != layer(changed)).all()
