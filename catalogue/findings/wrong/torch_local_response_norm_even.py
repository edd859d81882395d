"""PyTorch: LocalResponseNorm of an even size has another window than its formula.

On: torch
Link: https://docs.pytorch.org/docs/stable/generated/torch.nn.LocalResponseNorm.html
Documented: The sum goes from c - n/2 to c + n/2: for n = 4 these are 5 channels, two on each
    side.
Found: 4 channels: two before, one after.
Hurts: Who ports even windows: ONNX looks at one before and two after.
"""

import torch

layer = torch.nn.LocalResponseNorm(4, alpha=1.0)
x, changed = torch.ones(1, 9, 1, 1), torch.ones(1, 9, 1, 1)
changed[0, 4] = 9
assert (layer(x) != layer(changed)).sum() == 4
