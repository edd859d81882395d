"""PyTorch: one layer for every normalization."""

import sys
from types import ModuleType
from typing import Any

from normscope.errors import missing_package

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise missing_package(error, "normscope.layers.torch") from error

from normscope.layers.torch.norm import Norm
from normscope.layers.torch.recalibrate import Recalibrated, Recalibration, recalibrate
from normscope.layers.torch.replace import replace
from normscope.layers.torch.swap import swap, unswap

__all__ = ["Norm", "Recalibrated", "Recalibration", "recalibrate", "replace", "swap", "unswap"]


class _Package(ModuleType):
    """The package, in which `swap` is the function though a module has its name."""

    def __setattr__(self, name: str, value: Any) -> None:
        # An import of the module ends with setting it here.
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
