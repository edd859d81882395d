"""Arguments as they are typed -> values: shapes, sizes, files of arrays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from normscope.errors import ModelFileError, SpecError
from normscope.notation.shape import MAX_LENGTH

_OPEN = ("any", "none", "?", "b", "n", "-1")
"""Words that people write for a length that varies."""


def shape_from_text(text: str) -> tuple[int | None, ...]:
    """`8,128,any`, also in parentheses or with spaces, as a tuple."""
    inner = text.strip()
    if inner[:1] + inner[-1:] in ("()", "[]"):
        inner = inner[1:-1].strip()
    words = re.split(r"\s*,\s*|\s+", inner.removesuffix(","))
    return () if words == [""] else tuple(_length(word, text) for word in words)


def _length(word: str, text: str) -> int | None:
    if word.lower() in _OPEN:
        return None
    digits = word.isascii() and word.isdigit()
    if digits and len(word) < 20 and int(word) <= MAX_LENGTH:
        return int(word)
    problem = "is too large for" if digits else "is not"
    raise SpecError(
        f"--shape {text[:60]!r}: {word[:40]!r} {problem} the length of an axis; write a length "
        f'from 0 to {MAX_LENGTH}, as in --shape 8,128,56,56, or "any" where it varies'
    )


def known_shape_from_text(text: str) -> tuple[int, ...]:
    """The shape of an array that is made.

    Raises:
        SpecError: it has an axis of any length.
    """
    sizes = shape_from_text(text)
    known = tuple(size for size in sizes if size is not None)
    if len(known) < len(sizes):
        small = ",".join("4" if size is None else f"{size}" for size in sizes)
        raise SpecError(
            f"--shape {text[:60]!r}: the layer is called, so each axis needs a length; write a "
            f"small one in place of any, such as --shape {small}"
        )
    return known


def size_from_text(text: str) -> tuple[str, int]:
    """`g=4` as an axis and its size."""
    name, equals, value = text.partition("=")
    if not equals or not value.isdigit() or len(value) > 18:
        raise SpecError(f"--size {text[:60]!r}: write an axis and its size, as in --size g=4")
    return name.strip(), int(value)


def arrays_from_file(path: Path) -> Any:
    """The array of an `.npy` file, or the list of those of an `.npz` file."""
    from normscope.files.npy import read_arrays

    try:
        found = read_arrays(str(path))
    except ModelFileError as error:
        raise SpecError(
            f"--data {str(path)!r} is no .npy or .npz file of numbers: {error.reason}"
        ) from None
    return found[""] if list(found) == [""] else list(found.values())
