"""`source_line`: the line of the user's program that makes a call."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from types import CodeType, FrameType

_HERE = str(Path(__file__).parents[1])


def source_line(hidden: tuple[str, ...], outermost: CodeType | None = None) -> str:
    """The innermost line outside of some folders and of this package, as "file.py:12".

    Args:
        hidden: the folders of the framework, whose own lines tell its user nothing.
        outermost: the function that calls the model; lines beyond it do not belong to the model.

    Returns:
        "" if there is none.

    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not outermost:
        file = frame.f_code.co_filename
        if not file.startswith((_HERE, *hidden, "<")):
            return f"{_short(file)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


@cache
def _short(file: str) -> str:
    """A file as its user would name it: below the working directory, or as it is imported."""
    own = _below(file, str(Path.cwd()))
    if own is not None and "site-packages" not in own:
        return own
    imported = [name for name in (_below(file, folder) for folder in sys.path) if name is not None]
    return min(imported, key=len, default=file)


def _below(file: str, folder: str) -> str | None:
    start = folder.rstrip("/") + "/"
    return file[len(start) :] if folder and file.startswith(start) else None
