"""The parts that commands share: exit statuses, options, and the end of their help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

CLEAN, FINDINGS, UNUSABLE = 0, 1, 2


def ending(*examples: str, status: str) -> str:
    """The end of a command's help: examples, and what its exit status means."""
    shown = [example.replace("[", "\\[") for example in examples]
    return "\n\n".join(["[bold]Examples[/bold]", *shown, f"Exit status: {status}."])


class TextOrJson(StrEnum):
    """The forms in which a result is printed."""

    TEXT = "text"
    JSON = "json"


class Show(StrEnum):
    """The tables that can be shown besides."""

    INDICES = "indices"


class Origin(StrEnum):
    """The backends that a Keras 1 file can have been written with."""

    TENSORFLOW = "tensorflow"
    THEANO = "theano"


Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write to a file instead of the screen.")
]

ShowOption = Annotated[
    Show | None, typer.Option(help="Also index by index who sees whom, on a small shape.")
]

ShapesOption = Annotated[
    list[str] | None, typer.Option(help="Shape of an input of random numbers: 4,3,32,32.")
]

InputsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input", help="An input: shape, dtype, bound (2,16:int64<99), name=..., or x.npy."
    ),
]

AxesOption = Annotated[
    list[str] | None,
    typer.Option(help='Names for the axes: "b c h w"; with several inputs "ids=b t".'),
]
