"""PyTorch: InstanceNorm1d takes (batch, channels) for one sample and normalizes each row.

On: torch
Link: https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm1d.html
Documented: Input is (N, C, L) or (C, L).
Found: A matrix is one sample of shape (C, L), so (batch, features) gets a layer normalization
    over the features. BatchNorm1d takes the same matrix as (N, C).
Hurts: Who swaps BatchNorm1d for InstanceNorm1d after a linear layer.
"""

import torch

torch.manual_seed(0)
y = torch.nn.InstanceNorm1d(8)(torch.randn(6, 8))
assert abs(y.mean(1)).max() < 1e-5 < abs(y.mean(0)).max()
