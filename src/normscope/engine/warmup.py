"""`warmup`: compile every kernel now, so that no later call has to wait.

There is a kernel for each way to lie in memory, dtype of the input and of long parameters, and for
each of mask, residual and activation with and without. They are compiled by small calls, in groups
that share no kernel, but for some of a single form: two processes do not compile the same.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from normscope.engine.gradients import gradients
from normscope.engine.normalize import normalize
from normscope.engine.operands import SHORT
from normscope.engine.partial_statistics import partial_statistics_of
from normscope.engine.plan import FEWEST_ROWS
from normscope.errors import DtypeError
from normscope.kernels.library import check_kernels
from normscope.notation.spec import spec
from normscope.progress import Progress

DTYPES = ("float32", "float64", "float16", "bfloat16")
PATTERNS = {"rows": "b [c]", "columns": "[b] c"}
GROUPS = (*PATTERNS, "gradients")

FEW, MANY = 64, 300_000
"""Elements of a small array, in each of its sets; and of one whose sets are split."""
ROWS = 2 * FEWEST_ROWS + 1
"""Columns that are split have more rows than fit in one piece."""


class Step(NamedTuple):
    """One small call, which compiles a kernel or two, or loads them from disk.

    Attributes:
        name: what is called.
        group: which steps are made by one process.
        call: call it.
    """

    name: str
    group: str
    call: Callable[[], object]


def steps(dtypes: Sequence[str] = DTYPES) -> Iterator[Step]:
    """All calls that compile something.

    Args:
        dtypes: of the input. bfloat16 needs the package ml_dtypes and is left out without it.

    Raises:
        DtypeError: there are no kernels for such a dtype.

    Example:
        >>> [step.name for step in steps(["float32"])][0]
        'float32 "b [c]" normalize, 64 features'
    """
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise DtypeError(f"there are no kernels for {dtype}, only for {', '.join(DTYPES)}")
    for dtype in dict.fromkeys(dtypes):
        number_type = _dtype(dtype)
        if number_type is None:
            continue
        for group, pattern in PATTERNS.items():
            for name, call in _forward(pattern, number_type):
                yield Step(f'{dtype} "{pattern}" {name}', group, call)
            for name, call in _backward(pattern, number_type):
                yield Step(f'{dtype} "{pattern}" {name}', "gradients", call)


def warmup(dtypes: Sequence[str], progress: Progress) -> int:
    """Make all steps, in as many processes as there are cores and groups; how many they are.

    Raises:
        DtypeError: there are no kernels for such a dtype.
        KernelsError: the compiled kernels are not there.
    """
    check_kernels("warmup")
    listed = _all(tuple(dtypes))
    workers = min(os.cpu_count() or 1, len(GROUPS))
    context = multiprocessing.get_context("spawn")  # a fork would inherit locks of our threads
    pools = [ProcessPoolExecutor(1, context) for _ in range(workers)]
    try:
        pending = {}
        for number, step in enumerate(listed):
            pool = pools[GROUPS.index(step.group) % workers]
            pending[pool.submit(_make, tuple(dtypes), number)] = step.name
        for done, future in enumerate(as_completed(pending)):
            progress(pending[future], done, len(listed))
            future.result()
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)
    return len(listed)


def _make(dtypes: tuple[str, ...], number: int) -> None:
    """Make one step; in a process of its own, to which a name and a number are easily sent."""
    _all(dtypes)[number].call()


@cache
def _all(dtypes: tuple[str, ...]) -> list[Step]:
    return list(steps(dtypes))


def _forward(pattern: str, dtype: Any) -> Iterator[tuple[str, Callable[[], object]]]:
    both = (False, True)
    for width, along in _widths(dtype):
        stated = spec(pattern, scale="c", bias="c")
        learned = {"scale": np.ones(width, along), "bias": np.ones(width, along)}
        forms = {"": np.ones((3, width), dtype), ", slices": np.ones((3, 2 * width), dtype)[:, ::2]}
        for form, residual, slope in itertools.product(forms, both, both):
            x = forms[form]
            fused: dict[str, Any] = {"residual": x} if residual else {}
            fused |= {"negative_slope": 0.1} if slope else {}
            call = partial(normalize, x, stated, **learned, **fused)
            measured = _statistics(pattern, x)
            name = f"normalize, {width} features" + form + _told(residual=residual, slope=slope)
            yield name, call
            yield f"{name}, mask", partial(call, mask=np.ones(x.shape, bool))
            yield f"{name}, given statistics", partial(call, mean=measured, var=measured)
    x = _large(pattern, FEW, dtype)
    for residual, mask in itertools.product(both, both):
        extra = {"residual": x} if residual else {}
        extra |= {"mask": np.ones(x.shape, bool)} if mask else {}
        name = "normalize, large set" + _told(residual=residual, mask=mask)
        yield name, partial(normalize, x, pattern, **extra)
    yield "measure", partial(partial_statistics_of, x, spec(pattern))
    narrow = np.ones((MANY, 2), dtype)  # as columns, neighbouring rows are folded into one
    yield "normalize, 2 features", partial(normalize, narrow, pattern)


def _backward(pattern: str, dtype: Any) -> Iterator[tuple[str, Callable[[], object]]]:
    both = (False, True)
    for (width, along), large, mask, scale in itertools.product(_widths(dtype), both, both, both):
        x = _large(pattern, width, dtype) if large else np.ones((3, width), dtype)
        measured = _statistics(pattern, x)
        extra: dict[str, Any] = {"mask": np.ones(x.shape, bool)} if mask else {}
        extra |= {"scale": np.ones(x.shape[1], along)} if scale else {}
        stated = spec(pattern, scale="c", bias="c")
        name = f"gradients, {width} features" + _told(large=large, mask=mask, scale=scale)
        yield name, partial(gradients, x, x, stated, mean=measured, rstd=measured, **extra)
    x = np.ones((3, 5), dtype)
    measured = _statistics(pattern, x)
    for scale_axis, bias_axis in ("cb", "bc"):
        stated = spec(pattern, scale=scale_axis, bias=bias_axis)
        name = f"gradients, bias along {bias_axis}"
        yield name, partial(gradients, x, x, stated, mean=measured, rstd=measured)


def _widths(dtype: Any) -> list[tuple[int, Any]]:
    """How many parameters there are, and their dtype: kernels read long ones as they are."""
    if dtype == np.float64:
        return [(FEW, dtype)]
    return [(FEW, dtype), (SHORT + 1, np.dtype(np.float32))]


@cache
def _large(pattern: str, width: int, dtype: Any) -> Any:
    """An array of so large sets that they are split."""
    if pattern == PATTERNS["rows"]:
        return np.ones((1, MANY), dtype)
    return np.ones((max(ROWS, MANY // width), width), dtype)


def _statistics(pattern: str, x: Any) -> Any:
    """A number for each statistics set."""
    return np.ones(len(x) if pattern == PATTERNS["rows"] else x.shape[1])


def _told(**options: bool) -> str:
    return "".join(f", {name}" for name, wanted in options.items() if wanted)


def _dtype(name: str) -> Any:
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(ml_dtypes.bfloat16)
