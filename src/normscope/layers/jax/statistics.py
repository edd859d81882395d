"""Mean and divisor of every statistics set, and how they change when the input does.

The arrays here are split into atomic axes (`Layout.sizes`) and in float32 or wider; a statistic
keeps the shared axes as 1.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from normscope.errors import SpecError
from normscope.notation.spec import Measure, NormSpec

AxisName = Hashable
"""The name of a mapped axis, or a tuple of several."""

SAVED = "normscope_statistics"
"""The name under which `jax.checkpoint` policies find what is kept for the backward pass."""


@dataclass(frozen=True)
class Sets:
    """The statistics sets of one array: the shared `axes`, joined over the devices of `axis_name`.

    Where a mask is given (`counted`), only its True elements belong to a set.
    """

    axes: tuple[int, ...]
    axis_name: AxisName | None = None

    def shape(self, values: jax.Array) -> tuple[int, ...]:
        """The shape of one number per set."""
        return tuple(1 if n in self.axes else size for n, size in enumerate(values.shape))

    def sum_here(self, values: jax.Array, counted: jax.Array | None) -> jax.Array:
        """The sum over this device's part of each set."""
        return jnp.sum(values, self.axes, keepdims=True, where=counted)

    @property
    def devices(self) -> int:
        """The number of parts that a set is made of.

        Raises:
            SpecError: there is no such axis here.
        """
        if self.axis_name is None:
            return 1
        try:
            return int(lax.axis_size(self.axis_name))
        except NameError:
            raise SpecError(
                f"axis_name={self.axis_name!r} is no mapped axis here: call this inside a "
                "shard_map or vmap that has it, or leave the name out; under jit alone a "
                "statistics set reaches over the whole of a sharded array"
            ) from None

    def joined(self, *sums: jax.Array) -> tuple[jax.Array, ...]:
        """Sums over the whole sets from those of the parts, in one collective."""
        if self.axis_name is None:
            return sums
        return tuple(lax.psum(sums, self.axis_name))  # type: ignore[no-untyped-call]

    def sum(self, counted: jax.Array | None, *values: jax.Array) -> tuple[jax.Array, ...]:
        """The sum over each whole set, of one or more arrays."""
        return self.joined(*(self.sum_here(v, counted) for v in values))

    def max(self, counted: jax.Array | None, values: jax.Array) -> jax.Array:
        """The largest of values that are not negative; 0 where there is none."""
        largest = jnp.max(values, self.axes, keepdims=True, where=counted, initial=0)
        if self.axis_name is None:
            return largest
        over_all: jax.Array = lax.pmax(largest, self.axis_name)  # type: ignore[no-untyped-call]
        return over_all

    def first(self, values: jax.Array) -> jax.Array:
        """One element of each set; 0 where there is none."""
        if not all(values.shape[axis] for axis in self.axes):
            return jnp.zeros(self.shape(values), values.dtype)
        for axis in self.axes:
            values = lax.slice_in_dim(values, 0, 1, axis=axis)
        return values


class Counts(NamedTuple):
    """The number of elements of each set: the part on this device, and in all."""

    here: jax.Array
    total: jax.Array


class Statistics(NamedTuple):
    """The measurements of each set.

    The mean is `pivot + rest`. One float32 near 20000 is off by up to 0.001, which is too much
    beside a deviation of 1; `x - pivot` is exact there, and `rest` is what remains.
    """

    pivot: jax.Array
    rest: jax.Array
    var: jax.Array
    rstd: jax.Array


T = TypeVar("T")


def saved(values: T) -> T:
    """`values`, which a `jax.checkpoint` that saves `SAVED` keeps."""
    return checkpoint_name(values, SAVED)  # type: ignore[no-any-return, no-untyped-call]


def count(sets: Sets, x: jax.Array, counted: jax.Array | None) -> Counts:
    """The size of each set; without a mask a constant."""
    if counted is None:
        here = math.prod(x.shape[axis] for axis in sets.axes)
        counts = Counts(*(jnp.asarray(n, x.dtype) for n in (here, here * sets.devices)))
    else:
        number = sets.sum_here(counted.astype(jnp.int32), None)
        counts = Counts(number.astype(x.dtype), sets.joined(number)[0].astype(x.dtype))
    return saved(counts)


def divisor(spec: NormSpec, var: jax.Array) -> jax.Array:
    """max(sqrt(v + eps) + eps_outside, floor), or 1 in its place."""
    if spec.measure is Measure.NONE:
        return jnp.ones_like(var)
    one = is_one(spec, var)
    inside = jnp.where(one, 1, var + spec.eps)  # no root of 0, which has no derivative
    found = jnp.maximum(jnp.sqrt(inside) + spec.eps_outside, spec.floor)
    return jnp.where(one, 1, found)


def is_one(spec: NormSpec, var: jax.Array) -> jax.Array:
    """True where the guard of the spec puts 1 in the place of the divisor."""
    if spec.unit_below is None:
        return jnp.zeros_like(var, bool)
    found = jnp.sqrt(lax.stop_gradient(var) + spec.eps) + spec.eps_outside
    return (found == 0) | (found < spec.unit_below)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def measure(
    spec: NormSpec, sets: Sets, x: jax.Array, counted: jax.Array | None, counts: Counts
) -> Statistics:
    """The statistics of every set.

    The mean in two passes: the first finds a pivot near it, the second sums the deviations from the
    pivot and their squares. All devices have the same pivot, so joining their sums is exact.

    Args:
        spec: the normalization.
        sets: which elements form a set.
        x: the values, in float32 or wider.
        counted: booleans of x's shape, or None where every element counts.
        counts: of `count`.

    Returns:
        The `Statistics`; for a set without a counted element all are 0.
    """
    pivot = rest = jnp.zeros(sets.shape(x), x.dtype)
    present = jnp.maximum(counts.total, 1)
    degrees = _degrees(spec, counts)
    if _takes_mean(spec):
        pivot = _pivot(sets, x, counted, counts)
        deviation = x - pivot
        if spec.measure is Measure.NONE:
            (sums,) = sets.sum(counted, deviation)
        else:
            sums, squares = sets.sum(counted, deviation, deviation**2)
        rest = sums / present
    match spec.measure:
        case Measure.VARIANCE:
            var = jnp.maximum(squares - sums * rest, 0) / degrees
        case Measure.MEAN_SQUARE:
            var = sets.sum(counted, x**2)[0] / degrees
        case Measure.L2:
            (var,) = sets.sum(counted, x**2)
        case Measure.L1:
            var = sets.sum(counted, jnp.abs(x))[0] ** 2
        case Measure.MAX:
            var = sets.max(counted, jnp.abs(x)) ** 2
        case Measure.NONE:
            var = jnp.ones_like(pivot)
    rstd = 1 / divisor(spec, var)
    return Statistics(pivot, rest, var, jnp.where(counts.total == 0, 0, rstd))


@measure.defjvp
def _measure_jvp(
    spec: NormSpec,
    sets: Sets,
    primals: tuple[jax.Array, jax.Array | None, Counts],
    tangents: tuple[jax.Array, object, object],
) -> tuple[Statistics, Statistics]:
    """The tangents; see `_direction`. That of the mean stands on `rest`: the pivot is arbitrary."""
    x, counted, counts = primals
    found = saved(measure(spec, sets, *primals))
    zero = jnp.zeros_like(found.pivot)
    if spec.measure is Measure.NONE:
        (change,) = sets.sum(counted, tangents[0])
        return found, Statistics(zero, change / jnp.maximum(counts.total, 1), zero, zero)
    direction, factor = _direction(spec, sets, x, counted, counts, found)
    if counted is not None:  # not a product with what may be NaN
        direction = jnp.where(counted, direction, 0)
    dx = tangents[0]
    change, along = sets.sum(counted, dx, direction * dx)
    drest = change / jnp.maximum(counts.total, 1)
    along *= factor  # half the change of v

    # sqrt(v + eps) has no derivative at 0, where the deviations that it would scale are 0 too;
    # where the floor or a guard holds, the divisor does not change
    positive = found.var + spec.eps > 0
    root = jnp.sqrt(jnp.where(positive, found.var + spec.eps, 1))
    moves = positive & (root + spec.eps_outside > spec.floor) & ~is_one(spec, found.var)
    drstd = -(found.rstd**2) * jnp.where(moves, along / root, 0)
    return found, Statistics(zero, drest if _takes_mean(spec) else zero, 2 * along, drstd)


def _takes_mean(spec: NormSpec) -> bool:
    return spec.center or spec.measure is Measure.VARIANCE


def _direction(
    spec: NormSpec,
    sets: Sets,
    x: jax.Array,
    counted: jax.Array | None,
    counts: Counts,
    found: Statistics,
) -> tuple[jax.Array, jax.Array]:
    """An array u of x's shape and one number f per set with dv / 2 = f * sum(u * dx)."""
    match spec.measure:
        case Measure.VARIANCE:
            return (x - found.pivot) - found.rest, 1 / _degrees(spec, counts)
        case Measure.MEAN_SQUARE:
            return x, 1 / _degrees(spec, counts)
        case Measure.L2:
            return x, jnp.ones_like(found.var)
        case Measure.L1:
            return jnp.sign(x), jnp.sqrt(found.var)
        case Measure.MAX:
            size = jnp.abs(lax.stop_gradient(x))
            ties = (size == sets.max(counted, size)).astype(x.dtype)
            (number,) = sets.sum(counted, ties)
            return ties * jnp.sign(x), jnp.sqrt(found.var) / jnp.maximum(number, 1)
        case Measure.NONE:
            return jnp.zeros_like(x), jnp.zeros_like(found.var)


def _pivot(sets: Sets, x: jax.Array, counted: jax.Array | None, counts: Counts) -> jax.Array:
    """A number near the mean; exactly the value of a set whose elements are all the same."""
    x = lax.stop_gradient(x)
    first = sets.first(x)
    if counted is not None:
        first = jnp.where(sets.first(counted), first, 0)
    pivot = first + sets.sum_here(x - first, counted) / jnp.maximum(counts.here, 1)
    if sets.axis_name is None:
        return pivot
    share = counts.here / jnp.maximum(counts.total, 1)
    return sets.joined(pivot * share)[0]


def _degrees(spec: NormSpec, counts: Counts) -> jax.Array:
    """N - ddof; 1 for a set without elements."""
    return jnp.where(counts.total == 0, 1, jnp.maximum(counts.total - spec.ddof, 0))
