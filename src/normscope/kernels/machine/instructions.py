"""What Python has no words for: instructions of the processor, and the width of its vectors."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]
from numba import extending, types

_I32 = ir.IntType(32)


def intrinsic(function: Any) -> Any:
    """Numba's own, without the type of the function that it is made from."""
    return extending.intrinsic(function)


@intrinsic
def take(typingctx: Any, counter: Any) -> Any:
    """The next number of the counter at this address; no two threads get the same."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i64 = ir.IntType(64)
        pointer = builder.inttoptr(args[0], i64.as_pointer())
        return builder.atomic_rmw("add", pointer, i64(1), "seq_cst")

    return types.int64(types.int64), codegen


@intrinsic
def use_widest_vectors(typingctx: Any) -> Any:
    """Let LLVM use vectors of 512 bits in the function being built, where they cost nothing.

    By itself it keeps to 256 bits on Intel processors, for on those before Ice Lake wider
    arithmetic lowers the clock. VBMI2 came with Ice Lake, and with AMD's Zen 4. Functions are
    vectorized before they become part of a kernel as well as after: all that loop over elements,
    and all kernels, have to say this.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if get_host_cpu_features().get("avx512vbmi2"):
            # llvmlite checks names against those LLVM itself has; this one belongs to the target.
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def fetch_line(typingctx: Any, address: Any) -> Any:
    """Begin to bring the line of memory at this address into the cache."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _I32, _I32, _I32])
        function = builder.module.declare_intrinsic("llvm.prefetch", (byte,), kind)
        builder.call(function, [builder.inttoptr(args[0], byte), _I32(0), _I32(3), _I32(1)])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def stream_line(typingctx: Any, target: Any, source: Any) -> Any:
    """Copy 64 bytes, past the caches, from and to addresses that are multiples of 64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = ir.VectorType(_I32, 16).as_pointer()
        copied = builder.load(builder.inttoptr(args[1], line), align=64)
        stored = builder.store(copied, builder.inttoptr(args[0], line), align=64)
        stored.set_metadata("nontemporal", builder.module.add_metadata([_I32(1)]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def copy_bytes(typingctx: Any, target: Any, source: Any, size: Any) -> Any:
    """Copy `size` bytes between places that do not overlap."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, byte, ir.IntType(64), ir.IntType(1)])
        function = builder.module.declare_intrinsic(
            "llvm.memcpy", (byte, byte, ir.IntType(64)), kind
        )
        places = [builder.inttoptr(address, byte) for address in args[:2]]
        builder.call(function, [*places, args[2], ir.IntType(1)(0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def fence(typingctx: Any) -> Any:
    """Wait until all that was stored, by streaming too, is seen by other threads."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen
