"""What is read is said of all readers together."""

from __future__ import annotations

import pytest

from normscope.files.readable import Readable, not_read
from normscope.files.recognition import FOLDER, NOTHING, ONNX, TEXT, UNKNOWN, FileKind

ONE = Readable("files of One", (".one",), {"a file of One": "it has no 1", "a text of One": ""})
SHORT = Readable("models of Three", (".3",), {})
TWO = Readable("models of Two", (".two", ".2"), {"a model of Two": ""})


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
        (FileKind("a PDF"), (ONE,), "this is a PDF; only files of One are read (.one)"),
        (
            ONNX,
            (ONE, TWO),
            "this is an ONNX model; only files of One and models of Two are read (.one, .two, .2). "
            "What to do: normscope scope m --shape 1,3,224,224 tells who sees whom in it",
        ),
        (
            FileKind("a PDF"),
            (ONE, SHORT),
            "this is a PDF; only files of One and models of Three are read (.one, .3)",
        ),
        (
            UNKNOWN,
            (SHORT,),
            "this is a file of unknown kind, or a damaged one; only models of Three are read (.3)",
        ),
        (
            FOLDER,
            (SHORT,),
            "this is a folder that holds no model; only models of Three are read (.3)",
        ),
        (NOTHING, (SHORT,), "an empty file: the download or the copy was cut off: get it anew"),
        (
            ONNX,
            (SHORT,),
            "this is an ONNX model, which is not read. What to do: normscope scope m --shape "
            "1,3,224,224 tells who sees whom in it",
        ),
    ],
    ids=["text", "unknown", "empty", "folder", "without advice", "with advice", *"abcde"],
)
def test_the_error_says_what_is_read(
    kind: FileKind, readable: tuple[Readable, ...], said: str
) -> None:
    assert str(not_read("m", kind, *readable)) == f"m: {said}"
