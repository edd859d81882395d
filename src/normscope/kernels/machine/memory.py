"""One element of memory: load, store.

A kernel gets addresses. A *tag*, a scalar whose value is never used, says by its type how elements
are stored, so that one kernel source serves every dtype:

    float64, float32    themselves
    uint16              the bits of a float16
    int16               the bits of a bfloat16

Values are float64 once loaded, and are rounded once when stored. Going to 16 bits in one rounding
takes a float32 *rounded to odd* on the way: its last bit remembers whether anything was cut off, so
the second rounding cannot be misled by the first.

Loads promise not to see what stores write (LLVM's `noalias`): otherwise a loop whose output is its
input would not be vectorized. So a loop may store only to elements that it does not load later.
Scratch memory, which is written (`keep`) and read (`recall`) by one kernel, makes that promise only
towards `store`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from normscope.kernels.contract import LINE, TAGS
from normscope.kernels.machine.compiling import part
from normscope.kernels.machine.instructions import intrinsic

F64 = TAGS["float64"]
"""The tag of scratch memory."""

_STORED = {
    types.float64: ir.DoubleType(),
    types.float32: ir.FloatType(),
    types.uint16: ir.IntType(16),
    types.int16: ir.IntType(16),
}


_I32 = ir.IntType(32)
_FLOAT, _DOUBLE, _HALF = ir.FloatType(), ir.DoubleType(), ir.HalfType()


@intrinsic
def load(typingctx: Any, address: Any, index: Any, tag: Any) -> Any:
    """Element `index` of the array at `address`, as float64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = builder.load(_pointer(builder, args[0], args[1], _STORED[tag]))
        stored.set_metadata("alias.scope", _scopes(builder, "input"))
        return _widen(builder, stored, tag)

    return types.float64(types.int64, types.int64, tag), codegen


@intrinsic
def store(typingctx: Any, address: Any, index: Any, value: Any, tag: Any) -> Any:
    """Round `value` once and write it to element `index` of the array at `address`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        narrow = _narrow(builder, args[2], tag)
        stored = builder.store(narrow, _pointer(builder, args[0], args[1], _STORED[tag]))
        stored.set_metadata("noalias", _scopes(builder, "input", "scratch"))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float64, tag), codegen


@intrinsic
def recall(typingctx: Any, address: Any, index: Any) -> Any:
    """Element `index` of float64 scratch memory, which the same loop may store to."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = builder.load(_pointer(builder, args[0], args[1], _DOUBLE))
        stored.set_metadata("alias.scope", _scopes(builder, "scratch"))
        return stored

    return types.float64(types.int64, types.int64), codegen


@intrinsic
def keep(typingctx: Any, address: Any, index: Any, value: Any) -> Any:
    """Write `value` to element `index` of float64 scratch memory."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = builder.store(args[2], _pointer(builder, args[0], args[1], _DOUBLE))
        stored.set_metadata("noalias", _scopes(builder, "input"))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float64), codegen


@intrinsic
def rounded(typingctx: Any, value: Any, tag: Any) -> Any:
    """`value` as it would come back after a `store`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _widen(builder, _narrow(builder, args[0], tag), tag)

    return types.float64(types.float64, tag), codegen


@part
def scratch(size: int) -> Any:
    """float64 memory that begins with a cache line, for wide loads across two lines take longer.

    It lives as long as the array is in use: Numba does not see that its address is.
    """
    memory = np.empty(size + 7, np.float64)
    skip = -(memory.ctypes.data >> 3) & 7
    return memory[skip : skip + size]


@intrinsic
def is_float64(typingctx: Any, tag: Any) -> Any:
    """Whether elements are float64 themselves: a constant, so that one branch alone remains."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(1), int(tag == types.float64))

    return types.boolean(tag), codegen


@intrinsic
def double_double_for(typingctx: Any, tag: Any) -> Any:
    """True if elements are float64 themselves, computed in `double_double` numbers; else None.

    A branch that tests an argument for None is dropped before its types are looked at. So what
    only float64 needs, much of the code, is not compiled for any other input.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(1), 1) if tag == types.float64 else context.get_dummy_value()

    return (types.boolean if tag == types.float64 else types.none)(tag), codegen


@intrinsic
def load_mask(typingctx: Any, address: Any, index: Any) -> Any:
    """Byte `index` of the mask at `address`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = builder.load(_pointer(builder, args[0], args[1], ir.IntType(8)))
        stored.set_metadata("alias.scope", _scopes(builder, "input"))
        return stored

    return types.uint8(types.int64, types.int64), codegen


@part
def counts(mask: Any, index: int) -> Any:
    """Whether the mask counts an element; without a mask all count."""
    if mask is None:
        return True
    return load_mask(mask, index) != 0


@intrinsic
def distance(typingctx: Any, address: Any, index: Any, tag: Any) -> Any:
    """The address of element `index` of the array at `address`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(builder, args[0], args[1], _STORED[tag])
        return builder.ptrtoint(pointer, ir.IntType(64))

    return types.int64(types.int64, types.int64, tag), codegen


@part
def past_line(address: int, index: int, tag: Any) -> Any:
    """How many elements lie between the beginning of a cache line and element `index` in it."""
    return distance(address, index, tag) % LINE // distance(0, 1, tag)


def _pointer(builder: Any, address: Any, index: Any, stored: Any) -> Any:
    return builder.gep(builder.inttoptr(address, stored.as_pointer()), [index])


def _scopes(builder: Any, *names: str) -> Any:
    """The kinds of memory that a load is from, or that a store is not to."""
    domain = builder.module.add_metadata(["normscope"])
    scopes = [builder.module.add_metadata([f"normscope {name}", domain]) for name in names]
    return builder.module.add_metadata(scopes)


def _widen(builder: Any, stored: Any, tag: Any) -> Any:
    if tag == types.float64:
        return stored
    if tag == types.uint16:
        stored = builder.fpext(builder.bitcast(stored, _HALF), _FLOAT)
    elif tag == types.int16:
        stored = builder.bitcast(builder.shl(builder.zext(stored, _I32), _I32(16)), _FLOAT)
    return builder.fpext(stored, _DOUBLE)


def _narrow(builder: Any, value: Any, tag: Any) -> Any:
    if tag == types.float64:
        return value
    if tag == types.float32:
        return builder.fptrunc(value, _FLOAT)
    bits = _odd_bits(builder, value)
    i16 = ir.IntType(16)
    if tag == types.uint16:
        return builder.bitcast(builder.fptrunc(builder.bitcast(bits, _FLOAT), _HALF), i16)
    last = builder.and_(builder.lshr(bits, _I32(16)), _I32(1))
    up = builder.lshr(builder.add(bits, builder.add(last, _I32(0x7FFF))), _I32(16))
    is_nan = builder.fcmp_unordered("uno", value, value)
    return builder.trunc(builder.select(is_nan, _I32(0x7FC0), up), i16)


def _odd_bits(builder: Any, value: Any) -> Any:
    """The bits of a float32: `value` cut off towards zero, last bit set if that lost anything."""
    near = builder.fptrunc(value, _FLOAT)
    back = builder.fpext(near, _DOUBLE)
    bits = builder.bitcast(near, _I32)
    kind = ir.FunctionType(_DOUBLE, [_DOUBLE])
    size = builder.module.declare_intrinsic("llvm.fabs", (_DOUBLE,), kind)
    above = builder.fcmp_ordered(">", builder.call(size, [back]), builder.call(size, [value]))
    cut = builder.sub(bits, builder.zext(above, _I32))
    inexact = builder.fcmp_ordered("!=", back, value)
    return builder.or_(cut, builder.zext(inexact, _I32))
