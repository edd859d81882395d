"""JSON files from outside: read within bounds, and refused in one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from budget import budget
from normscope.errors import ModelFileError
from normscope.files.json import MAX_BYTES, MAX_DEPTH, decode_json, read_json


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_a_file_is_read_with_a_byte_order_mark_too(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_bytes('\ufeff{"a": [1, 2.5, null]}'.encode())
    assert read_json(str(path)) == {"a": [1, 2.5, None]}


def test_the_depth_is_bounded() -> None:
    decode_json("m.json", nested(MAX_DEPTH), "the file")
    for depth in (MAX_DEPTH + 1, 100_000):
        with budget(), pytest.raises(ModelFileError, match=r"^m\.json: the file is nested"):
            decode_json("m.json", nested(depth), "the file")


def test_the_size_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(b" " * (MAX_BYTES - 2) + b"[]")
    assert read_json(str(path)) == []
    path.write_bytes(b" " * (MAX_BYTES - 1) + b"[]")
    with pytest.raises(ModelFileError, match=f"not a recipe, of at most {MAX_BYTES} bytes"):
        read_json(str(path), "not a recipe")


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(ModelFileError, match="its config says 'a' twice in one object"):
        decode_json("m.json", '{"b": {"a": 1, "a": 1}}', "its config")


@pytest.mark.parametrize("text", ["", "{", "[1,]", b"\xff\xfe", "1" * 5000])
def test_what_is_not_json_is_named(text: str | bytes) -> None:
    with pytest.raises(ModelFileError, match=r"^m\.json: the file is not a recipe: "):
        decode_json("m.json", text, "the file", "not a recipe")


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"none\.json: cannot be read: No such file"):
        read_json(str(tmp_path / "none.json"))
