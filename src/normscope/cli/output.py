"""Where the text of a command goes: to a file, or to standard output, in colour on a terminal.

What cannot be shown is escaped here, whoever put it into the text; `streams` sees to terminals
that cannot show all letters, and to readers who close the pipe.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from normscope.errors import SpecError, printable, shortened


def as_json(value: dict[str, Any]) -> str:
    r"""The facts of a result as JSON text; letters that cannot be shown are written as `\u001b`.

    >>> print(as_json({"name": "a\u202eb"}))
    {
      "name": "a\u202eb"
    }
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    if all(line.isprintable() for line in text.split("\n")):
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def show(rich_text: Any, plain_text: Any, subject: Any, output: Path | None) -> None:
    """Write a subject in colour on a terminal, plain in a file or a pipe.

    Raises:
        SpecError: it cannot be written.
    """
    if output is not None or sys.stdout is None or not sys.stdout.isatty():
        write(plain_text(subject), output)
        return
    from rich.console import Console

    Console(highlight=False).print(rich_text(subject), soft_wrap=True)


def write(text: str, output: Path | None) -> None:
    """Write text to a file, or without one print it.

    Raises:
        SpecError: it cannot be written.
    """
    if output is None:
        print_text(text)
        return
    try:
        output.write_text(_printable_lines(text) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = getattr(error, "strerror", None) or error
        raise SpecError(f"{output} cannot be written: {reason}") from None


def print_text(text: str) -> None:
    """Print at once, so that what cannot be written is known before the exit status is.

    Raises:
        SpecError: it cannot be written.
    """
    if sys.stdout is None:  # so Python says that it was closed from the start
        raise SpecError("standard output is closed: open it, or name a file with --output")
    try:
        print(_printable_lines(text), flush=True)
    except OSError as error:
        discard_output()
        raise SpecError(f"standard output cannot be written: {error.strerror}") from None


def print_error(message: str) -> None:
    """Print a message about what went wrong, where there is somewhere to print it."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"normscope: {_printable_lines(shortened(message))}", file=sys.stderr, flush=True)


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def discard_output() -> None:
    """Drop what is left; else Python writes it once more as it ends, and fails again."""
    with suppress(OSError):
        sys.stdout.close()
