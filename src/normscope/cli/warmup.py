"""`normscope warmup`: the kernels loaded, and said which they are."""

from __future__ import annotations

from typing import Annotated

import typer

from normscope.cli.options import ending
from normscope.cli.output import print_text
from normscope.wording import counted

ENDING = ending(
    "normscope warmup",
    "normscope warmup float32 bfloat16",
    status="0 ready, 2 there are no kernels, or none for such a dtype",
)


def warmup(
    dtypes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DTYPE]...", help="Of the arrays: float32, float64, float16, bfloat16; or all."
        ),
    ] = None,
) -> None:
    """Load the kernels, call them once for each dtype, and say which they are."""
    from normscope.engine.threads import num_threads
    from normscope.engine.warmup import DTYPES, warmup
    from normscope.kernels.library import processors

    warmup(dtypes or DTYPES)
    print_text(f"kernels for {processors()}, {counted(num_threads(), 'thread')}")
