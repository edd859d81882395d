"""Where the text of a command goes: to a file, or to standard output, in colour on a terminal."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from normscope.errors import SpecError


def as_json(value: dict[str, Any]) -> str:
    """The facts of a result as JSON text."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


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
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise SpecError(f"{output} cannot be written: {error.strerror}") from None


def print_text(text: str) -> None:
    """Print at once, so that what cannot be written is known before the exit status is.

    Raises:
        SpecError: it cannot be written.
    """
    if sys.stdout is None:  # so Python says that it was closed from the start
        raise SpecError("standard output is closed: open it, or name a file with --output")
    try:
        print(text, flush=True)
    except BrokenPipeError:  # typer ends quietly
        raise
    except OSError as error:
        discard_output()
        raise SpecError(f"standard output cannot be written: {error.strerror}") from None


def discard_output() -> None:
    """Drop what is left; else Python writes it once more as it ends, and fails again."""
    with suppress(OSError):
        sys.stdout.close()
