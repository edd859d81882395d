"""Numbers of twice the precision of float64: a pair (a, rest) stands for a + rest.

`rest` is at most half an ulp of `a`, so `a` alone is the number rounded to float64. Nothing finite
lies beside an infinity or NaN: their rest is 0. The operations are the classic ones of Dekker
(1971) and Knuth; a result is off by a few units of 2**-104.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from normscope.kernels.machine.compiling import exact
from normscope.kernels.machine.instructions import intrinsic


@intrinsic
def fused(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """A * b + c, rounded once."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        double = ir.DoubleType()
        kind = ir.FunctionType(double, [double] * 3)
        return builder.call(builder.module.declare_intrinsic("llvm.fma", (double,), kind), args)

    return types.float64(types.float64, types.float64, types.float64), codegen


@exact
def two_sum(a: float, b: float) -> Any:
    """A + b as a pair, without any error."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@exact
def two_product(a: float, b: float) -> Any:
    """A * b as a pair, without any error unless the rest underflows."""
    p = a * b
    return p, fused(a, b, -p)


@exact
def pair(a: float, rest: float) -> Any:
    """A + rest as a pair, for a rest that is smaller than `a`."""
    s = a + rest
    if s - s != 0.0:
        return a, 0.0
    return s, rest - (s - a)


@exact
def plus(a: float, a_rest: float, b: float, b_rest: float) -> Any:
    """The sum of two pairs."""
    s, lost = two_sum(a, b)
    return pair(s, lost + (a_rest + b_rest))


@exact
def times(a: float, a_rest: float, b: float, b_rest: float) -> Any:
    """The product of two pairs."""
    p, lost = two_product(a, b)
    return pair(p, lost + (a * b_rest + a_rest * b))


@exact
def over(a: float, a_rest: float, b: float, b_rest: float) -> Any:
    """The quotient of two pairs."""
    q = a / b
    return pair(q, (fused(-q, b, a) + a_rest - q * b_rest) / b)


@exact
def square_root(a: float, rest: float) -> Any:
    """The square root of a pair."""
    s = math.sqrt(a)
    return pair(s, (fused(-s, s, a) + rest) / (2.0 * s))


@exact
def normalized(
    x: float, mean: float, mean_rest: float, factor: float, factor_rest: float, offset: float
) -> Any:
    """(x - mean) * factor + offset, rounded once."""
    d, lost = two_sum(x, -mean)
    z, cut = two_product(d, factor)
    y, lost_too = two_sum(z, offset)
    small = fused(d, factor_rest, fused(lost - mean_rest, factor, cut + lost_too))
    if small != small:  # beside an infinity
        small = 0.0
    return y + small


@exact
def normalized_along(
    x: float, mean: float, mean_rest: float, rstd: float, rstd_rest: float,
    scale: float, offset: float,
) -> Any:  # fmt: skip
    """(x - mean) * (rstd * scale) + offset, rounded once, for a scale that varies along the run."""
    d, lost = two_sum(x, -mean)
    z = d * rstd
    rest = fused(d, rstd, -z) + fused(d, rstd_rest, (lost - mean_rest) * rstd)
    p, cut = two_product(z, scale)
    y, lost_too = two_sum(p, offset)
    small = fused(rest, scale, cut + lost_too)
    if small != small:
        small = 0.0
    return y + small
