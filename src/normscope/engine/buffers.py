"""A pool of output memory: an array's memory is kept when the array dies, for the next result.

Most of the time of a large elementwise operation is the first touch of memory fresh from the
operating system, which must clear every page. An array from `empty` is an ordinary array whose
base is a `_Lease`; the base lives as long as any view of the memory does, in NumPy or outside, and
its end returns the memory. Nothing is ever reused earlier.

The pool needs no lock, which matters because a lease may end at any moment (in the garbage
collector, say): taking from and adding to a deque are single steps.
"""

from __future__ import annotations

import math
from collections import deque
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SMALLEST = 1 << 20
"""Bytes from which an array comes from the pool; below, the memory allocator is as good."""
GRAIN = 1 << 16
LINE = 64
DEFAULT_LIMIT = 256 << 20


class Block(NamedTuple):
    """Memory of the pool, and where in it a cache line begins."""

    memory: NDArray[np.uint8]
    address: int


class _Lease:
    """The base of a lent array. Its end gives the memory back."""

    __slots__ = ("__array_interface__", "__weakref__", "_block")

    def __init__(self, block: Block, interface: dict[str, Any]) -> None:
        self._block = block
        self.__array_interface__ = interface

    def __del__(self) -> None:
        block = getattr(self, "_block", None)  # there is none if a signal ended `__init__`
        if block is not None:
            _give_back(block)


_free: dict[int, deque[Block]] = {}
_limit = DEFAULT_LIMIT


def set_buffer_limit(limit: int) -> None:
    """Set how much memory of dead results is kept for the next ones.

    Args:
        limit: in bytes; 0 switches the pool off and frees what it holds.

    Raises:
        ValueError: the limit is not an integer of at least 0.

    Example:
        >>> set_buffer_limit(0)
        >>> pooled_bytes()
        0
        >>> set_buffer_limit(DEFAULT_LIMIT)
    """
    global _limit
    if not isinstance(limit, Integral) or isinstance(limit, bool) or limit < 0:
        raise ValueError(f"the limit is a number of bytes, 0 or more, not {limit!r}")
    _limit = int(limit)
    _shrink(limit)


def pooled_bytes() -> int:
    """How many bytes of memory the pool has now."""
    return sum(size * len(blocks) for size, blocks in list(_free.items()))


def empty(
    shape: tuple[int, ...], dtype: np.dtype[Any], order: tuple[int, ...] | None
) -> NDArray[Any]:
    """An array with undefined content.

    Args:
        shape: its shape.
        dtype: its dtype, in native byte order.
        order: its axes, from the outermost in memory to the innermost, or None if that is their
            order; memory is dense.

    Returns:
        The array. A large one uses memory that earlier ones have left.
    """
    sizes = shape if order is None else tuple([shape[axis] for axis in order])
    nbytes = math.prod(sizes) * dtype.itemsize
    if nbytes < SMALLEST or nbytes > _limit:
        array = np.empty(sizes, dtype)
    else:
        array = _lend(nbytes, sizes, dtype)
    return array if order is None else array.transpose(np.argsort(order))


def _lend(nbytes: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    size = -(-nbytes // GRAIN) * GRAIN
    block = _take(size) or _new(size)
    said = dtype if dtype.kind == "f" else _BITS[dtype.itemsize]
    interface = {"version": 3, "shape": shape, "typestr": said.str, "data": (block.address, False)}
    array = np.asarray(_Lease(block, interface))
    return array if said is dtype else array.view(dtype)


_BITS = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}
"""What an array is called whose dtype is none of NumPy's own."""


def _new(size: int) -> Block:
    memory = np.empty(size + LINE, np.uint8)
    address = memory.__array_interface__["data"][0]
    return Block(memory, address + -address % LINE)


def _take(size: int) -> Block | None:
    blocks = _free.get(size)
    if blocks is None:
        return None
    try:
        return blocks.pop()
    except IndexError:
        return None


def _give_back(block: Block) -> None:
    size = len(block.memory) - LINE
    if size > _limit:
        return
    _shrink(_limit - size)
    _free.setdefault(size, deque()).append(block)


def _shrink(target: int) -> None:
    """Let go of blocks until no more than `target` bytes are kept, unused sizes first."""
    while pooled_bytes() > target:
        for size, blocks in list(_free.items()):
            try:
                blocks.popleft()
            except IndexError:
                _free.pop(size, None) if not blocks else None
                continue
            break
        else:
            return
