"""What exactly is normalized here? States, runs, explains and audits any normalization.

>>> import numpy as np
>>> import normscope as ns
>>> x = np.array([[1.0, 2, 3], [4, 5, 6]])
>>> ns.normalize(x, "b [c]", eps=0).round(3)
array([[-1.225,  0.   ,  1.225],
       [-1.225,  0.   ,  1.225]])
"""

from normscope.audit import Audit, audit
from normscope.engine.allocator import retain_memory
from normscope.engine.buffers import set_buffer_limit
from normscope.engine.fit import Fit, fit
from normscope.engine.gradients import Gradients, gradients
from normscope.engine.normalize import normalize
from normscope.engine.threads import set_num_threads
from normscope.errors import (
    DtypeError,
    MissingPackageError,
    ModelFileError,
    NormscopeError,
    PatternError,
    ShapeError,
    SpecError,
)
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
from normscope.version import __version__ as __version__

__all__ = [
    "Audit",
    "DtypeError",
    "Explanation",
    "Fit",
    "Gradients",
    "Identification",
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
    "to_flax",
    "to_keras",
    "to_torch",
]
