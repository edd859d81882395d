"""Write an output that caches cannot hold, without reading its memory first.

An ordinary store reads the line of memory that it writes into, so writing costs twice the traffic
that it needs: where memory is the limit, a normalization then takes three passes instead of two.
Streaming stores write whole lines past the caches. Elements are collected in a small buffer, at the
place in its lines that they will have in memory, and leave it line by line.

There are two such buffers. While one is filled the other waits: what was stored a moment ago cannot
yet be read quickly in lines.

A stream is one int64 array: for the buffer being filled and for the one that waits, where its first
line belongs in memory, and the bytes from which and up to which it is filled; which one is being
filled; then the buffers themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.kernels.flags import part
from normscope.kernels.memory import copy_bytes, distance, fence, scratch, stream_line
from normscope.kernels.tile import WIDEST

PIECE = 512
"""The most elements of a run that are written at a time."""
BASE, BEGIN, END, WAITING_BASE, WAITING_BEGIN, WAITING_END, SIDE = range(7)
LINE = 64
ENOUGH = 2048
"""Bytes in a buffer after which it is the turn of the other: few, to stay in the nearest cache."""
BUFFER = ENOUGH + LINE + 8 * WIDEST  # no row of a tile is longer, and no piece of a run


@part
def opened() -> Any:
    """A stream into which nothing was written."""
    stream = scratch(8 + 2 * BUFFER // 8).view(np.int64)
    stream[:8] = 0
    return stream


@part
def room(stream: Any, out: int, o: int, n: int, streams: bool, tag: Any) -> Any:
    """Where to store `n` neighbours of `out` from index `o` on: an address and an index."""
    if not streams:
        return out, o
    address = distance(out, o, tag)
    goes_on = address == stream[BASE] + stream[END]
    if stream[END] >= ENOUGH or not goes_on:
        _turn(stream, address, goes_on)
    at = _buffer(stream, stream[SIDE]) + stream[END]
    stream[END] += distance(0, n, tag)
    return at, 0


@part
def close(stream: Any, streams: bool) -> None:
    """Write what is left, and wait until other threads will see it."""
    if streams:
        _turn(stream, 0, False)
        _turn(stream, 0, False)
        fence()


@part
def _buffer(stream: Any, side: int) -> Any:
    return stream.ctypes.data + 64 + side * BUFFER


@part
def _turn(stream: Any, address: int, goes_on: bool) -> None:
    """Write the buffer that waits, let the other one wait, and fill the first from `address`."""
    side = stream[SIDE]
    other = 1 - side
    _write(_buffer(stream, other), stream[WAITING_BASE], stream[WAITING_BEGIN], stream[WAITING_END])
    base, end = stream[BASE], stream[END]
    stream[WAITING_BASE], stream[WAITING_BEGIN], stream[WAITING_END] = base, stream[BEGIN], end
    stream[BASE] = address & -LINE
    stream[BEGIN] = stream[END] = address & (LINE - 1)
    if goes_on:  # the line that is not full yet goes along
        full = end & -LINE
        copy_bytes(_buffer(stream, other), _buffer(stream, side) + full, end - full)
        stream[WAITING_END] = full
        stream[BEGIN] = 0
    stream[SIDE] = other


@part
def _write(buffer: int, base: int, begin: int, end: int) -> None:
    """Write bytes of a buffer: what is not a whole line by ordinary stores."""
    first = min((begin + LINE - 1) & -LINE, end)
    full = max(end & -LINE, first)
    copy_bytes(base + begin, buffer + begin, first - begin)
    for line in range(first, full, LINE):
        stream_line(base + line, buffer + line)
    copy_bytes(base + full, buffer + full, end - full)
