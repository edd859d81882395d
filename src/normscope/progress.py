"""A line on the terminal that says how far a long piece of work is; silent in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Of (what is being done, steps done, steps in all)."""


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """The function to tell of progress; what it shows is gone at the end.

    >>> with progress_bar() as tell:
    ...     tell("reading", 0, 1)
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress as Bar, TextColumn

    # what is being done is text, and has brackets of its own
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def tell(what: str, done: int, steps: int) -> None:
            bar.update(task, description=what, completed=done, total=steps)

        yield tell
