"""`warmup`: compile every kernel now, so that no later call has to wait."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from normscope.backward import gradients
from normscope.functional import normalize
from normscope.spec import NormSpec, spec
from normscope.streaming import states_of

Step = tuple[str, Callable[[], object]]

ROWS, COLUMNS = "b [c]", "[b] c"
MANY = 300_000  # elements of one set, so that it is split


def steps(
    dtypes: tuple[str, ...] = ("float32", "float64", "float16", "bfloat16"),
) -> Iterator[Step]:
    """A name and a small call for each kernel; calling it compiles, or loads from disk.

    Args:
        dtypes: for which dtypes of the input. bfloat16 needs the package ml_dtypes and is left
            out without it.

    Example:
        >>> [name for name, call in steps(("float32",))][0]
        'float32 b [c] normalize'
    """
    for dtype, pattern in itertools.product(dtypes, (ROWS, COLUMNS)):
        number_type = _dtype(dtype)
        if number_type is None:
            continue
        stated = spec(pattern, scale="c", bias="c")
        small = np.ones((3, 5), number_type)
        large = np.ones((1, MANY) if pattern == ROWS else (MANY, 2), number_type)
        for name, call in _calls(stated, small, large):
            yield f"{dtype} {pattern} {name}", call


def _calls(stated: NormSpec, x: Any, large: Any) -> Iterator[Step]:
    one = x[0]
    learned = {"scale": one, "bias": one}
    sets = len(x) if stated.pattern == ROWS else len(one)
    known = {"mean": np.zeros(sets), "var": np.ones(sets)}
    saved = {"mean": np.zeros(sets), "rstd": np.ones(sets)}
    few = large.shape[0] if stated.pattern == ROWS else large.shape[1]
    yield "normalize", lambda: normalize(x, stated, **learned)
    yield "normalize, mask", lambda: normalize(x, stated, **learned, mask=x > 0)
    yield "normalize, residual", lambda: normalize(x, stated, **learned, residual=x)
    yield "normalize, slope", lambda: normalize(x, stated, **learned, negative_slope=0.1)
    yield (
        "normalize, residual and slope",
        lambda: normalize(x, stated, **learned, residual=x, negative_slope=0.1),
    )
    yield "measure", lambda: states_of(x, stated)
    yield "normalize, given statistics", lambda: normalize(x, stated, **{**learned, **known})
    yield "normalize, one large set", lambda: normalize(large, stated)
    yield "gradients", lambda: gradients(x, x, stated, **saved, scale=one)
    yield (
        "gradients, one large set",
        lambda: gradients(large, large, stated, mean=np.zeros(few), rstd=np.ones(few)),
    )


def _dtype(name: str) -> Any:
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(ml_dtypes.bfloat16)
