"""`Asked`: what the caller of an audit said besides the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from normscope.audit.promises import Wanted
from normscope.progress import Progress, tell_nobody


@dataclass(frozen=True, eq=False)
class Asked:
    """What the caller of an audit said besides the model.

    Attributes:
        inputs: with which a live model is called; None where the model tells its shapes.
        axes: the names of their axes.
        release, backend: what wrote a file, where it does not tell.
        promises: what the model must keep.
        progress: is told of (what is being done, steps done, steps in all).
        optimizer: that trains the model; None where none was given.
        data: some of those that the model is meant for, in the form of the inputs; or None.
    """

    inputs: Any = None
    axes: str | Mapping[str, str] | None = None
    release: str | None = None
    backend: str | None = None
    promises: tuple[Wanted, ...] = ()
    progress: Progress = tell_nobody
    optimizer: Any = None
    data: Any = None
