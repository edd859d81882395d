"""Write an output that caches cannot hold, without reading its memory first.

An ordinary store reads the line of memory that it writes into, so writing costs twice the traffic
that it needs: where memory is the limit, a normalization then takes three passes instead of two.
Streaming stores write whole lines past the caches. Elements are collected in a small buffer, at the
place in its lines that they will have in memory, and leave it line by line.

There are two such buffers. While one is filled the other waits: what was stored a moment ago cannot
yet be read quickly in lines.

Its memory is one int64 array: for the buffer being filled and for the one that waits, where its
first line belongs in memory, and the bytes from which and up to which it is filled; which one is
being filled; then the buffers themselves.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from normscope.kernels.contract import LINE, WIDEST
from normscope.kernels.machine.compiling import part
from normscope.kernels.machine.instructions import copy_bytes, fence, stream_line
from normscope.kernels.machine.memory import distance, past_line, scratch

PIECE = 512
"""The most elements of a run that are streamed at a time."""
LONG = 1024
"""Elements of a run for which a few single ones at its beginning are worth while."""
BASE, BEGIN, END, WAITING_BASE, WAITING_BEGIN, WAITING_END, SIDE = range(7)
ENOUGH = 2048
"""Bytes in a buffer after which it is the turn of the other: few, to stay in the nearest cache."""
BUFFER = ENOUGH + LINE + 8 * WIDEST  # no row of a tile is longer, and no piece of a run


class Stream(NamedTuple):
    """Whether the output is streamed at all, and the memory for that."""

    on: bool
    memory: Any


@part
def opened(on: bool) -> Stream:
    """A stream into which nothing was written."""
    memory = scratch(8 + 2 * BUFFER // 8).view(np.int64)
    memory[:8] = 0
    return Stream(on, memory)


@part
def pieces(stream: Stream, out: int, o: int, step: int, n: int, tag: Any) -> Any:
    """Into what pieces to cut a run of `n` elements of `out` from index `o` on: the first, others.

    The others begin where lines of memory do, so that no vector is stored into two of them. A run
    that is not streamed has two pieces at the most.
    """
    past = past_line(out, o, tag)
    if stream.on and step == 1:
        return PIECE - past, PIECE
    if step == 1 and past > 0 and n >= LONG:
        return LINE // distance(0, 1, tag) - past, n
    return n, n


@part
def room(stream: Stream, out: int, o: int, step: int, n: int, tag: Any) -> Any:
    """Where to store `n` elements of `out` from index `o` on: an address and an index.

    Only neighbours, `step` 1 apart, are streamed.
    """
    if not (stream.on and step == 1):
        return out, o
    memory = stream.memory
    address = distance(out, o, tag)
    goes_on = address == memory[BASE] + memory[END]
    if memory[END] >= ENOUGH or not goes_on:
        _turn(memory, address, goes_on)
    at = _buffer(memory, memory[SIDE]) + memory[END]
    memory[END] += distance(0, n, tag)
    return at, 0


@part
def close(stream: Stream) -> None:
    """Write what is left, and wait until other threads will see it."""
    if stream.on:
        _turn(stream.memory, 0, False)
        _turn(stream.memory, 0, False)
        fence()


@part
def _buffer(memory: Any, side: int) -> Any:
    return memory.ctypes.data + 64 + side * BUFFER


@part
def _turn(memory: Any, address: int, goes_on: bool) -> None:
    """Write the buffer that waits, let the other one wait, and fill the first from `address`."""
    side = memory[SIDE]
    other = 1 - side
    _write(_buffer(memory, other), memory[WAITING_BASE], memory[WAITING_BEGIN], memory[WAITING_END])
    base, end = memory[BASE], memory[END]
    memory[WAITING_BASE], memory[WAITING_BEGIN], memory[WAITING_END] = base, memory[BEGIN], end
    memory[BASE] = address & -LINE
    memory[BEGIN] = memory[END] = address & (LINE - 1)
    if goes_on:  # the line that is not full yet goes along
        full = end & -LINE
        copy_bytes(_buffer(memory, other), _buffer(memory, side) + full, end - full)
        memory[WAITING_END] = full
        memory[BEGIN] = 0
    memory[SIDE] = other


@part
def _write(buffer: int, base: int, begin: int, end: int) -> None:
    """Write bytes of a buffer: what is not a whole line by ordinary stores."""
    first = min((begin + LINE - 1) & -LINE, end)
    full = max(end & -LINE, first)
    copy_bytes(base + begin, buffer + begin, first - begin)
    for line in range(first, full, LINE):
        stream_line(base + line, buffer + line)
    copy_bytes(base + full, buffer + full, end - full)
