"""Files that have an end: no device, pipe or socket is opened, which may wait or never stop."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from normscope.errors import ModelFileError

_HOW = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
NOT_REGULAR = "a device, a pipe or a socket, not a regular file"


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A file, open for reading its bytes.

    Raises:
        ModelFileError: it is no regular file.
        OSError: it cannot be opened.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "a"
    >>> _ = file.write_bytes(b"hello")
    >>> with open_regular(file) as stream:
    ...     stream.read()
    b'hello'
    """
    _check(path, os.stat(path).st_mode)
    handle = os.open(path, _HOW)  # which does not wait, should it be another one by now
    try:
        _check(path, os.fstat(handle).st_mode)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _check(path: str | os.PathLike[str], mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise ModelFileError(os.fsdecode(path), "a folder, not a regular file")
    if not stat.S_ISREG(mode):
        raise ModelFileError(os.fsdecode(path), NOT_REGULAR)
