"""What exactly is normalized here? States, runs, explains and audits any normalization.

>>> import numpy as np
>>> import normscope as ns
>>> x = np.array([[1.0, 2, 3], [4, 5, 6]])
>>> ns.normalize(x, "b [c]", eps=0).round(3)
array([[-1.225,  0.   ,  1.225],
       [-1.225,  0.   ,  1.225]])
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from normscope.errors import (
    DtypeError,
    KernelsError,
    MissingPackageError,
    ModelFileError,
    NormscopeError,
    PatternError,
    ShapeError,
    SpecError,
)
from normscope.version import __version__ as __version__

if TYPE_CHECKING:
    from normscope.audit import Audit, audit
    from normscope.engine.allocator import retain_memory
    from normscope.engine.buffers import set_buffer_limit
    from normscope.engine.fit import Fit, fit
    from normscope.engine.gradients import Gradients, gradients
    from normscope.engine.normalize import normalize
    from normscope.engine.threads import Threads, set_num_threads, threads
    from normscope.explain import Explanation, explain
    from normscope.frameworks.flax.native import to_flax
    from normscope.frameworks.keras.native import to_keras
    from normscope.frameworks.presets import preset, preset_names
    from normscope.frameworks.settings import spec_of
    from normscope.frameworks.torch.native import to_torch
    from normscope.identify import Identification, identify
    from normscope.notation.spec import Measure, NormSpec, Running, spec
    from normscope.reference import reference
    from normscope.scope import Scope, scope

__all__ = [
    "Audit",
    "DtypeError",
    "Explanation",
    "Fit",
    "Gradients",
    "Identification",
    "KernelsError",
    "Measure",
    "MissingPackageError",
    "ModelFileError",
    "NormSpec",
    "NormscopeError",
    "PatternError",
    "Running",
    "Scope",
    "ShapeError",
    "SpecError",
    "Threads",
    "audit",
    "explain",
    "fit",
    "gradients",
    "identify",
    "normalize",
    "preset",
    "preset_names",
    "reference",
    "retain_memory",
    "scope",
    "set_buffer_limit",
    "set_num_threads",
    "spec",
    "spec_of",
    "threads",
    "to_flax",
    "to_keras",
    "to_torch",
]

_HOMES = {
    "Audit": "audit",
    "Explanation": "explain",
    "Fit": "engine.fit",
    "Gradients": "engine.gradients",
    "Identification": "identify",
    "Measure": "notation.spec",
    "NormSpec": "notation.spec",
    "Running": "notation.spec",
    "Scope": "scope",
    "Threads": "engine.threads",
    "audit": "audit",
    "explain": "explain",
    "fit": "engine.fit",
    "gradients": "engine.gradients",
    "identify": "identify",
    "normalize": "engine.normalize",
    "preset": "frameworks.presets",
    "preset_names": "frameworks.presets",
    "reference": "reference",
    "retain_memory": "engine.allocator",
    "scope": "scope",
    "set_buffer_limit": "engine.buffers",
    "set_num_threads": "engine.threads",
    "spec": "notation.spec",
    "spec_of": "frameworks.settings",
    "threads": "engine.threads",
    "to_flax": "frameworks.flax.native",
    "to_keras": "frameworks.keras.native",
    "to_torch": "frameworks.torch.native",
}
"""The module of each name that is imported when it is first asked for."""


class _Package(ModuleType):
    """The package, whose names are imported when they are asked for.

    A verb and the folder it lives in have one name, which is always the verb:
    `from normscope import identify` is the function, whatever was imported before.
    """

    def __getattr__(self, name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{self.__name__}.{_HOMES[name]}"), name)
        vars(self)[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # An import of the folder ends with setting it here.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_HOMES})


sys.modules[__name__].__class__ = _Package
