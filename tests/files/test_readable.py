"""What is read is said of all readers together."""

from __future__ import annotations

import pytest

from normscope.files.readable import Readable, not_read
from normscope.files.recognition import FOLDER, NOTHING, ONNX, TEXT, UNKNOWN, FileKind

ONE = Readable("files of One", (".one",), {"a file of One": "it has no 1", "a text of One": ""})
TWO = Readable("models of Two", (".two", ".2"), {"a model of Two": ""})
THREE = Readable("weights", (".w",), {})


@pytest.mark.parametrize(
    ("kind", "readable", "said"),
    [
        (TEXT, (ONE,), "a text: neither a file of One (it has no 1), nor a text of One"),
        (
            UNKNOWN,
            (ONE, TWO),
            "a file of unknown kind: neither a file of One (it has no 1), nor a text of One, nor "
            "a model of Two",
        ),
        (NOTHING, (TWO,), "an empty file: not a model of Two"),
        (
            FOLDER,
            (ONE, TWO),
            "a folder, not a regular file; give the path of a file of One, or of a text of One, or "
            "of a model of Two",
        ),
        (TEXT, (ONE, THREE), "a text; only files of One and weights are read (.one, .w)"),
        (FileKind("a PDF"), (ONE,), "this is a PDF; only files of One are read (.one)"),
        (
            ONNX,
            (ONE, TWO),
            "this is an ONNX model; only files of One and models of Two are read (.one, .two, .2). "
            "What to do: normscope scope m --shape 1,3,224,224 tells who sees whom in it",
        ),
    ],
    ids=["text", "unknown", "empty", "folder", "many", "without advice", "with advice"],
)
def test_the_error_says_what_is_read(
    kind: FileKind, readable: tuple[Readable, ...], said: str
) -> None:
    assert str(not_read("m", kind, *readable)) == f"m: {said}"
