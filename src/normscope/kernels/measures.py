"""What differs by measure, compiled: the predicates of the contract, and what elements add.

A new measure has its number and its predicates in `normscope.kernels.contract`, and its sums here.
"""

from __future__ import annotations

from normscope.kernels import contract
from normscope.kernels.machine.compiling import exact, part

is_around_mean = part(contract.is_around_mean)
is_square = part(contract.is_square)
is_sum_of_squares = part(contract.is_sum_of_squares)
takes_ddof = part(contract.takes_ddof)
is_sum_of_sizes = part(contract.is_sum_of_sizes)
is_largest = part(contract.is_largest)


@part
def larger(a: float, b: float) -> float:
    """The larger of two numbers; NaN if one is."""
    return a if a != a or b <= a else b


@part
def with_element(total: float, d: float, measure: float) -> float:
    """What was measured of some elements, and `d`, together."""
    if is_square(measure):
        return total + d * d
    if is_sum_of_sizes(measure):
        return total + abs(d)
    return larger(total, abs(d))


@exact
def together(one: float, other: float, measure: float) -> float:
    """What was measured of two runs of elements, together."""
    if is_largest(measure):
        return larger(one, other)
    return one + other


@part
def derivative_of_size(x: float) -> float:
    """The derivative of abs(x): its sign, and 0 or NaN where it has none."""
    return 1.0 if x > 0.0 else (-1.0 if x < 0.0 else x)
