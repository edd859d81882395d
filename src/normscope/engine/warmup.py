"""`warmup`: do now what the first calls would do: load the kernels, and start the threads.

Nothing is compiled: the kernels were, when the package was built.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from normscope.engine.gradients import gradients
from normscope.engine.normalize import normalize
from normscope.errors import DtypeError
from normscope.kernels.library import check_kernels

DTYPES = ("float32", "float64", "float16", "bfloat16")

SHAPE = (512, 4096)
"""Of the array of a call that has work for several threads."""


def warmup(dtypes: Sequence[str] = DTYPES) -> None:
    """Normalize an array of each dtype, and take its gradients.

    Args:
        dtypes: of the input. bfloat16 needs the package ml_dtypes and is left out without it.

    Raises:
        DtypeError: there are no kernels for such a dtype.
        KernelsError: the kernels are not built, or cannot be loaded.

    Example:
        >>> warmup(["float32"])
    """
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise DtypeError(f"there are no kernels for {dtype}, only for {', '.join(DTYPES)}")
    check_kernels("warmup")
    for dtype in filter(None, map(_dtype, dict.fromkeys(dtypes))):
        x = np.ones(SHAPE, dtype)
        y, stats = normalize(x, "b [c]", return_stats=True)
        gradients(x, x, "b [c]", mean=stats.mean, rstd=stats.rstd, out=y)


def _dtype(name: str) -> Any:
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(ml_dtypes.bfloat16)
