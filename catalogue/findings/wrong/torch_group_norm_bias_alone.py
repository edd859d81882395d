"""PyTorch: group_norm with a bias and no weight cannot be differentiated.

On: torch
Link: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.group_norm.html
Documented: weight and bias are both optional, each with the default None.
Found: The forward pass works, the backward pass raises: tensor does not have a device. layer_norm
    and batch_norm can do it.
Hurts: Who writes a group normalization whose scale is predicted elsewhere.
Raises: RuntimeError
"""

import torch

bias = torch.zeros(4, requires_grad=True)
torch.nn.functional.group_norm(torch.randn(2, 4, 3), 2, bias=bias).sum().backward()
