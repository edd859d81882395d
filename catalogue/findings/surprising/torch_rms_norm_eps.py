"""PyTorch: the default eps of RMSNorm depends on the dtype, and is tiny.

On: torch
Link: https://docs.pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html
Documented: "If not specified, uses the machine epsilon of the computation (opmath) type."
Found: 1.2e-7 in float32 and below, 2.2e-16 in float64. Keras and Flax have 1e-6; Haiku, Equinox
    and ONNX 1e-5. Earlier documentation named the epsilon of the input's dtype, which for
    bfloat16 is 0.0078.
Hurts: Who ports weights: for inputs of size 0.001 the outputs of float32 and float64 differ by 5
    %, and those of PyTorch and Keras by 25 %.
"""

import torch

x = torch.full((1, 4), 1e-3)
y, y64 = torch.nn.RMSNorm(4)(x), torch.nn.RMSNorm(4).double()(x.double())
assert abs(y - 0.945).max() < 1e-3
assert abs(y64 - 1).max() < 1e-3
