"""JSON from an untrusted source, bounded in size and depth; no object may have a key twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from normscope.errors import ModelFileError
from normscope.files.regular import open_regular

MAX_BYTES = 8 * 2**20  # the architecture of a thousand layers is about half a MiB
MAX_DEPTH = 100
MAX_VALUES = 2_000_000  # each of which takes up to 250 bytes of memory

NOT_JSON = "not valid JSON"


def read_json(path: str, if_not: str = NOT_JSON) -> object:
    """The value in a JSON file.

    Args:
        path: of the file.
        if_not: what the message says that the file is, if it is not JSON.

    Raises:
        ModelFileError: the file cannot be read, is too large, or is not JSON within the bounds.
    """
    try:
        with open_regular(path) as stream:
            text = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelFileError(path, f"cannot be read: {error.strerror}") from error
    if len(text) > MAX_BYTES:
        raise ModelFileError(path, f"{if_not}, of at most {MAX_BYTES} bytes")
    return decode_json(path, text, "the file", if_not)


def decode_json(
    path: str,
    text: bytes | str,
    what: str,
    if_not: str = NOT_JSON,
    *,
    max_depth: int = MAX_DEPTH,
) -> object:
    """The value of a JSON text.

    Args:
        path, what: how the messages name the file and the text.
        text: as bytes in UTF-8.
        if_not: what the message says that the text is, if it is not JSON.
        max_depth: objects and lists may be nested so deep.

    Raises:
        ModelFileError: the text is not JSON, is nested too deep, or has a key twice in one object.

    >>> decode_json("m.json", '{"a": [1, 2]}', "the file")
    {'a': [1, 2]}
    """
    try:
        whole = text if isinstance(text, str) else text.decode("utf-8-sig")
        if sum(map(whole.count, ",[{")) > MAX_VALUES:
            raise ModelFileError(path, f"{what} holds more than {MAX_VALUES} values")
        value: object = json.loads(whole, object_pairs_hook=_without_doubles)
    except ModelFileError:
        raise
    except _TwiceError as error:
        raise ModelFileError(path, f"{what} says {str(error)!r:.60} twice in one object") from error
    except RecursionError as error:
        raise ModelFileError(path, f"{what} is nested too deep") from error
    except ValueError as error:  # also no text, or an integer of more digits than Python takes
        raise ModelFileError(path, f"{what} is {if_not}: {error}") from error
    _check_depth(path, value, what, max_depth)
    return value


class _TwiceError(Exception):
    """An object has a key twice, so that readers differ in what it says."""


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return found


def _check_depth(path: str, value: object, what: str, most: int) -> None:
    level = [value]
    for _ in range(most):
        level = [child for parent in level for child in children(parent)]
        if not level:
            return
    raise ModelFileError(path, f"{what} is nested more than {most} deep")


def children(value: object) -> Iterator[object]:
    """The values in an object or a list; none in other values.

    >>> list(children({"a": 1, "b": [2]}))
    [1, [2]]
    """
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
