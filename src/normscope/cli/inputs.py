"""`ids=2,16:int64<1000`: an input of random numbers, from what the user wrote in a command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from normscope.errors import SpecError
from normscope.frameworks.trees import Array

_FORM = re.compile(
    r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<shape>\d{1,9}(?:,\d{1,9})*),?"
    r"(?::(?P<dtype>[a-z]+\d*)(?:<(?P<bound>\d{1,18}))?)?"
)
_LENGTH = r"(?<![\w.])(?:any|none|\?|-1)(?![\w.])"
_OPEN = re.compile(rf"(?:[A-Za-z_]\w*=)?(?=.*{_LENGTH})[\w,?-]+(?:[:<].*)?", re.IGNORECASE)
_FILE = re.compile(r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<path>.+\.npy)")
_BOUND = 10  # of random integers, where none is given
_LARGEST = 2**28  # elements


def inputs_from_text(texts: Sequence[str]) -> Any:
    """The inputs that a command line asks for.

    Args:
        texts: each one a shape (`2,3,32,32`), with a dtype (`2,16:int64`), with a bound of random
            integers (`2,16:int64<1000`; else they are 0 to 9), or an array in a file (`x.npy`); all
            of them or none with a name before (`ids=2,16:int64`).

    Returns:
        One array, a tuple, or a dict by name.

    Raises:
        SpecError: a text is none of these, or only some have names.

    Example:
        >>> inputs = inputs_from_text(["ids=2,16:int64<1000", "x=2,3"])
        >>> {name: (array.shape, str(array.dtype)) for name, array in inputs.items()}
        {'ids': ((2, 16), 'int64'), 'x': ((2, 3), 'float32')}
    """
    rng = np.random.default_rng(0)
    read = [_read(text.replace(" ", ""), rng) for text in texts]
    names = [name for name, _ in read if name]
    if not read or (names and len(names) < len(read)) or len(set(names)) < len(names):
        raise SpecError(
            f"{' '.join(texts) or 'no input'}: give each input a name of its own, or none a name"
            if read
            else "give the shape of each input, such as --shape 2,3,32,32"
        )
    if names:
        return dict(read)
    arrays = tuple(array for _, array in read)
    return arrays[0] if len(arrays) == 1 else arrays


def data_from_text(texts: Sequence[str]) -> Any:
    """Data that a command line names: files alone, as random numbers stand for nothing.

    Args:
        texts: each one the path of an array (`x.npy`); all or none with a name before.

    Raises:
        SpecError: a text is not the path of an array, or the array cannot be read.

    Example:
        >>> data_from_text(["4,3"])
        Traceback (most recent call last):
        normscope.errors.SpecError: --data 4,3: give the file of an array, such as --data x.npy
    """
    for text in texts:
        if not _FILE.fullmatch(text.replace(" ", "")):
            raise SpecError(f"--data {text}: give the file of an array, such as --data x.npy")
    return inputs_from_text(texts) if texts else None


def further_inputs(texts: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Inputs besides the first one: those by position, and those by name.

    >>> others, named = further_inputs(["mask=2,3:bool"])
    >>> others, list(named)
    ((), ['mask'])

    Raises:
        SpecError: a text is no input; see `inputs_from_text`.
    """
    if not texts:
        return (), {}
    given = inputs_from_text(texts)
    if isinstance(given, dict):
        return (), given
    return (given if isinstance(given, tuple) else (given,)), {}


def axes_from_text(texts: Sequence[str]) -> str | dict[str, str] | None:
    """The names of the axes that a command line gives.

    >>> axes_from_text(["b c h w"]), axes_from_text(["ids=b t", "x=b c"])
    ('b c h w', {'ids': 'b t', 'x': 'b c'})

    Raises:
        SpecError: several texts without the names of inputs.
    """
    if not any("=" in text for text in texts) and len(texts) < 2:
        return texts[0] if texts else None
    pairs = [text.partition("=") for text in texts]
    if not all(equals for _, equals, _ in pairs):
        raise SpecError(f'--axes {texts[0]!r}: write the input before it, as in --axes "ids=b t"')
    return {name.strip(): axes for name, _, axes in pairs}


def _read(text: str, rng: np.random.Generator) -> tuple[str, Array]:
    file = _FILE.fullmatch(text)
    if file is not None:
        return file["name"] or "", _loaded(Path(file["path"]))
    form = _FORM.fullmatch(text)
    if form is None and _OPEN.fullmatch(text) is not None:
        raise SpecError(
            f"{text[:60]!r} leaves a length open, and the model is called: write a small number in "
            f"its place, such as {re.sub(_LENGTH, '4', text, flags=re.IGNORECASE)[:60]!r}"
        )
    if form is None:
        raise SpecError(
            f"{text[:60]!r} is not an input; write a shape (2,3,32,32), with a dtype (2,16:int64), "
            "with a bound (2,16:int64<1000), with a name (ids=2,16:int64), or a file (x.npy)"
        )
    shape = tuple(int(length) for length in form["shape"].split(","))
    if np.prod([float(length) for length in shape]) > _LARGEST:
        raise SpecError(f"{text[:60]!r} has more than {_LARGEST:,} elements; a small input will do")
    return form["name"] or "", _random(shape, _dtype(form["dtype"] or "float32"), form, rng)


def _random(
    shape: tuple[int, ...], dtype: np.dtype[Any], form: re.Match[str], rng: np.random.Generator
) -> Array:
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    bound = 2 if dtype.kind == "b" else int(form["bound"] or _BOUND)
    return rng.integers(0, max(bound, 1), shape).astype(dtype)


def _dtype(name: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(name)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "fiub":
        raise SpecError(f"{name!r} is no dtype of numbers; write float32, int64 or bool")
    return dtype


def _loaded(path: Path) -> Array:
    from normscope.files.npy import read_npy

    return read_npy(str(path))
