"""`normscope warmup`: every kernel compiled, so that no later call waits for it."""

from __future__ import annotations

from typing import Annotated

import typer

from normscope.cli.options import ending
from normscope.cli.output import print_text
from normscope.wording import counted

ENDING = ending(
    "normscope warmup",
    "normscope warmup float32 bfloat16",
    status="0 compiled, 2 there are no kernels for such a dtype",
)


def warmup(
    dtypes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DTYPE]...", help="Of the arrays: float32, float64, float16, bfloat16; or all."
        ),
    ] = None,
) -> None:
    """Compile every kernel now, so that no later call has to wait for it: minutes, once."""
    from normscope.engine.warmup import DTYPES, warmup
    from normscope.progress import progress_bar

    with progress_bar() as progress:
        calls = warmup(dtypes or DTYPES, progress)
    print_text(f"{counted(calls, 'kind')} of calls compiled and kept")
