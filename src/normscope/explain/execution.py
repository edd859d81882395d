"""How `normalize` runs on a NumPy array of the explained shape, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from normscope.engine.loops import parameter_strides
from normscope.engine.plan import Plan, plan
from normscope.engine.validation import FLOATS, float_dtype
from normscope.errors import DtypeError
from normscope.kernels.library import kernels_built, processors, why_none
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec


def dtype_name(dtype: Any) -> str:
    """The name of the dtype that `normalize` computes an array in: of integers, that of floats.

    Args:
        dtype: "float32", `np.float32`, or an array's dtype.

    Raises:
        DtypeError: it takes no such arrays.

    Example:
        >>> dtype_name(np.float32), dtype_name("uint8")
        ('float32', 'float32')
    """
    name = dtype
    with suppress(TypeError):  # NumPy alone does not know bfloat16 by its name
        name = float_dtype(np.dtype(dtype)).name
    if name not in FLOATS:
        raise DtypeError(
            f"normalize takes arrays of {', '.join(FLOATS)}, and of integers, not of {name!r}"
        )
    return str(name)


def planned(spec: NormSpec, layout: Layout, dtype: str) -> Plan | None:
    """The plan for a contiguous array, with the parameters that the spec names.

    Args:
        spec: the normalization.
        layout: the spec fitted to the shape, all of whose sizes are known.
        dtype: the name of the array's dtype, from `dtype_name`.

    Returns:
        The `Plan`; nothing is compiled or run. None where no kernels are built to run it.

    Raises:
        ShapeError: a size is not known.

    Example:
        >>> from normscope import spec
        >>> stated = spec("[b] c [h w]", scale="c")
        >>> planned(stated, stated.layout((32, 128, 56, 56)), "float32").mode
        'rows'
    """
    itemsize = 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
    contiguous = parameter_strides(layout, range(len(layout.axes)))
    learned = [layout.named(names or "") for names in (spec.scale, spec.bias)]
    found = plan(layout, [contiguous, contiguous, None, None], learned, itemsize)
    return found if kernels_built() else None


def execution(found: Plan | None, dtype: str) -> Iterator[str]:
    """The lines of the section."""
    if found is None:
        yield "runs: by the definition, with NumPy: there are no kernels on this machine"
        yield f"({why_none()})."
        yield f"An array of {dtype} is taken piece by piece, in float64: the same numbers but for"
        yield "rounding, only slower."
        return
    yield f"runs: kernels for {processors()}, compiled when the package was built."
    yield f"On a contiguous array of {dtype} the loops are, the outermost first:"
    yield f"  {found}"
    if found.mode == "rows":
        yield "rows: neighbours in memory belong to one set, which is summed run by run."
    else:
        yield (
            "columns: neighbours in memory belong to different sets, which are summed side by side."
        )
    if found.whole:
        yield "Sets are measured and written one by one, while they are in cache where they fit."
    else:
        yield "All chunks are measured before the first is written: the array is read twice."
    if found.streams:
        yield "The output is too large for caches: it is written past them, which saves reading it."
    yield "No temporary array of the input's size is made; the items are shared by the threads."
