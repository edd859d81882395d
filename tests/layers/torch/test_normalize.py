"""`normscope.normalize` takes tensors of torch: what it gives for arrays, and gradients."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

import normscope as ns

normalize: Any = ns.normalize  # its types are those of arrays


def test_tensors_become_what_arrays_become() -> None:
    x = torch.rand(4, 6, 5, generator=torch.Generator().manual_seed(0))
    scale, bias, mask = torch.rand(6), torch.rand(6), torch.rand(4, 1, 5) < 0.8
    residual = torch.rand(4, 6, 5)
    options = {"g": 2, "eps": 1e-3, "negative_slope": 0.1}
    arguments = {"scale": scale, "bias": bias, "mask": mask, "residual": residual}

    y = normalize(x, "b (g [c]) [s]", **arguments, **options)

    arrays = {name: tensor.numpy() for name, tensor in arguments.items()}
    expected = normalize(x.numpy(), "b (g [c]) [s]", **arrays, **options)
    assert isinstance(y, torch.Tensor)
    torch.testing.assert_close(y, torch.from_numpy(expected))


def test_gradients_flow() -> None:
    x = torch.rand(3, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.nn.Parameter(torch.rand(5, dtype=torch.float64))
    assert torch.autograd.gradcheck(
        lambda x, w: normalize(x, "b [c]", scale=w), (x, weight), fast_mode=True
    )


def test_statistics_are_tensors() -> None:
    x = torch.rand(3, 5, dtype=torch.float64)
    spec = ns.spec("b [c]", unit_below=0.1, eps=0.0)
    _, stats = normalize(x, spec, return_stats=True)
    _, expected = normalize(x.numpy(), spec, return_stats=True)
    for one, other in zip(stats, expected, strict=True):
        torch.testing.assert_close(one, torch.from_numpy(other))


def test_statistics_from_elsewhere() -> None:
    x, mean, var = torch.rand(3, 5), torch.rand(5), torch.rand(5)
    y = normalize(x, "[b] c", mean=mean, var=var)
    expected = normalize(x.numpy(), "[b] c", mean=mean.numpy(), var=var.numpy())
    torch.testing.assert_close(y, torch.from_numpy(expected))


def test_equal_calls_are_prepared_once() -> None:
    from normscope.layers.torch.normalize import _spec

    fields = {"eps": 1e-3, "sizes": {"c": 5}}
    assert _spec("b [c]", fields, True, False) is _spec("b [c]", dict(fields), True, False)
    assert _spec("b [c]", {}, False, False) is _spec("b [c]", {}, False, False)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scale": torch.ones(4)}, ns.ShapeError, r"scale has shape \(4,\)"),
        ({"scale": np.ones(5)}, ns.DtypeError, r"write torch.as_tensor\(scale\)"),
        ({"residual": torch.ones(3, 4)}, ns.SpecError, "residual must be torch.float32"),
        ({"mask": torch.ones(3, 5)}, ns.DtypeError, "mask != 0"),
        ({"out": torch.ones(3, 5)}, ns.SpecError, "write out.copy_"),
        ({"mean": torch.ones(3)}, ns.SpecError, "mean= and var= belong together"),
        ({"ddof": 5}, ns.ShapeError, "ddof=5"),
    ],
)
def test_what_does_not_fit_is_refused(options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        normalize(torch.ones(3, 5), "b [c]", **options)
    with pytest.raises(ns.DtypeError, match=r"write x.float\(\)"):
        normalize(torch.ones(3, 5, dtype=torch.int32), "b [c]")


def test_arrays_need_no_torch() -> None:
    code = "import normscope as ns, numpy, sys; ns.normalize(numpy.ones((2, 3)), 'b [c]'); "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
