"""The addresses that kernels are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from normscope.engine import buffers
from normscope.kernels.calls import address

Array = NDArray[Any]


class Own(np.ndarray):
    """A subclass with an attribute of its own."""

    note = "of a subclass"


def read_only() -> Array:
    array = np.zeros(5)
    array.flags.writeable = False
    return array


ARRAYS: dict[str, Callable[[], Array]] = {
    "plain": lambda: np.zeros((3, 4), np.float32),
    "bfloat16": lambda: np.zeros(7, ml_dtypes.bfloat16),
    "scalar": lambda: np.zeros(()),
    "no element": lambda: np.zeros((0, 3)),
    "slice": lambda: np.zeros((5, 6))[2:, 3::2],
    "backwards": lambda: np.zeros((5, 6))[::-1, ::-1],
    "transposed": lambda: np.zeros((5, 6)).T,
    "broadcast": lambda: np.broadcast_to(np.zeros(6), (5, 6)),
    "read-only": read_only,
    "unaligned": lambda: np.zeros(9, np.uint8)[1:].view(np.float64),
    "subclass": lambda: np.zeros(5).view(Own),
    "masked": lambda: np.ma.zeros(5),
    "foreign memory": lambda: np.frombuffer(bytearray(16), np.float64),
    "lent": lambda: buffers.empty((buffers.SMALLEST,), np.dtype(np.float32), None),
}


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS.keys())
def test_address_is_that_of_the_first_element(make: Callable[[], Array]) -> None:
    array = make()
    assert address(array) == array.__array_interface__["data"][0]


def test_address_of_a_file(tmp_path: Path) -> None:
    array = np.memmap(tmp_path / "values", np.float32, "w+", shape=(4, 5))
    assert address(array[1:]) == array.__array_interface__["data"][0] + 20
