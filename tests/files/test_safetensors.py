"""Safetensors: what the header says is believed as far as the bytes of the file go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from budget import budget
from normscope import ModelFileError
from normscope.files.safetensors import read_safetensors


def written(path: Path, header: Any, data: bytes) -> str:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return str(path)


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_arrays_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    x = np.arange(6, dtype="<f4").reshape(2, 3)
    y = np.array([1, 2.5], "<f2")
    header = {
        "__metadata__": {"format": "pt"},
        "x": entry("F32", [2, 3], 0, 24),
        "y": entry("F16", [2], 24, 28),
        "z": entry("BF16", [1], 28, 30),
        "none": entry("I64", [0, 3], 30, 30),
    }
    path = written(tmp_path / "m", header, x.tobytes() + y.tobytes() + b"\x80\x3f")
    found = read_safetensors(path)
    assert list(found) == ["x", "y", "z", "none"]
    np.testing.assert_array_equal(found["x"].numbers(), x)
    np.testing.assert_array_equal(found["y"].numbers(), y)
    assert found["z"].numbers() == [1.0]
    assert found["none"].numbers().shape == (0, 3)
    assert (found["z"].dtype, found["z"].is_float, found["none"].is_float) == (
        "bfloat16",
        True,
        False,
    )


@pytest.mark.parametrize(
    "header",
    [
        {"x": entry("F32", [2], 0, 9)},
        {"x": entry("F32", [3], 0, 8)},
        {"x": entry("F32", [3], 0, 12)},
        {"x": entry("F32", [1], 4, 0)},
        {"x": entry("F99", [1], 0, 4)},
        {"x": entry("F32", [-1], 0, 4)},
        {"x": entry("F32", [2**47, 2**47], 0, 4)},
        {"x": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}},
        {"x": {"dtype": "F32", "shape": [1] * 100, "data_offsets": [0, 4]}},
        {"x": {"dtype": "F32"}},
        {"x": 3},
        [1],
        b"{" * 5000,
        b'{"x": 1, "x": 2}',
        b"\xff\xfe",
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, header: Any) -> None:
    with budget(), pytest.raises(ModelFileError) as raised:
        read_safetensors(written(tmp_path / "m", header, bytes(8)))
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("length", [9, 2**40, 2**64 - 1])
def test_a_length_beyond_the_file_is_not_believed(tmp_path: Path, length: int) -> None:
    path = tmp_path / "m"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with budget(), pytest.raises(ModelFileError, match="more than there can be"):
        read_safetensors(str(path))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_safetensors(str(tmp_path / "no"))
