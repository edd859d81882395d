"""A line on the terminal that says how far a long piece of work is; silent in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Of (what is being done, steps done, steps in all: 0 where nobody knows)."""


def tell_nobody(what: str, done: int, steps: int) -> None:
    """Progress of which nobody wants to hear."""


@contextmanager
def progress_bar(after: float = 0.0) -> Iterator[Progress]:
    """The function to tell of progress; what it shows is gone at the end.

    Args:
        after: so many seconds pass before anything is shown.

    >>> with progress_bar() as tell:
    ...     tell("reading", 0, 1)
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress as Bar, TextColumn

    # what is being done is text, and has brackets of its own
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
    console = Console(stderr=True)
    bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task("starting", total=None)
    # the work itself may say nothing for long
    later = Timer(after, bar.start)
    later.daemon = True
    later.start() if after else bar.start()

    def tell(what: str, done: int, steps: int) -> None:
        bar.update(task, description=what, completed=done, total=steps or None)

    try:
        yield tell
    finally:
        later.cancel()
        if later.is_alive():
            later.join()
        bar.stop()
