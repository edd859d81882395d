"""What a layer and `normalize` are given, checked: what came, and what to write instead."""

from __future__ import annotations

import torch
from torch import Tensor

from normscope.errors import DtypeError, ShapeError


def checked_input(x: object, taker: str = "Norm") -> Tensor:
    """The input, if it is a tensor of floats of which each has its place.

    Args:
        x: what came.
        taker: who takes it, for the message.

    Raises:
        DtypeError: it is not.

    >>> checked_input([1.0])
    Traceback (most recent call last):
    normscope.errors.DtypeError: Norm takes a torch.Tensor of floats, and x is list: write ...
    """
    if isinstance(x, Tensor) and x.is_floating_point():
        if x.layout is torch.strided and not x.is_nested:
            return x
        came = "nested" if x.is_nested else str(x.layout)
    else:
        came = str(x.dtype) if isinstance(x, Tensor) else type(x).__name__
    raise DtypeError(f"{taker} takes a torch.Tensor of floats, and x is {came}: write {_advice(x)}")


def _advice(x: object) -> str:
    if not isinstance(x, Tensor):
        return "torch.as_tensor(x, dtype=torch.float32)"
    if x.is_complex():
        return "torch.view_as_real(x), or x.abs()"
    if x.is_quantized:
        return "x.dequantize()"
    if x.is_nested:
        return "x.to_padded_tensor(0.0), with a mask= of what is no padding"
    return "x.to_dense()" if x.is_floating_point() else "x.float()"


def check_residual(residual: object, x: Tensor) -> None:
    """What is added to x first: a tensor of its shape and dtype.

    Raises:
        DtypeError, ShapeError: it is not.
    """
    if not isinstance(residual, Tensor) or residual.dtype != x.dtype:
        came = residual.dtype if isinstance(residual, Tensor) else type(residual).__name__
        raise DtypeError(f"residual is a tensor of x's dtype, {x.dtype}, and this is {came}")
    if residual.shape != x.shape:
        raise ShapeError(
            f"residual has the shape {tuple(residual.shape)}; it is added to x, whose shape it has",
            None,
            tuple(x.shape),
        )


def check_tensor(name: str, value: object) -> None:
    """Beside a tensor x, all else that holds numbers is a tensor, of real numbers, too.

    Raises:
        DtypeError: it is not.
    """
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        raise DtypeError(f"{name} is a {kind} beside a tensor x: write torch.as_tensor({name})")
    if value.is_complex():
        raise DtypeError(f"{name} has dtype {value.dtype}, not real numbers: write {name}.real")
