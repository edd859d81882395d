"""The operators that a program in a file may run: those of PyTorch that only compute."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import Any

import torch

from normscope.frameworks.torch.exported.program import Control
from normscope.frameworks.torch.exported.running import CONTROLS, INTEGERS

_REFUSED = frozenset(
    (
        "from_file",  # opens a file, or makes one
        "record_stream",
        "set_",
        "set_data",
        "resize_",
        "resize_as_",
        "_resize_output_",
        "_pin_memory",
        "pin_memory",
        "_print",
        "_foobar",
    )
)
_UNUSUAL = re.compile(
    r".*_backward(_.*)?|_?(sparse|mkldnn|mkl|cudnn|miopen|foreach|fused|test|cuda|cslt|nested|fbgemm|"
    r"wrapped|pack|quantize|dequantize|choose_qparams|coalesce|to_sparse|use_cudnn).*"
)
"""Of gradients and of other machines: no exported program needs them, and they trust a caller."""

_USUAL = frozenset(("_fused_rms_norm", "mkldnn_rnn_layer"))
"""Operators that are called so, and that `torch.export` writes."""

_OWN = "torch.ops.normscope.normalize.default"
_DEFINED_IN = "normscope.layers.torch.custom_operator"
"""By its name: layers know the frameworks, which know layers no other way."""

_TYPES = re.compile(
    r"(Optional\[|List\[|Future\[)*(Tensor|int|float|bool|str|number|complex|Device|Layout|"
    r"MemoryFormat|ScalarType|SymInt|SymFloat|SymBool|NoneType|Generator)[\[\]]*"
)


@cache
def operator_called(target: str) -> Any:
    """What a file calls by such a name; None if it may not be run.

    An operator must be one of `aten` or `prims` that the dispatcher of PyTorch knows, or that by
    An operator must be one of `aten` or `prims` that the dispatcher of PyTorch knows, so that
    functions of TorchScript under the same names, such as `aten::save`, are none; or that by which
    normscope normalizes, which checks all that it is given.

    >>> operator_called("torch.ops.aten.add.Tensor")
    <OpOverload(op='aten.add', overload='Tensor')>
    >>> operator_called("torch.ops.aten.save.default") is operator_called("os.system") is None
    True
    """
    if target in INTEGERS:
        return INTEGERS[target]
    if target == _OWN:
        return import_module(_DEFINED_IN).NORMALIZE
    control = re.fullmatch(r"torch\.ops\.higher_order\.(\w+)", target)
    if control is not None:
        return Control(control[1]) if control[1] in CONTROLS else None
    found = re.fullmatch(r"torch\.ops\.(aten|prims)\.(\w+)\.(\w+)", target)
    if found is None or found[2] in _REFUSED:
        return None
    namespace, name, overload = found.groups()
    if _UNUSUAL.fullmatch(name) and name not in _USUAL:
        return None
    qualified = f"{namespace}::{name}" + ("" if overload == "default" else f".{overload}")
    try:
        if not torch._C._dispatch_has_kernel(qualified):
            return None
    except RuntimeError:  # no operator may be called so
        return None
    operator = getattr(getattr(getattr(torch.ops, namespace), name, None), overload, None)
    if not isinstance(operator, torch._ops.OpOverload):
        return None
    types = [str(argument.type) for argument in operator._schema.arguments]
    return operator if all(map(_TYPES.fullmatch, types)) else None
