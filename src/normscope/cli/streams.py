"""Standard output and errors as a command needs them: they never end it in the middle.

A terminal that cannot show a letter gets one that looks like it, or its number. A reader who has
seen enough, such as `head`, closes the pipe: what is left is dropped, and the exit status stays
that of the answer.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

_LOOKS_LIKE = {
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{DOWNWARDS ARROW}": "v",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{BLACK SQUARE}": "#",
    "\N{MIDDLE DOT}": ".",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{MINUS SIGN}": "-",
    "\N{BULLET}": "*",
}

ERRORS = "normscope"
"""The name of the way to write letters that an encoding does not have."""


def prepare_streams() -> None:
    """Make standard output and errors safe to write to."""
    codecs.register_error(ERRORS, _look_alike)
    for number in range(3):  # else the next file that is opened would be taken for one of them
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout, sys.stderr = _safe(sys.stdout), _safe(sys.stderr)


def _look_alike(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    ascii_only = (
        _LOOKS_LIKE.get(letter, letter.encode("unicode_escape").decode()) for letter in letters
    )
    return "".join(ascii_only), error.end


def _safe(stream: TextIO) -> TextIO:
    """The stream with look-alikes, and deaf to a closed pipe; those of tests stay as they are."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw = getattr(stream.buffer, "raw", stream.buffer)
    if not isinstance(raw, io.FileIO):
        return stream
    with suppress(OSError):
        stream.flush()
    deaf = _DeafToClosedPipe(raw.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(deaf),
        encoding=stream.encoding,
        errors=ERRORS,
        newline=None,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _DeafToClosedPipe(io.FileIO):
    """A file that takes what a closed pipe would not."""

    def write(self, data: Any) -> int:
        """Write, or drop where nobody reads."""
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(data)
