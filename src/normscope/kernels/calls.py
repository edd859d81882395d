"""The structures that kernels are called with: `source/contract.h`, seen from Python.

Addresses are plain integers; who fills a structure keeps alive what they point to. All fields have
eight bytes, in one order; a test compares both files. Importing this imports ctypes, which a
browser does not have.
"""

from __future__ import annotations

import sys
from ctypes import Structure, c_double, c_int64, c_size_t, c_void_p
from typing import Any

from numpy.typing import NDArray

Address = c_void_p
"""Of the first element of an array; None: there is none."""
Int = c_int64


_OF_DATA = object.__basicsize__
_WORD = 8
_memory = (c_size_t * (sys.maxsize // _WORD)).from_address(0)
"""All of it, as words: no object has to be made to read one."""


def address(array: NDArray[Any]) -> int:
    """Where the first element of an array lies.

    It is read from where NumPy's C interface has it, right after the head of the object.
    `array.ctypes.data` makes objects on its way, which small calls notice.
    """
    return _memory[(id(array) + _OF_DATA) // _WORD]


class Cut(Structure):
    """How work is cut: see `normscope.engine.plan.Plan`. What a kernel does not use is 0."""

    _fields_ = (
        ("nest", Address),
        ("loops", Int),
        ("kept", Int),
        ("items", Int),
        ("per_item", Int),
        ("step", Int),
        ("chunk", Int),
        ("chunks", Int),
        ("tile", Int),
        ("outer", Int),
        ("inner", Int),
    )


class ForwardCall(Structure):
    """Of the kernels that measure and write the output."""

    _fields_ = (
        ("cut", Cut),
        ("formula", Address),
        ("x", Address),
        ("out", Address),
        ("residual", Address),
        ("mask", Address),
        ("scale", Address),
        ("bias", Address),
        ("slope", c_double),
        ("activated", Int),
        ("dtype", Int),
        ("parameter_dtype", Int),
        ("streams", Int),
        ("statistics", Address),
        ("statistics_rows", Int),
        ("sets", Int),
        ("partials", Address),
        ("partial_rows", Int),
        ("partial_columns", Int),
    )


class BackwardCall(Structure):
    """Of the kernels that write the gradient of the input."""

    _fields_ = (
        ("cut", Cut),
        ("formula", Address),
        ("x", Address),
        ("dy", Address),
        ("mask", Address),
        ("dx", Address),
        ("scale", Address),
        ("dtype", Int),
        ("parameter_dtype", Int),
        ("streams", Int),
        ("means", Address),
        ("rstds", Address),
        ("sums", Address),
        ("totals", Address),
        ("sets", Int),
        ("learned", Address),
        ("blocks", Int),
        ("parameters", Int),
    )


class ParameterCall(Structure):
    """Of the kernels that take the sums of parameters, and nothing else."""

    _fields_ = (
        ("cut", Cut),
        ("x", Address),
        ("dy", Address),
        ("means", Address),
        ("rstds", Address),
        ("dtype", Int),
        ("parts", Address),
        ("columns", Int),
    )


class MergeCall(Structure):
    """Of the kernels that put statistics together, or find divisors."""

    _fields_ = (
        ("formula", Address),
        ("partials", Address),
        ("chunks", Int),
        ("rows", Int),
        ("columns", Int),
        ("target", Address),
        ("even", Int),
        ("outer", Int),
        ("inner", Int),
        ("sets", Int),
        ("order", Address),
        ("statistics", Address),
        ("statistics_rows", Int),
    )
