"""Which way a call takes where several are possible: the quickest, as measured.

Kernels have more work before and after each call than one operator of torch, and sum in float64.
They read memory less often than some operators do, and use memory again that torch asks the system
for. So from some size on they are quicker, which depends on the operator that torch has for a spec,
on the dtype, and on how channels lie. Where torch has none they are quicker than the formula at any
size.

The sizes are those from which kernels were quicker than torch 2.13 on two cores, forward without a
gradient, and forward and backward together: `python -m benchmarks.torch_choice` measures that.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from normscope.engine.allocator import is_retained
from normscope.layers.torch.autograd import needs_gradient
from normscope.layers.torch.operands import Operands
from normscope.layers.torch.operators import operator_for
from normscope.layers.torch.own_call import OwnCall, moved_call, own_call
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec


class Least(NamedTuple):
    """The bytes of x from which kernels are quicker than an operator of torch.

    Attributes:
        alone: without a gradient.
        derived: with one, forward and backward together.
    """

    alone: int
    derived: int


_KIB, _MIB = 1 << 10, 1 << 20
_NEVER = Least(1 << 62, 1 << 62)
_ANEW = 33 * _MIB
"""glibc keeps freed blocks of up to 32 MiB. Larger ones torch gets anew from the system, page by
page, which takes longer than all that is computed."""

_FROM: dict[str, dict[str, Least]] = {
    "float32": {
        "moved": Least(256 * _KIB, 1 * _MIB),
        "layer_norm": Least(64 * _MIB, 16 * _MIB),
        "rms_norm": Least(4 * _MIB, 512 * _KIB),
        "batch_norm": Least(1 * _MIB, 2 * _MIB),
        "group_norm": Least(64 * _MIB, 32 * _MIB),
        "group_norm, channels last": Least(64 * _MIB, 1 * _MIB),
        "instance_norm": Least(64 * _KIB, 2 * _MIB),
        "instance_norm, channels last": Least(64 * _KIB, 512 * _KIB),
    },
    "float64": {
        "moved": Least(2 * _MIB, 2 * _MIB),
        "layer_norm": Least(_NEVER.alone, 16 * _MIB),
        "rms_norm": Least(8 * _MIB, 1 * _MIB),
        "batch_norm": Least(16 * _MIB, 16 * _MIB),
        "instance_norm": Least(4 * _MIB, 4 * _MIB),
        "instance_norm, channels last": Least(64 * _KIB, 2 * _MIB),
    },
    "16 bits": {
        "moved": Least(2 * _MIB, 2 * _MIB),
        "rms_norm": Least(2 * _MIB, 256 * _KIB),
        "group_norm, channels last": Least(_NEVER.alone, 256 * _KIB),
        "instance_norm, channels last": Least(64 * _KIB, 2 * _MIB),
    },
}
"""With memory that the C library keeps; what is not listed is never quicker. Moved are the axes of
a layer norm or RMS norm over others than the last ones."""
_FUSED = 256 * _KIB
"""The same in float32 without a gradient, where torch has another operator to run, for a residual
or an activation."""


class _Way(NamedTuple):
    """The ways that calls of one form can take.

    Attributes:
        spec: theirs, which is kept alive here, for it is looked up by its identity.
        least: the bytes of x from which kernels are taken.
        own: the call of torch's own layer, or the usual way; None where there is none.
        moved: whether it is the usual way, with no operator that takes more.
    """

    spec: NormSpec
    least: Least
    own: OwnCall | None
    moved: bool = False


_ways: dict[object, _Way] = {}
_MOST_WAYS = 1024


def is_small(given: Operands, spec: NormSpec, layout: Layout, fused: bool) -> bool:
    """Whether a call without a mask takes less time in an operator of torch than in kernels.

    So it is called where the lengths of x are still open: kernels have no address to work at.

    Args:
        given, spec, layout: the call.
        fused: whether there is a residual or an activation.
    """
    way = _way_of(given, spec, layout)
    if way is None:
        return True
    if fused and way.moved:
        return False
    if needs_gradient(given):
        return given.x.nbytes < way.least.derived
    least = way.least.alone
    if fused and given.x.dtype == torch.float32:
        least = min(least, _FUSED)
    return given.x.nbytes < least


def own_call_of(given: Operands, spec: NormSpec, layout: Layout) -> OwnCall | None:
    """The call of torch's own layer, if it has one for this."""
    way = _way_of(given, spec, layout)
    return None if way is None else way.own


def least_of(
    spec: NormSpec, shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype
) -> Least:
    """The bytes from which kernels are taken, for parameters of the input's dtype.

    >>> least_of(NormSpec("b [c]", measure="l1"), (2, 3), (3, 1), torch.float32)
    Least(alone=0, derived=0)
    """
    operator = operator_for(spec, shape)
    if operator is None:
        if moved_call(spec, shape) is None:
            return Least(0, 0)
        rows = "layer_norm" if spec.center else "rms_norm"
        name = rows if _are_rows(spec, shape, strides) else "moved"
    else:
        name = operator.name
    kind = "16 bits" if dtype.itemsize == 2 else str(dtype).removeprefix("torch.")
    if name not in ("layer_norm", "rms_norm", "moved") and _channels_last(spec, shape, strides):
        name += ", channels last"
    least = _FROM.get(kind, {}).get(name, _NEVER)
    return least if is_retained() else Least(*(min(size, _ANEW) for size in least))


def least_applied() -> Least:
    """Those from which kernels apply statistics that are given quicker than torch's batch norm.

    >>> least_applied().alone >= 33 << 20
    True
    """
    return _NEVER if is_retained() else Least(_ANEW, _ANEW)


def _channels_last(spec: NormSpec, shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether neighbours in memory have other parameters, or are of other sets."""
    layout = spec.layout(shape)
    innermost = _innermost(shape, strides)
    named = {i for names in (spec.scale, spec.bias) if names for i in layout.named(names)}
    told = named.union(layout.kept)
    return any(i in told and axis.dim == innermost for i, axis in enumerate(layout.axes))


def _are_rows(spec: NormSpec, shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether neighbours in memory are of one set."""
    layout, innermost = spec.layout(shape), _innermost(shape, strides)
    return any(layout.axes[i].dim == innermost for i in layout.shared)


def _innermost(shape: tuple[int, ...], strides: tuple[int, ...]) -> int | None:
    """The axis along which neighbours in memory lie."""
    steps = [(step, -dim) for dim, step in enumerate(strides) if shape[dim] > 1 and step > 0]
    return -min(steps)[1] if steps else None


def _way_of(given: Operands, spec: NormSpec, layout: Layout) -> _Way | None:
    """The ways of calls like this one, looked up by its form; None where that is open yet."""
    x, scale, bias = given.x, given.scale, given.bias
    key = (
        id(spec),
        x.shape,
        x.stride(),
        x.dtype,
        is_retained(),
        None if scale is None else scale.dtype,
        None if bias is None else bias.dtype,
    )
    try:
        found = _ways.get(key)
    except TypeError:  # a length that is open while a model is traced has no hash
        return None
    if found is None:
        if len(_ways) >= _MOST_WAYS:
            _ways.clear()
        found = _ways[key] = _way(given, spec, layout)
    return found


def _way(given: Operands, spec: NormSpec, layout: Layout) -> _Way:
    parameters = (given.scale, given.bias)
    missing = [p is None for p in parameters] != [n is None for n in (spec.scale, spec.bias)]
    if missing or any(p is not None and p.dtype != given.x.dtype for p in parameters):
        return _Way(spec, Least(0, 0), None)  # what operators of torch do not take
    x, shape = given.x, tuple(given.x.shape)
    least = least_of(spec, shape, x.stride(), x.dtype)
    call, moved = own_call(spec, shape), moved_call(spec, shape)
    return _Way(spec, least, call or moved, moved=call is None and moved is not None)
